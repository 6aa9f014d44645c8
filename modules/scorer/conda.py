"""Which packages an entry script wants: a conda environment file, or pip's requirements, → lines for pip.

    python -m modules.scorer.conda conda.yml > requirements.txt

Of a folder, the first of FILES in it; nothing when it has none.
Read when an image is built (SCRIPT in the Dockerfiles). Azure ML environments come as conda files; here pip installs,
so what conda alone can install is refused by name. The YAML read is the part that such files use: mappings and lists
of plain or quoted text, nested by indentation or in square brackets.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from iot_core.errors import InputError

__all__ = ["requirements_of"]

FILES = ("conda.yml", "conda.yaml", "environment.yml", "conda_dependencies.yml", "requirements.txt")

SERVER = ("azureml-defaults", "azureml-inference-server-http", "azureml-core")
"""What serves the script on Azure; the scorer stands in its place."""
PROVIDED = ("python", "pip")
"""Packages of conda that the image has already."""
REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9,._ -]+\])?\s*(.*)")
CONDA_VERSION = re.compile(r"\s*(==|=|>=|<=|!=|<|>)?\s*([0-9A-Za-z.*]+)(=[^\s]*)?")


def requirements_of(path: Path) -> list[str]:
    """Lines for pip, without the packages of Azure ML's server; InputError names the line that cannot be used."""
    if path.is_dir():
        first = next((path / name for name in FILES if (path / name).is_file()), None)
        return [] if first is None else requirements_of(first)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    found = _of_conda(text, path) if path.suffix in (".yml", ".yaml") else _lines(text)
    return [_checked(line, path) for line in found if _name(line) not in SERVER]


def _checked(line: str, path: Path) -> str:
    """Options that lead to other files are refused: pip is not run where this file lies."""
    if re.match(r"(-r|-c|-e|--requirement|--constraint|--editable)\b", line):
        raise InputError(f"{path}: {line[:60]!r} leads to another file: write its packages here")
    return line


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield stripped


def _of_conda(text: str, path: Path) -> Iterator[str]:
    """Packages in "dependencies", and those of pip below it."""
    section, pip_indent = "", -1
    for number, line in enumerate(text.splitlines(), 1):
        content = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if not content.strip() or content.strip() in ("---", "..."):
            continue
        indent, item = len(content) - len(content.lstrip()), content.strip()
        if "\t" in content[:indent] or re.match(r"[&*!|>{?]", item):
            raise InputError(f"{path}, line {number}: this YAML is not understood: {item[:60]}")
        if indent == 0 and not item.startswith("-"):
            section, _, rest = item.partition(":")
            pip_indent = -1
            if section == "dependencies":
                yield from (_conda(entry, path, number) for entry in _inline(rest, path, number) if _wanted(entry))
            continue
        if section != "dependencies":
            continue
        if not item.startswith("-"):
            raise InputError(f"{path}, line {number}: a dependency begins with a hyphen, not {item[:60]!r}")
        entry = item[1:].strip()
        if re.fullmatch(r"pip\s*:(\s*\[.*\])?", entry):
            pip_indent = indent
            yield from _inline(entry.partition(":")[2], path, number)
        elif 0 <= pip_indent < indent:
            yield _unquoted(entry)
        else:
            pip_indent = -1
            if _wanted(_unquoted(entry)):
                yield _conda(_unquoted(entry), path, number)


def _inline(text: str, path: Path, number: int) -> list[str]:
    """The items of a list in square brackets; none of nothing."""
    text = text.strip()
    if not text:
        return []
    if not (text.startswith("[") and text.endswith("]")):
        raise InputError(f"{path}, line {number}: a list was expected, not {text[:60]!r}")
    return [_unquoted(item.strip()) for item in text[1:-1].split(",") if item.strip()]


def _wanted(entry: str) -> bool:
    return _name(entry.rpartition("::")[2]) not in PROVIDED


def _conda(entry: str, path: Path, number: int) -> str:
    """conda's "numpy=1.26" or "conda-forge::numpy=1.26=py311" as pip writes it."""
    match = REQUIREMENT.fullmatch(entry.rpartition("::")[2])
    rest = "" if match is None else match[3]
    version = CONDA_VERSION.fullmatch(rest) if rest else None
    if match is None or (rest and version is None and not re.fullmatch(r"[<>=!~][^\s]*(,\s*[<>=!~][^\s]*)*", rest)):
        raise InputError(f"{path}, line {number}: {entry!r} is not something that pip can install")
    if version is None:
        return match[1] + rest.replace(" ", "")
    operator, number_text = version[1] or "=", version[2]
    if operator == "=":
        return f"{match[1]}=={number_text}" if number_text.endswith("*") else f"{match[1]}=={number_text}.*"
    return f"{match[1]}{operator}{number_text}"


def _unquoted(text: str) -> str:
    quoted = re.fullmatch(r"'(.*)'|\"(.*)\"", text)
    return text if quoted is None else quoted[1] if quoted[1] is not None else quoted[2]


def _name(requirement: str) -> str:
    match = REQUIREMENT.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def main(arguments: list[str]) -> int:
    """Print the requirements of the files named; 2 for wrong use."""
    try:
        for argument in arguments:
            print("".join(f"{line}\n" for line in requirements_of(Path(argument))), end="")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
