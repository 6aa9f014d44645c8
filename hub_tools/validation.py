"""Files checked before anything is applied: templates, manifests, layers, and the programs of stacks.

Several files are the layers of one device. Variables of a template whose names tell of a secret stay references, so
what they hold is neither needed nor shown.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hub_tools.deployments import described_images, read_variables, target_platform_here
from hub_tools.manifests import Deployment, Layer, secret
from hub_tools.stacks.difference import TELLING
from hub_tools.stacks.environments import DEFAULT
from hub_tools.stacks.opening import open_stack
from hub_tools.stacks.policies import Policy, check_policies, plain_secrets, with_own, without_doubles
from hub_tools.stacks.program import load_policies
from iot_core import limits
from iot_core.errors import InputError, ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest import ModuleDescription
from iot_core.manifest.findings import Finding, Severity
from iot_core.manifest.template import SCHEMA_MARK, try_template
from iot_core.manifest.validation import Kind, LayerDocument, check_layers, check_manifest, read_document

__all__ = ["FileFinding", "validate_files", "with_references"]

TOGETHER = "(together)"
"""Stands for the file where only all files together have the finding."""

_SEVERITIES = tuple(Severity)


@dataclass(frozen=True, kw_only=True)
class FileFinding:
    """A finding and the file it is about; of a stack's program the item too, "stack.py:base"."""

    file: str
    finding: Finding

    def to_json(self) -> JsonObject:
        return {"file": self.file, **self.finding.to_json()}


@dataclass(frozen=True, kw_only=True)
class _Document:
    """A file as it was read: what it holds, what came up on the way, and the policies that count for it."""

    file: str
    document: Any
    findings: tuple[Finding, ...] = ()
    policies: tuple[Policy, ...] = ()
    silent: frozenset[str] = frozenset()
    """Paths of images that are not known because a module.json cannot be read, which has been told."""
    described: Mapping[str, ModuleDescription] = field(default_factory=dict, compare=False)
    """What module.json says of the modules with these images."""


def validate_files(
    files: Sequence[Path],
    *,
    variables: Mapping[str, str] | None = None,
    environment: str | None = None,
    home: Path | None = None,
    ignore: Collection[str] = (),
    kind: Kind | None = None,
) -> list[FileFinding]:
    """All findings on these files, file by file, the worst first.

    `variables` stand in for the environment and .env. `environment` is the one of a stack, by default the one that is
    selected in the data folder `home`, else `dev`. `ignore` holds rules to be silent about, `kind` is what a single
    document has to be. InputError for a file that cannot be read or is given twice, and for a program or a policy that
    fails.
    """
    twice = sorted({str(file) for file in files if files.count(file) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} is given twice: each file is one deployment")
    programs = [file for file in files if file.suffix == ".py"]
    documents = [_read(file, variables) for file in files if file not in programs]
    found = [item for file in programs for item in _program(file, environment, home)]
    found += _documents(documents, kind)
    kept = (item for item in dict.fromkeys(found) if item.finding.rule not in ignore)
    order = {str(file): position for position, file in enumerate(files)}
    return sorted(
        kept,
        key=lambda item: (
            order.get(item.file.rpartition(":")[0], order.get(item.file, len(order))),
            _SEVERITIES.index(item.finding.severity),
        ),
    )


def _documents(documents: Sequence[_Document], kind: Kind | None) -> Iterator[FileFinding]:
    for item in documents:
        yield from (FileFinding(file=item.file, finding=finding) for finding in item.findings)
    readable = [item for item in documents if item.document is not None]
    rules = _rules(readable, kind, whole=len(readable) == len(documents))
    for item in readable:
        own = [finding for file, finding in rules if file == item.file]
        told = without_doubles([*own, *check_policies(item.document, with_own(item.policies))])
        known = {(finding.path, finding.rule) for finding in item.findings}
        yield from (
            FileFinding(file=item.file, finding=finding)
            for finding in told
            if (finding.path, finding.rule) not in known and finding.path not in item.silent
        )
    yield from (FileFinding(file=TOGETHER, finding=finding) for file, finding in rules if not file)


def _rules(documents: Sequence[_Document], kind: Kind | None, *, whole: bool) -> list[tuple[str, Finding]]:
    """What the rules say of each, and where none is missing of all together."""
    inputs, outputs = _ports(documents)
    if whole and len(documents) > 1:
        return check_layers([_layer(item) for item in documents], inputs=inputs, outputs=outputs)
    elsewhere = () if whole else None
    return [
        (item.file, found)
        for item in documents
        for found in check_manifest(item.document, kind=kind, elsewhere=elsewhere, inputs=inputs, outputs=outputs)
    ]


def _ports(documents: Iterable[_Document]) -> tuple[dict[str, Collection[str]], dict[str, Collection[str]]]:
    """Inputs and outputs by module id, of the modules whose module.json lists them."""
    inputs: dict[str, Collection[str]] = {}
    outputs: dict[str, Collection[str]] = {}
    for item in documents:
        for entry in read_document(item.document).user_modules:
            image = entry.settings.get("image")
            description = item.described.get(image) if isinstance(image, str) else None
            if description is not None and description.inputs is not None:
                inputs[entry.name] = description.inputs
            if description is not None and description.outputs is not None:
                outputs[entry.name] = description.outputs
    return inputs, outputs


def _layer(item: _Document) -> LayerDocument:
    """A document in IoT Hub's own form has a priority; others rank as they are given."""
    given = item.document.get("priority") if isinstance(item.document, dict) else None
    known = isinstance(given, int) and not isinstance(given, bool) and given >= 0
    return LayerDocument(name=item.file, document=item.document, priority=given if known else None)


def _read(file: Path, variables: Mapping[str, str] | None) -> _Document:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", path=str(file)) from None
    policies = tuple(load_policies(file.parent))
    if SCHEMA_MARK in text or ".template." in file.name:
        return replace(_template(file, text, variables), policies=policies)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        return _Document(file=str(file), document=None, findings=(_not_json(str(error)),))
    # In a manifest that was generated all secrets are plain.
    return _Document(file=str(file), document=document, policies=(plain_secrets.at("advise"), *policies))


def _template(file: Path, text: str, variables: Mapping[str, str] | None) -> _Document:
    given = read_variables(file.parent) if variables is None else variables
    values = with_references(given)
    findings: list[Finding] = []
    described: dict[str, tuple[str, ModuleDescription]] | None = None
    try:
        described = described_images(file.parent, values, target_platform_here(), text=text)
    except ManifestError as error:
        findings.append(_of_error("V16", error, "Put module.json right, or give the variable a value in .env"))
    images = {name: image for name, (image, _) in (described or {}).items()}
    try:
        expansion = try_template(text, variables=values, images=images, max_chunks=limits.CREATE_OPTIONS_CHUNKS_AGENT)
    except ManifestError as error:
        return _Document(file=str(file), document=None, findings=(*findings, _not_json(str(error))))
    left = expansion.left_over.items()
    findings += [_left_over(name, path) for name, path in left if described is not None or not _is_image(name)]
    silent = frozenset({} if described is not None else {path for name, path in left if _is_image(name)})
    return _Document(
        file=str(file),
        document=expansion.document,
        findings=tuple(findings),
        silent=silent,
        described=dict((described or {}).values()),
    )


def _is_image(name: str) -> bool:
    return name.startswith(("${MODULES.", "${MODULEDIR<"))


def with_references(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables with a reference in place of the value of each whose name tells of a secret."""
    return {name: secret(name) if _is_secret(name) else value for name, value in variables.items()}


def _is_secret(name: str) -> bool:
    return TELLING.search(name) is not None and name[:1] != "_" and name.isascii()


def _left_over(name: str, path: str) -> Finding:
    fix = "Give the variable a value (in the environment or .env), or the module an image by its module.json"
    return Finding(rule="V16", severity=Severity.ERROR, path=path, message=f"{name} is left over", fix=fix)


def _not_json(text: str) -> Finding:
    return Finding(
        rule="V01", severity=Severity.ERROR, path="document", message=text, fix="Put the JSON right, then check again"
    )


def _of_error(rule: str, error: ManifestError, fix: str) -> Finding:
    return Finding(
        rule=rule, severity=Severity.ERROR, path=error.path or "document", message=str(error.args[0]), fix=fix
    )


def _program(file: Path, environment: str | None, home: Path | None) -> Iterator[FileFinding]:
    """Each item by itself; which of them meet on a device only the hub knows: `edgeyard preview`."""
    chosen = environment or (None if home else DEFAULT)
    stack = open_stack(file, chosen, home=home or Path()).stack
    policies = with_own(stack.policies)
    modules = {module.name for item in stack.items.values() for module in item.modules}
    for item in stack.items.values():
        for finding in _item(item, modules, policies):
            yield FileFinding(file=f"{file}:{item.name}", finding=finding)


def _item(item: Deployment | Layer, modules: Collection[str], policies: Iterable[Policy]) -> list[Finding]:
    try:
        content = item.to_content()
    except ManifestError as error:
        return [_of_error("V05", error, "Put the module right")]
    # A layer may belong to a base outside the stack, whose modules are not known here.
    elsewhere = modules if isinstance(item, Deployment) else None
    return without_doubles([*check_manifest(content, elsewhere=elsewhere), *check_policies(content, policies)])
