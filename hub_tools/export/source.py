"""What is exported: a template, a finished manifest, or what a stack's items come to on one device.

A template's variables stay references (`{{secret:NAME}}`, see hub_tools.manifests.secrets) wherever a value may be a
secret: in the environment, the command and the desired properties of modules, and in registry credentials. Everywhere
else they get their values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub_tools.deployments import module_images_below, read_variables, target_platform_here
from hub_tools.manifests import CreateOptions, Deployment, Layer, Module, read_content, secret
from hub_tools.manifests.modules import ValueOf
from hub_tools.manifests.secrets import resolve
from hub_tools.stacks.environments import DEFAULT, read_environments
from hub_tools.stacks.program import Stack, load_program, run_program
from hub_tools.stacks.secrets import value_of
from iot_core.errors import InputError, ManifestError
from iot_core.manifest import expand_template, merge_layers
from iot_core.manifest.envelope import AGENT, DESIRED, HUB
from iot_core.manifest.variables import VARIABLE

__all__ = ["Source", "read_source"]

REFERENCES_STAY = frozenset({"Env", "Cmd", "Entrypoint"})
"""The container options in which a secret may stand."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RUNTIME = frozenset({AGENT, HUB, "$upstream", "$schema"})


@dataclass(frozen=True, kw_only=True)
class Source:
    """A whole deployment with references for its secrets, and where their values come from."""

    deployment: Deployment
    value_of: ValueOf


def read_source(
    file: Path,
    *,
    platform: str | None = None,
    environment: str = DEFAULT,
    only: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Source:
    """A template or manifest (.json), or a stack's program (.py) in one of its `environment`s.

    `platform` ("amd64", "arm64v8") chooses a template's images, this machine's by default. Of a stack, `only` names the
    items that the device has; without, it has all of them. `variables` stands in for the environment and .env. Raises
    ManifestError and InputError.
    """
    if file.suffix == ".py":
        return _stack(file, environment, only)
    if only:
        raise InputError("--only names items of a stack: give the stack's program (.py)")
    values = read_variables(file.parent) if variables is None else variables
    return _template(file, values, platform or target_platform_here())


def _template(file: Path, values: Mapping[str, str], platform: str) -> Source:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", path=str(file)) from None
    images = module_images_below(file.parent, values, platform, text=text)
    try:
        document = expand_template(_with_references(text, values), variables=values, images=images)
        return Source(
            deployment=_base(file.name.partition(".")[0], document, _values(values)), value_of=_values(values)
        )
    except ManifestError as error:
        raise ManifestError(str(error), path=str(file)) from None


def _with_references(text: str, values: Mapping[str, str]) -> str:
    """The template with a reference for each variable that stands within quotes."""
    return VARIABLE.sub(lambda match: _reference(match, text, values), text)


def _reference(match: re.Match[str], text: str, values: Mapping[str, str]) -> str:
    name, whole = match[1] or match[2], match[0]
    known = name in values or whole.startswith("${")
    if whole in _RUNTIME or not known or _NAME.fullmatch(name) is None or not _is_quoted(text, match.start()):
        return whole
    return secret(name)


def _is_quoted(text: str, position: int) -> bool:
    """Whether a position is within a JSON text; JSON texts end on their line."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 1


def _values(values: Mapping[str, str]) -> ValueOf:
    def value(name: str) -> str:
        if name not in values:
            raise ManifestError(f"${{{name}}} is left over: give the variable a value (in the environment or .env)")
        return values[name]

    return value


def _stack(file: Path, environment: str, only: Sequence[str]) -> Source:
    environments = read_environments(file.parent)
    if environment not in environments:
        raise InputError(f"there is no environment {environment!r}: there are {', '.join(sorted(environments))}")
    chosen = environments[environment]
    stack = run_program(load_program(file), Stack(file.stem, chosen), file)
    values = value_of(chosen, file.parent)
    return Source(deployment=_effective(file.stem, stack.items, only, values), value_of=values)


def _effective(name: str, items: Mapping[str, Deployment | Layer], only: Sequence[str], values: ValueOf) -> Deployment:
    """What a device gets that all of the items, or those of `only`, target."""
    unknown = [each for each in only if each not in items]
    if unknown:
        raise InputError(f"the stack has no {', '.join(unknown)}: it has {', '.join(items)}")
    chosen = [items[each] for each in (only or items)]
    bases = [item.name for item in chosen if isinstance(item, Deployment)]
    if len(bases) != 1:
        raise InputError(
            f"a device runs one base with its layers, and these are {len(bases)} ({', '.join(bases) or 'none'}): "
            "name one with its layers (--only BASE --only LAYER)"
        )
    documents = [
        {"name": item.name, "priority": item.priority, "created": age, **item.to_content()}
        for age, item in enumerate(chosen)
    ]
    desired = merge_layers(documents).desired
    content = {"modulesContent": {module: {DESIRED: value} for module, value in desired.items()}}
    return _base(name, content, values)


def _base(name: str, document: Mapping[str, Any], values: ValueOf) -> Deployment:
    read = read_content(name, document)
    if not isinstance(read, Deployment):
        raise ManifestError("is a layer, not a whole deployment: export the stack that it belongs to")
    return replace(
        read,
        modules=tuple(_placed(module, values) for module in read.modules),
        edge_agent=_placed(read.edge_agent, values),
        edge_hub=_placed(read.edge_hub, values),
        source={},
    )


def _placed(module: Module, values: ValueOf) -> Module:
    """The module with values for references everywhere but where a secret may stand."""
    options = {
        key: value if key in REFERENCES_STAY else resolve(value, values)
        for key, value in module.create_options.document.items()
    }
    return replace(module, image=resolve(module.image, values), create_options=CreateOptions(options))
