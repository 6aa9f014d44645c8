"""A deployment as objects of a Kubernetes cluster.

Source: Kubernetes API reference (apps/v1 Deployment, v1 Service and ConfigMap, networking.k8s.io/v1 Ingress,
autoscaling/v2 HorizontalPodAutoscaler, v1 PersistentVolumeClaim).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hub_tools.export.kubernetes_pod import TWIN_KEY, Pod, pod_of
from hub_tools.export.plain import Exported, Plain, edge_warnings, plain_modules, yaml_text
from hub_tools.export.source import Source
from hub_tools.manifests import Deployment
from hub_tools.manifests.create_options import PortBinding
from hub_tools.manifests.secrets import SECRET, secret_names
from iot_core.errors import InputError, ManifestError
from iot_core.json_types import JsonObject

__all__ = ["ClusterOptions", "to_kubernetes"]

AUTOSCALED = ("scorer",)
"""Holds nothing that another copy would need, and computes."""
MAX_REPLICAS, CPU_PERCENT = 4, 70
CLAIM_SIZE = "1Gi"
REGISTRY_SECRET = "registry-"
_DNS_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """`domain` gives every module with ports on the host a name below it; `no_probes` and `autoscale` name modules."""

    domain: str | None = None
    namespace: str | None = None
    no_probes: Sequence[str] = ()
    autoscale: Sequence[str] = field(default=AUTOSCALED)


def to_kubernetes(source: Source, options: ClusterOptions | None = None) -> Exported:
    """The objects as YAML. Secrets are references to the keys of one Secret, which `kubectl create secret` makes."""
    chosen = options or ClusterOptions()
    return _Export(source.deployment, chosen).run()


class _Export:
    """One export; `warnings` gathers what is not carried over."""

    def __init__(self, deployment: Deployment, options: ClusterOptions) -> None:
        self._deployment = deployment
        self._options = options
        self._name = _dns_name(deployment.name)
        self._pull_secrets = [f"{REGISTRY_SECRET}{_dns_name(name)}" for name in deployment.registries]
        self.warnings: list[str] = edge_warnings(deployment)

    def run(self) -> Exported:
        self._check_options()
        modules = plain_modules(self._deployment, self.warnings)
        self._check_names(modules)
        objects = [each for module in modules for each in self._objects(module)]
        objects += self._ingress(modules)
        self._say_what_to_make(modules)
        return Exported(text=yaml_text(objects, self.warnings), warnings=tuple(self.warnings))

    def _check_options(self) -> None:
        domain, namespace = self._options.domain, self._options.namespace
        if domain is not None and (_DOMAIN.fullmatch(domain) is None or "." not in domain):
            raise InputError(f"--domain {domain!r}: give a domain such as edge.example.com")
        if namespace is not None and _DNS_NAME.fullmatch(namespace) is None:
            raise InputError(f"--namespace {namespace!r}: a namespace has a-z, 0-9 and -, and begins with a letter")
        known = {module.name for module in self._deployment.modules}
        asked = {*self._options.no_probes, *(set(self._options.autoscale) - set(AUTOSCALED))}
        if unknown := sorted(asked - known):
            raise InputError(f"there is no module {', '.join(unknown)}: there are {', '.join(sorted(known))}")

    def _check_names(self, modules: Sequence[Plain]) -> None:
        taken: dict[str, str] = {}
        for module in modules:
            name = _dns_name(module.name)
            if other := taken.get(name):
                raise ManifestError(f"modules {other} and {module.name} would both be {name}: rename one")
            taken[name] = module.name
            if name != module.name:
                self.warnings.append(f"{module.name}: is named {name} in the cluster, also for other modules")

    def _objects(self, module: Plain) -> Iterator[JsonObject]:
        name = _dns_name(module.name)
        pod = pod_of(
            module,
            name=name,
            secret=f"{self._name}-secrets",
            probes=module.name not in self._options.no_probes,
            warnings=self.warnings,
        )
        if module.twin is not None:
            yield self._object("v1", "ConfigMap", name, data={TWIN_KEY: self._twin(module)})
        for claim in pod.claims:
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": CLAIM_SIZE}}}
            yield self._object("v1", "PersistentVolumeClaim", claim, spec=spec)
            self.warnings.append(f"{module.name}: volume {claim} asks for {CLAIM_SIZE}: IoT Edge knows no size")
        autoscaled = self._is_autoscaled(module, pod)
        yield self._deployment_object(module, pod, name, autoscaled=autoscaled)
        if pod.ports:
            yield self._service(name, pod.ports)
        if autoscaled:
            yield self._autoscaler(name)

    def _deployment_object(self, module: Plain, pod: Pod, name: str, *, autoscaled: bool) -> JsonObject:
        spec = dict(pod.spec)
        if self._pull_secrets:
            spec["imagePullSecrets"] = [{"name": each} for each in self._pull_secrets]
        annotations = dict(pod.annotations)
        if module.twin is not None:
            annotations["edgeyard/twin"] = hashlib.sha256(self._twin(module).encode()).hexdigest()[:16]
        metadata = {"labels": _labels(name), **({"annotations": annotations} if annotations else {})}
        body: JsonObject = {} if autoscaled else {"replicas": 0 if module.module.status == "stopped" else 1}
        body |= {"selector": {"matchLabels": _labels(name)}, "template": {"metadata": metadata, "spec": spec}}
        if pod.claims or spec.get("hostNetwork"):
            # Two pods cannot hold the same disk or the same host port.
            body["strategy"] = {"type": "Recreate"}
        return self._object("apps/v1", "Deployment", name, spec=body)

    def _service(self, name: str, ports: Sequence[PortBinding]) -> JsonObject:
        listed = [
            {
                "name": f"{port.protocol}-{port.container_port}",
                "port": port.container_port,
                "protocol": port.protocol.upper(),
                "targetPort": port.container_port,
            }
            for port in ports
        ]
        return self._object("v1", "Service", name, spec={"selector": _labels(name), "ports": listed})

    def _is_autoscaled(self, module: Plain, pod: Pod) -> bool:
        if module.name not in self._options.autoscale or module.module.status == "stopped":
            return False
        if pod.claims:
            self.warnings.append(f"{module.name}: is not scaled, for its copies would share a volume")
            return False
        if not pod.has_cpu_limit:
            self.warnings.append(
                f"{module.name}: has no limit of CPUs, so it is scaled by a request of {pod.cpu_request}"
            )
        return True

    def _autoscaler(self, name: str) -> JsonObject:
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": MAX_REPLICAS,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": CPU_PERCENT}},
                }
            ],
        }
        return self._object("autoscaling/v2", "HorizontalPodAutoscaler", name, spec=spec)

    def _ingress(self, modules: Sequence[Plain]) -> list[JsonObject]:
        published = [(module, port) for module in modules for port in self._published(module)]
        domain = self._options.domain
        if domain is None:
            self.warnings += [
                f"{module.name}: host port {port.host_port} is not opened on the nodes: --domain gives it a name"
                for module, port in published
            ]
            return []
        first: set[str] = set()
        rules = []
        for module, port in published:
            name = _dns_name(module.name)
            host = f"{name}.{domain}" if name not in first else f"{name}-{port.container_port}.{domain}"
            first.add(name)
            backend = {"service": {"name": name, "port": {"number": port.container_port}}}
            rules.append({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
        if not rules:
            self.warnings.append("no module has a port on the host, so --domain names nothing")
            return []
        secret = f"{self._name}-tls"
        self.warnings.append(f"Ingress: the certificate of {domain} is taken from the secret {secret}")
        tls = [{"hosts": [rule["host"] for rule in rules], "secretName": secret}]
        return [self._object("networking.k8s.io/v1", "Ingress", self._name, spec={"tls": tls, "rules": rules})]

    def _published(self, module: Plain) -> Iterator[PortBinding]:
        """The ports that a module has on the host, where others reach it; a loopback address is not for others."""
        for port in module.module.options.port_bindings:
            if port.protocol != "tcp":
                self.warnings.append(f"{module.name}: host port {port.host_port}/{port.protocol} is not opened")
            elif not port.host_ip.startswith("127."):
                yield port

    def _say_what_to_make(self, modules: Sequence[Plain]) -> None:
        names = sorted({name for module in modules for name in secret_names([*module.env.values(), module.arguments])})
        space = f" --namespace {self._options.namespace}" if self._options.namespace else ""
        if names:
            self.warnings.append(
                f"make the secret {self._name}-secrets with {', '.join(names)}: "
                f"kubectl create secret generic {self._name}-secrets --from-env-file=.env{space}"
            )
        for login, secret in zip(self._deployment.registries.values(), self._pull_secrets, strict=True):
            self.warnings.append(
                f"make the secret {secret}: kubectl create secret docker-registry {secret} "
                f"--docker-server={login.address} --docker-username=… --docker-password=…{space}"
            )
        if any(module.twin is not None for module in modules) and any(m.module.options.port_bindings for m in modules):
            self.warnings.append(
                "modules do not reach each other at the device's address but by name (http://NAME:PORT)"
            )

    def _twin(self, module: Plain) -> str:
        text = json.dumps(module.twin, indent=2, ensure_ascii=False)
        for name in sorted(set(SECRET.findall(text))):
            self._once(f"{module.name}: a ConfigMap holds no secret: put the value of ${{{name}}} into its {TWIN_KEY}")
        return SECRET.sub(lambda match: f"${{{match[1]}}}", text)

    def _once(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _object(self, api: str, kind: str, name: str, **body: object) -> JsonObject:
        space = {"namespace": self._options.namespace} if self._options.namespace else {}
        labels = {**_labels(name), "app.kubernetes.io/part-of": self._name}
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **space, "labels": labels}, **body}


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def _dns_name(name: str) -> str:
    """A module's id as a name of RFC 1035; ManifestError when nothing like one is left."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if _DNS_NAME.fullmatch(found) is None:
        raise ManifestError(f"{name[:80]!r} gives no name of up to 63 letters, digits and - for a cluster: rename it")
    return found
