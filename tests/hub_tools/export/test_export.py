"""Exports, read by the real compose and checked against the schemas of the real cluster API."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hub_tools.export import ClusterOptions, Source, read_source, to_compose, to_json, to_kubernetes
from hub_tools.manifests import (
    CreateOptions,
    Deployment,
    LogConfig,
    Module,
    RegistryCredential,
    Route,
    read_content,
    upstream,
)
from hub_tools.manifests.modules import keep_secrets
from iot_core.errors import InputError, ManifestError
from iot_core.manifest import parse_manifest

PROJECT = Path(__file__).resolve().parents[3]
TEMPLATE = PROJECT / "deployment.template.json"
COMPOSE = Path(sys.executable).with_name("docker-compose")
VARIABLES = {"CONTAINER_REGISTRY": "edgeyard", "TEXT_ANALYTICS_KEY": "k-e-y", "TEXT_ANALYTICS_BILLING": "b"}

FULL = Module(
    name="full",
    image="acme.io/full:1.0",
    ports={8080: 80, "53/udp": 5353, 9000: "127.0.0.1:9000"},
    gpu=2,
    env={"LEVEL": "debug", "PRICE": "5$", "ON": True},
    startup_order=1,
    desired={"interval": 5, "mark": "$x"},
    create_options=CreateOptions.of(
        env={"URL": "amqp://user:{{secret:PASS}}@host", "PASS": "{{secret:PASS}}", "API_KEY": "in-the-open"},
        binds=["/srv/data:/data:ro", "cache:/cache"],
        mounts=[{"Type": "tmpfs", "Target": "/scratch"}],
        memory="512m",
        cpus=0.5,
        log=LogConfig(options={"max-size": "10m"}),
        extra={
            "Cmd": ["--token", "{{secret:PASS}}", "$(date)"],
            "User": "1000:1000",
            "StopTimeout": 20,
            "Healthcheck": {"Test": ["CMD", "check"], "Interval": 30_000_000_000, "Retries": 3},
            "HostConfig": {
                "CapAdd": ["NET_ADMIN"],
                "Devices": [{"PathOnHost": "/dev/ttyUSB0", "PathInContainer": "/dev/ttyUSB0"}],
                "ExtraHosts": ["plc:10.0.0.5"],
                "RestartPolicy": {"Name": "always"},
                "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
            },
        },
    ),
)
ONCE = Module(name="Run_Once", image="acme.io/once:1", status="stopped", restart_policy="never")
DEPLOYMENT = Deployment(
    name="yard",
    modules=(FULL, ONCE),
    routes=(Route("up", FULL.output("*") >> upstream),),
    registries={"acme": RegistryCredential(address="acme.io", username="u", password="{{secret:REGISTRY}}")},
)


@pytest.fixture
def source() -> Source:
    return Source(deployment=DEPLOYMENT, value_of=keep_secrets)


@pytest.fixture
def template() -> Source:
    return read_source(TEMPLATE, platform="arm64v8", variables=VARIABLES)


def composed(text: str, folder: Path, **variables: str) -> dict[str, Any]:
    """The file as the real compose understands it."""
    (folder / "compose.yaml").write_text(text)
    command = [str(COMPOSE), "-f", str(folder / "compose.yaml"), "config", "--format", "json"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Every object by kind and name, each valid by the cluster's own schema, with nothing that this does not know."""
    found = {}
    for document in yaml.safe_load_all(text):
        kubernetes_validate.validate(document, "1.31", strict=True)
        found[document["kind"], document["metadata"]["name"]] = document
    return found


def container(found: dict[tuple[str, str], dict[str, Any]], name: str) -> dict[str, Any]:
    spec = found["Deployment", name]["spec"]["template"]["spec"]
    [only] = spec["containers"]
    assert isinstance(only, dict)
    return only


def test_compose_reads_this_projects_template(template: Source, tmp_path: Path) -> None:
    read = composed(to_compose(template).text, tmp_path, TEXT_ANALYTICS_KEY="k", TEXT_ANALYTICS_BILLING="b")
    assert set(read["services"]) == {"sentiment-container", "sentiment", "scorer", "emotion", "replay"}
    assert read["services"]["sentiment-container"]["environment"]["ApiKey"] == "k"
    scorer = read["services"]["scorer"]
    assert scorer["image"] == "edgeyard/scorer:0.1.0-arm64v8"
    assert scorer["environment"]["EDGEYARD_STANDALONE"] == "1"
    assert json.loads(read["configs"]["scorer-twin"]["content"]) == {"reportingInterval": 10}
    assert "sentiment-container" in read["services"]["replay"]["depends_on"]


def test_no_export_holds_the_value_of_a_secret(template: Source) -> None:
    texts = [to_compose(template).text, to_kubernetes(template).text, to_json(template).text]
    assert not any("k-e-y" in text for text in texts)
    assert "${TEXT_ANALYTICS_KEY:?}" in texts[0]
    assert "key: TEXT_ANALYTICS_KEY" in texts[1]
    assert "ApiKey=${TEXT_ANALYTICS_KEY}" in texts[2]


def test_compose_without_a_secret_names_it(template: Source, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"TEXT_ANALYTICS_(KEY|BILLING) is missing"):
        composed(to_compose(template).text, tmp_path)


def test_compose_gets_ports_volumes_gpus_limits_health_and_life(source: Source, tmp_path: Path) -> None:
    read = composed(to_compose(source).text, tmp_path, PASS="p:$w", FULL_API_KEY="a")
    full = read["services"]["full"]
    assert [(port["published"], port["target"], port["protocol"]) for port in full["ports"]] == [
        ("80", 8080, "tcp"),
        ("5353", 53, "udp"),
        ("9000", 9000, "tcp"),
    ]
    assert [(each["type"], each["target"]) for each in full["volumes"]] == [
        ("bind", "/data"),
        ("volume", "/cache"),
        ("tmpfs", "/scratch"),
    ]
    [gpu] = full["deploy"]["resources"]["reservations"]["devices"]
    assert (gpu["count"], gpu["capabilities"]) == (2, ["gpu"])
    assert (full["mem_limit"], full["cpus"]) == (str(512 * 2**20), 0.5)
    assert full["healthcheck"] == {"test": ["CMD", "check"], "interval": "30s", "retries": 3}
    assert (full["restart"], full["stop_grace_period"], full["user"]) == ("always", "20s", "1000:1000")
    assert full["logging"]["options"] == {"max-size": "10m"}
    assert (read["services"]["Run_Once"]["restart"], read["services"]["Run_Once"]["scale"]) == ("no", 0)


def test_compose_escapes_what_only_looks_like_a_variable(source: Source, tmp_path: Path) -> None:
    read = composed(to_compose(source).text, tmp_path, PASS="p", FULL_API_KEY="a")
    full = read["services"]["full"]
    # `config` doubles each $ again in what it prints.
    assert full["command"] == ["--token", "p", "$$(date)"]
    assert full["environment"]["PRICE"] == "5$$"
    assert full["environment"]["URL"] == "amqp://user:p@host"
    assert json.loads(read["configs"]["full-twin"]["content"])["mark"].strip("$") == "x"


def test_what_cannot_be_carried_over_is_named(source: Source) -> None:
    for exported in (to_compose(source), to_kubernetes(source)):
        text = "\n".join(exported.warnings)
        assert "route up" in text
        assert "full: createOptions.HostConfig.RestartPolicy cannot be carried over" in text
        assert "API_KEY looks like a secret" in text
        assert "in-the-open" not in exported.text
        assert all(warning in exported.text for warning in exported.warnings)
    assert "docker login acme.io" in "\n".join(to_compose(source).warnings)
    cluster = "\n".join(to_kubernetes(source).warnings)
    for text in (
        "HostConfig.Devices",
        "HostConfig.Ulimits",
        "HostConfig.LogConfig",
        "restartPolicy never",
        "startupOrder",
    ):
        assert text in cluster


def test_a_cluster_gets_the_whole_template(template: Source) -> None:
    found = objects(to_kubernetes(template, ClusterOptions(domain="edge.example.com")).text)
    kinds = {kind for kind, _ in found}
    assert kinds == {"Deployment", "Service", "ConfigMap", "Ingress", "HorizontalPodAutoscaler"}
    scorer = container(found, "scorer")
    assert scorer["livenessProbe"]["httpGet"] == {"path": "/live", "port": 9600}
    assert scorer["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 9600}
    assert "replicas" not in found["Deployment", "scorer"]["spec"]
    assert found["HorizontalPodAutoscaler", "scorer"]["spec"]["maxReplicas"] > 1
    hosts = [rule["host"] for rule in found["Ingress", "deployment"]["spec"]["rules"]]
    assert hosts == [f"{name}.edge.example.com" for name in ("sentiment-container", "scorer", "emotion")]


def test_a_cluster_gets_limits_gpus_volumes_and_secrets(source: Source) -> None:
    found = objects(to_kubernetes(source, ClusterOptions(domain="d.io", namespace="plant")).text)
    full = container(found, "full")
    assert full["resources"]["limits"] == {"memory": str(512 * 2**20), "cpu": "500m", "nvidia.com/gpu": 2}
    assert full["livenessProbe"]["exec"] == {"command": ["check"]}
    assert full["args"] == ["--token", "$(SECRET_PASS)", "$$(date)"]
    env = {each["name"]: each for each in full["env"]}
    assert env["PASS"]["valueFrom"]["secretKeyRef"] == {"name": "yard-secrets", "key": "PASS"}
    assert env["URL"]["value"] == "amqp://user:$(SECRET_PASS)@host"
    assert list(env).index("SECRET_PASS") < list(env).index("URL")
    assert ("PersistentVolumeClaim", "full-cache") in found
    pod = found["Deployment", "full"]["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry-acme"}]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["hostAliases"] == [{"ip": "10.0.0.5", "hostnames": ["plc"]}]
    assert found["Deployment", "run-once"]["spec"]["replicas"] == 0
    assert all(each["metadata"]["namespace"] == "plant" for each in found.values())
    # The loopback port and the one for UDP are not for others.
    assert [rule["host"] for rule in found["Ingress", "yard"]["spec"]["rules"]] == ["full.d.io"]


def test_probes_can_be_left_out(source: Source) -> None:
    full = container(objects(to_kubernetes(source, ClusterOptions(no_probes=["full"])).text), "full")
    assert not any(name.endswith("Probe") for name in full)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ClusterOptions(domain="not a domain"), "--domain"),
        (ClusterOptions(domain="nodots"), "--domain"),
        (ClusterOptions(namespace="Bad"), "--namespace"),
        (ClusterOptions(no_probes=["nosuch"]), "no module nosuch"),
        (ClusterOptions(autoscale=["nosuch"]), "no module nosuch"),
    ],
)
def test_wrong_options_are_refused(source: Source, options: ClusterOptions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        to_kubernetes(source, options)


def test_modules_of_one_name_in_the_cluster_are_refused() -> None:
    modules = (Module(name="a_b", image="i:1"), Module(name="a-b", image="i:1"))
    with pytest.raises(ManifestError, match="would both be a-b"):
        to_kubernetes(Source(deployment=Deployment(name="x", modules=modules), value_of=keep_secrets))


def test_json_is_a_manifest_that_az_and_the_edge_read(template: Source) -> None:
    content = json.loads(to_json(template, with_secrets=True).text)
    manifest = parse_manifest(content)
    assert manifest.agent.modules["scorer"].image == "edgeyard/scorer:0.1.0-arm64v8"
    read = read_content("x", content)
    [container_module] = [module for module in read.modules if module.name == "sentiment-container"]
    assert container_module.options.env["ApiKey"] == "k-e-y"


def test_a_template_with_a_variable_that_only_an_image_needs_is_refused_without_it() -> None:
    with pytest.raises(ManifestError, match="CONTAINER_REGISTRY"):
        read_source(TEMPLATE, variables={})
    assert read_source(TEMPLATE, variables={"CONTAINER_REGISTRY": "r"}).deployment.modules


PROGRAM = """
from hub_tools.manifests import Module

def program(stack):
    one, two = Module(name="one", image="i/one:1", env={"K": stack.secret("K")}), Module(name="two", image="i/two:1")
    stack.deployment("base", priority=1, modules=[one])
    stack.layer("extra", priority=5, modules=[two], settings={"one": {"rate": 5}})
    stack.deployment("other", priority=1, modules=[two])
"""


def test_a_stack_is_exported_as_what_a_device_gets(tmp_path: Path) -> None:
    (tmp_path / "yard.py").write_text(PROGRAM)
    source = read_source(tmp_path / "yard.py", only=["base", "extra"])
    read = composed(to_compose(source).text, tmp_path, K="k")
    assert set(read["services"]) == {"one", "two"}
    assert read["services"]["one"]["environment"]["K"] == "k"
    assert json.loads(read["configs"]["one-twin"]["content"]) == {"rate": 5}


@pytest.mark.parametrize(("only", "words"), [((), "these are 2"), (("extra",), "these are 0"), (("no",), "has no no")])
def test_a_stack_has_to_come_to_one_device(tmp_path: Path, only: tuple[str, ...], words: str) -> None:
    (tmp_path / "yard.py").write_text(PROGRAM)
    with pytest.raises(InputError, match=words):
        read_source(tmp_path / "yard.py", only=only)
