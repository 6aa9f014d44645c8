"""Policies: what an organization lets its modules be, as Python functions.

A policy looks at one module and says what is wrong with it, or nothing:

    @policy(level="refuse")
    def own_registry(module, context):
        if not module.image.startswith("acme.azurecr.io/"):
            return context.finding("the image is not from our registry", "Push it to acme.azurecr.io", "settings.image")

It counts where it stands in `policies.py` beside a stack's program, or is given by `stack.policy(own_registry)`. At
level "advise" what it says is a warning, at "refuse" an error, which stops; "off" silences it, also one of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from hub_tools.manifests.modules import Module
from hub_tools.manifests.secrets import SECRET
from hub_tools.manifests.telling import holds_credentials, looks_random, tells_of_secret
from iot_core.errors import InputError, ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest.findings import Finding, Severity
from iot_core.manifest.validation import Reading, check_manifest, read_document

__all__ = [
    "DEFAULT_POLICIES",
    "Level",
    "Policy",
    "PolicyContext",
    "check_policies",
    "default_checks",
    "policy",
    "with_own",
    "without_doubles",
]

Level = Literal["off", "advise", "refuse"]
LEVELS: tuple[Level, ...] = get_args(Level)
Check = Callable[[JsonObject], Iterable[Finding]]
_SEVERITIES = {"advise": Severity.WARNING, "refuse": Severity.ERROR}
_AGENT = "edgeAgent"


@dataclass(frozen=True, kw_only=True)
class PolicyContext:
    """Where a module stands: its path in the document, whether it is of the runtime, and what all modules get.

    `desired` holds the desired properties by module id, as far as the document writes them whole.
    """

    path: str
    system: bool
    desired: Mapping[str, JsonObject]

    def finding(self, message: str, fix: str = "Put it right, or ask who made the policy", at: str = "") -> Finding:
        """What a policy returns; `at` is the place below the module ("settings.image")."""
        path = f"{self.path}.{at}" if at else self.path
        return Finding(rule="", severity=Severity.WARNING, path=path, message=message, fix=fix)


PolicyFunction = Callable[[Module, PolicyContext], "Finding | str | Iterable[Finding | str] | None"]
"""Gives a finding, a message alone, several, or None for a module that is as it should be."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A function with its level; `id` is what its findings are called by."""

    id: str
    function: PolicyFunction
    level: Level = "advise"

    def at(self, level: Level) -> Policy:
        """The same at another level; InputError for one that there is not."""
        if level not in LEVELS:
            raise InputError(f"level {str(level)[:20]!r}: a policy's level is {', '.join(LEVELS)}")
        return replace(self, level=level)

    def __call__(self, module: Module, context: PolicyContext) -> Iterator[Finding]:
        """The findings on a module. Raises InputError, with the policy's name, for a function that fails."""
        if self.level == "off":
            return
        for said in self._said(module, context):
            finding = context.finding(said) if isinstance(said, str) else said
            yield replace(finding, rule=self.id, severity=_SEVERITIES[self.level])

    def _said(self, module: Module, context: PolicyContext) -> Sequence[Finding | str]:
        try:
            said = self.function(module, context)
            found = [] if said is None else [said] if isinstance(said, str | Finding) else list(said)
        except Exception as error:
            raise InputError(f"policy {self.id} fails on {module.name}: {type(error).__name__}: {error}") from error
        if not all(isinstance(item, str | Finding) for item in found):
            raise InputError(f"policy {self.id} gives something else than findings or texts on {module.name}")
        return found


def policy(*, level: Level = "advise", id: str | None = None) -> Callable[[PolicyFunction], Policy]:
    """Makes a policy of a function; its name is the id where none is given."""
    return lambda function: Policy(id=id or str(getattr(function, "__name__", "policy")), function=function).at(level)


@policy(id="P01", level="refuse")
def privileged(module: Module, context: PolicyContext) -> Iterator[Finding]:
    """Privileged containers can do on the device whatever root can."""
    if module.options.privileged:
        fix = "Remove Privileged; give the module the devices (Devices) or rights (CapAdd) that it needs"
        yield context.finding("the container is privileged", fix, "settings.createOptions.HostConfig.Privileged")
    if "ALL" in (module.options.host_config.get("CapAdd") or ()):
        fix = "Name the capabilities that it needs"
        yield context.finding("the container has all capabilities", fix, "settings.createOptions.HostConfig.CapAdd")


@policy(id="P02")
def latest_tags(module: Module, context: PolicyContext) -> Finding | None:
    """What runs under `latest` differs from device to device and from day to day."""
    name = module.image.strip()
    if "@" in name or "${" in name or name.rpartition("/")[2].partition(":")[2] not in ("", "latest"):
        return None
    return context.finding("the image is not named by a version", "Name a version or a digest", "settings.image")


@policy(id="P03")
def no_memory_limit(module: Module, context: PolicyContext) -> Finding | None:
    """One module that leaks takes all others down with it."""
    if context.system or module.options.memory:
        return None
    fix = 'Set it: Module(…, create_options=CreateOptions.of(memory="512m")), or HostConfig.Memory in bytes'
    return context.finding("the module has no memory limit", fix, "settings.createOptions.HostConfig.Memory")


@policy(id="P04", level="refuse")
def plain_secrets(module: Module, context: PolicyContext) -> Iterator[Finding]:
    """Secrets in a deployment are read by everybody who may read twins."""
    for name, value, at in _values(module, context):
        if tells_of_secret(name, value) or holds_credentials(value):
            yield replace(context.finding("holds a secret in plain text", _BY_REFERENCE), path=at)


@policy(id="P05")
def random_values(module: Module, context: PolicyContext) -> Iterator[Finding]:
    """A value that looks like a key most often is one, whatever it is called."""
    for name, value, at in _values(module, context):
        if looks_random(value) and not tells_of_secret(name, value) and not holds_credentials(value):
            yield replace(context.finding("looks like a key in plain text", _BY_REFERENCE), path=at)


@policy(id="P06")
def host_network(module: Module, context: PolicyContext) -> Finding | None:
    """On the host's network a module reaches, and offers, everything that the host does."""
    if module.options.network_mode != "host":
        return None
    fix = "Bind the ports that it needs instead"
    return context.finding("the module is on the host's network", fix, "settings.createOptions.HostConfig.NetworkMode")


DEFAULT_POLICIES = (privileged, latest_tags, no_memory_limit, plain_secrets, random_values, host_network)

_BY_REFERENCE = 'Use stack.secret("NAME"), or a variable of the template'


def _values(module: Module, context: PolicyContext) -> Iterator[tuple[str, str, str]]:
    """Name, value and path of everything in a module's deployment that may be a secret; references are none."""
    given: list[tuple[str, Any, str]] = [
        (name, value, f"{context.path}.env.{name}") for name, value in module.env.items()
    ]
    path = f"{context.path}.settings.createOptions.Env"
    given += [(name, value, f"{path}.{name}") for name, value in module.options.env.items()]
    given += _leaves(module.desired, f"modulesContent.{module.name}.properties.desired")
    if context.system and module.name == _AGENT:
        settings = (context.desired.get("$edgeAgent", {}).get("runtime") or {}).get("settings")
        given += _leaves(settings, "modulesContent.$edgeAgent.properties.desired.runtime.settings")
    for name, value, at in given:
        if isinstance(value, str) and not SECRET.fullmatch(value):
            yield name, value, at


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, dict | list):
                yield from _leaves(item, f"{path}.{name}")
            else:
                yield name, item, f"{path}.{name}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]") if isinstance(item, dict | list) else [("", item, path)]


def with_own(own: Iterable[Policy]) -> tuple[Policy, ...]:
    """The default policies and one's own; of one's own that are a default with another level, the level counts."""
    return tuple({_identity(item): item for item in (*DEFAULT_POLICIES, *own)}.values())


def _identity(item: Policy) -> tuple[Any, ...]:
    """The same for a function that was imported and for the one of the file itself, which are two objects."""
    code = getattr(item.function, "__code__", item.function)
    enclosed = getattr(item.function, "__closure__", None) or ()
    return item.id, code, tuple(repr(cell.cell_contents) for cell in enclosed)


def check_policies(document: Any, policies: Iterable[Policy] = DEFAULT_POLICIES) -> list[Finding]:
    """What the policies say of every module of a base, a layer or a merged deployment. Modules that cannot be read are
    passed over: `check_manifest` tells of those. Raises InputError for a policy that fails.
    """
    reading = read_document(document)
    modules = list(_modules(reading))
    return [finding for item in policies for module, context in modules for finding in item(module, context)]


def _modules(reading: Reading) -> Iterator[tuple[Module, PolicyContext]]:
    desired = {part.module: part.value for part in reading.parts if not part.where}
    for entry in reading.modules:
        twin = None if entry.system else desired.get(entry.name)
        try:
            module = Module.from_json(entry.name, entry.value, desired=twin)
        except (ManifestError, AttributeError, TypeError):
            continue
        yield module, PolicyContext(path=entry.path, system=entry.system, desired=desired)


def default_checks(own: Iterable[Policy] = ()) -> tuple[Check, ...]:
    """The checks that `compute_preview` runs on what each class of devices would get: V01–V17 and the policies.

    `own` are the stack's: `Stack.policies`.
    """
    policies = with_own(own)

    def check(document: JsonObject) -> list[Finding]:
        return without_doubles([*check_manifest(document, kind="base"), *check_policies(document, policies)])

    return (check,)


def without_doubles(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without V15 where a policy says the same of the same image."""
    found = list(findings)
    said = {finding.path for finding in found if finding.rule == latest_tags.id}
    return [finding for finding in found if finding.rule != "V15" or finding.path not in said]
