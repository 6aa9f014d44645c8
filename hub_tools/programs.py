"""Python programs that users write: run for what they make, with errors that name the file and the line.

A program may import what lies beside it.
"""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from iot_core.errors import EdgeyardError, InputError

__all__ = ["ProgramError", "first_made_by", "located", "names_in", "value_made_by"]

T = TypeVar("T")


class ProgramError(InputError):
    """A program that cannot be read or run, or does not make what is wanted; the message says where in the file."""


def names_in(file: Path) -> dict[str, Any]:
    """The names of a program after it was run; ProgramError when it cannot be."""
    if not file.is_file():
        raise ProgramError(f"{file} cannot be read: there is no such file")
    folder = str(file.parent.resolve())
    before = set(sys.modules)
    sys.path.insert(0, folder)
    try:
        return runpy.run_path(str(file), run_name="edgeyard_program")
    except Exception as error:
        raise located(error, file) from None
    finally:
        sys.path.remove(folder)
        _forget(set(sys.modules) - before, folder)


def value_made_by(file: Path, name: str, kind: type[T]) -> T:
    """What a program calls `name`: a value of a kind, or a function that returns one. Raises ProgramError."""
    return _value(file, names_in(file), name, kind)


def first_made_by(file: Path, kinds: Mapping[str, type]) -> Any:
    """The value of the first of some names that a program has, see `value_made_by`; the last one where it has none."""
    names = names_in(file)
    name = next((name for name in kinds if name in names), list(kinds)[-1])
    return _value(file, names, name, kinds[name])


def _value(file: Path, names: Mapping[str, Any], name: str, kind: type[T]) -> T:
    made = names.get(name)
    try:
        value = made() if callable(made) and not isinstance(made, kind) else made
    except Exception as error:
        raise located(error, file) from None
    if not isinstance(value, kind):
        raise ProgramError(f"{file}: write {name} = {kind.__name__}(…), or a function {name}() that returns one")
    return value


def located(error: Exception, file: Path) -> ProgramError:
    """The error with the last line of the program, or of a file beside it, that it came from."""
    if isinstance(error, SyntaxError):
        return ProgramError(f"{error.filename}:{error.lineno}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().parent == file.parent.resolve()]
    where = f"{own[-1].filename}:{own[-1].lineno}" if own else str(file)
    text = str(error) if isinstance(error, EdgeyardError) else f"{type(error).__name__}: {error}"
    return ProgramError(f"{where}: {text}")


def _forget(modules: set[str], folder: str) -> None:
    """Programs of other folders may import modules of the same names."""
    for name in modules:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}/"):
            del sys.modules[name]
