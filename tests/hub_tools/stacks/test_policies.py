"""Policies: what the default ones find, and how users bring their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub_tools.manifests import CreateOptions, Deployment, Layer, Module, RegistryCredential, secret
from hub_tools.manifests.telling import looks_random
from hub_tools.programs import ProgramError
from hub_tools.stacks.environments import Environment
from hub_tools.stacks.policies import Policy, PolicyContext, check_policies, default_checks, policy, with_own
from hub_tools.stacks.policies import latest_tags as latest
from hub_tools.stacks.preview import compute_preview
from hub_tools.stacks.program import Stack, load_policies, load_program, run_program
from hub_tools.stacks.world import World
from iot_core.errors import InputError
from iot_core.manifest.findings import Finding

LIMITED = CreateOptions.of(memory="64m")
KEY = "q8Zt3vXw1Lk9Pb7Rn5Jd2Hs6Gf4Yc0Ma"
M = "modulesContent.$edgeAgent.properties.desired.modules.m"


def found(module: Module, **fields: Any) -> list[tuple[str, str, str]]:
    content = Deployment(name="b", modules=[module], **fields).to_content()
    return [(item.rule, item.severity.value, item.path) for item in check_policies(content)]


def sound(**fields: Any) -> Module:
    return Module(**{"name": "m", "image": "acme/m:1", "create_options": LIMITED, **fields})


def options(**fields: Any) -> CreateOptions:
    return CreateOptions.of(memory="64m", **fields)


def test_a_sound_module_passes() -> None:
    assert found(sound(env={"API_KEY": secret("KEY"), "MODE": "fast"}, ports={80: 8080})) == []


@pytest.mark.parametrize(
    ("module", "rule", "severity", "path"),
    [
        (
            sound(create_options=options(privileged=True)),
            "P01",
            "error",
            "settings.createOptions.HostConfig.Privileged",
        ),
        (
            sound(create_options=options(extra={"HostConfig": {"CapAdd": ["ALL"]}})),
            "P01",
            "error",
            "settings.createOptions.HostConfig.CapAdd",
        ),
        (sound(image="r:5000/m"), "P02", "warning", "settings.image"),
        (sound(image="acme/m:latest"), "P02", "warning", "settings.image"),
        (sound(create_options=CreateOptions()), "P03", "warning", "settings.createOptions.HostConfig.Memory"),
        (sound(env={"DB_PASSWORD": "hunter2"}), "P04", "error", "env.DB_PASSWORD"),
        (sound(create_options=options(env={"ApiKey": KEY})), "P04", "error", "settings.createOptions.Env.ApiKey"),
        (sound(env={"STORE": "AccountName=a;AccountKey=abc=="}), "P04", "error", "env.STORE"),
        (sound(env={"DB": "postgres://me:pw@db/x"}), "P04", "error", "env.DB"),
        (sound(env={"SALT": KEY}), "P05", "warning", "env.SALT"),
        (
            sound(create_options=options(network_mode="host")),
            "P06",
            "warning",
            "settings.createOptions.HostConfig.NetworkMode",
        ),
    ],
)
def test_the_default_policies(module: Module, rule: str, severity: str, path: str) -> None:
    assert found(module) == [(rule, severity, f"{M}.{path}")]


def test_secrets_in_twins_and_registry_logins_are_found() -> None:
    login = RegistryCredential(address="r", username="u", password="hunter2")
    twin = sound(desired={"store": {"token": "abc"}, "interval": 5})
    assert [path for _, _, path in found(twin, registries={"r": login})] == [
        "modulesContent.$edgeAgent.properties.desired.runtime.settings.registryCredentials.r.password",
        "modulesContent.m.properties.desired.store.token",
    ]
    referred = RegistryCredential(address="r", username="u", password=secret("PW"))
    assert found(sound(), registries={"r": referred}) == []


def test_no_finding_shows_the_secret() -> None:
    content = Deployment(name="b", modules=[sound(env={"DB_PASSWORD": "hunter2", "X": KEY})]).to_content()
    assert "hunter2" not in str(check_policies(content))
    assert KEY not in str(check_policies(content))


@pytest.mark.parametrize(
    "env",
    [
        {"TOKEN_URL": "https://login.acme.com/token"},
        {"PASSWORD_FILE": "/run/secrets/password"},
        {"partitionKey": "deviceId"},
        {"TOKEN_TTL": "3600"},
        {"KEY": f"Key={secret('KEY')}"},
        {"TENANT": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"},
        {"CLASSES": "thermostat-humidity-pressure-vibration"},
    ],
)
def test_what_only_sounds_like_a_secret_passes(env: dict[str, str]) -> None:
    assert found(sound(env=env)) == []


@pytest.mark.parametrize(
    ("value", "random"),
    [
        (KEY, True),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", True),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", False),
        ("three words and some more of them", False),
        ("short1A", False),
    ],
)
def test_values_of_high_entropy_look_random(value: str, random: bool) -> None:
    assert looks_random(value) is random


def test_a_layer_is_looked_at_too() -> None:
    layer = Layer(name="l", modules=[sound(create_options=options(privileged=True))])
    assert [item.rule for item in check_policies(layer.to_content())] == ["P01"]


def own_registry(module: Module, context: PolicyContext) -> str | None:
    return None if context.system or module.image.startswith("own.io/") else "is not from our registry"


def test_a_policy_of_ones_own_counts_beside_the_default_ones() -> None:
    stack = Stack("s", Environment(name="dev"))
    stack.policy(own_registry, level="refuse")
    (finding,) = check_policies(Deployment(name="b", modules=[sound()]).to_content(), with_own(stack.policies))
    assert (finding.rule, finding.severity.value, finding.path) == ("own_registry", "error", M)


def test_a_default_policy_gets_another_level() -> None:
    content = Deployment(name="b", modules=[sound(image="m:latest")]).to_content()
    assert [item.severity.value for item in check_policies(content, with_own([latest.at("refuse")]))] == ["error"]
    assert check_policies(content, with_own([latest.at("off")])) == []


def test_policies_beside_the_program_count(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text(
        "from hub_tools.stacks.policies import policy\n"
        "@policy(level='refuse')\ndef small(module, context):\n    return context.finding('is large', 'Shrink it')\n"
    )
    file = tmp_path / "stack.py"
    file.write_text("from hub_tools.manifests import Module\ndef program(stack): stack.deployment('b')\n")
    stack = run_program(load_program(file), Stack("s", Environment(name="dev")), file)
    assert [(item.id, item.level) for item in stack.policies] == [("small", "refuse")]


def test_a_policy_that_the_program_imports_counts_once_at_its_level(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text(
        "from hub_tools.stacks.policies import plain_secrets, policy\n"
        "@policy()\ndef imported(module, context):\n    return 'is there'\n"
        "strict = plain_secrets.at('advise')\n"
    )
    file = tmp_path / "stack.py"
    file.write_text(
        "from policies import imported\n"
        "def program(stack):\n    stack.deployment('b')\n    stack.policy(imported, level='refuse')\n"
    )
    stack = run_program(load_program(file), Stack("s", Environment(name="dev")), file)
    levels = [(item.id, item.level) for item in with_own(stack.policies)]
    assert levels.count(("imported", "refuse")) == 1
    assert ("imported", "advise") not in levels
    assert ("P04", "advise") in levels


def limit(number: int) -> Policy:
    return policy(id="limit")(lambda module, context: f"is over {number}")


def test_policies_that_a_function_makes_are_several() -> None:
    assert len(with_own([limit(1), limit(2), limit(2)])) == len(with_own([])) + 2


def test_a_file_of_policies_that_fails_is_told_by_line(tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text("x = 1\n1 / 0\n")
    with pytest.raises(ProgramError, match=r"policies\.py:2: ZeroDivisionError"):
        load_policies(tmp_path)


def failing(module: Module, context: PolicyContext) -> None:
    raise KeyError(module.name)


def giving_a_number(module: Module, context: PolicyContext) -> Any:
    return [5]


@pytest.mark.parametrize(("function", "message"), [(failing, "failing fails on"), (giving_a_number, "something else")])
def test_a_policy_that_fails_is_named(function: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_policies(Deployment(name="b", modules=[sound()]).to_content(), [policy()(function)])


def test_a_level_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="off, advise, refuse"):
        latest.at("forbid")  # type: ignore[arg-type]


def test_previews_run_rules_and_policies_on_what_each_class_gets() -> None:
    items: dict[str, Deployment | Layer] = {
        "b": Deployment(name="b", target="*", priority=1, modules=[sound(ports={80: 8080})]),
        "l": Layer(
            name="l", target="tags.a = 1", priority=5, modules=[sound(name="n", image="n:latest", ports={80: 8080})]
        ),
    }
    world = World(host_name="h", configurations=(), twins=({"deviceId": "d", "tags": {"a": 1}},))
    preview = compute_preview("s", "dev", items, world, checks=default_checks())
    assert [(item.rule, item.severity.value) for item in preview.findings] == [("V04", "error"), ("P02", "warning")]


def test_policies_are_plain_values() -> None:
    assert isinstance(latest, Policy)
    assert list(latest(sound(), PolicyContext(path="m", system=False, desired={}))) == []
    assert isinstance(next(iter(latest(sound(image="m"), PolicyContext(path="m", system=False, desired={})))), Finding)
