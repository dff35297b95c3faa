"""Python files of a user's own: finding the one class that such a file is about. Importing one runs its code."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TypeVar

from bench.errors import BenchError

T = TypeVar("T")


def class_in(path: Path, base: type[T], what: str) -> type[T]:
    """Import a user's file and return the one subclass of `base` in it; `what` names its kind: "objective".

    A file that has changed since, in a notebook say, is another module. Raises BenchError for a file that cannot be
    imported or does not define exactly one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from error
    digest = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()
    module_name = f"bench_user_{what}_{digest[:12]}"
    if module_name not in sys.modules:
        _run(content, path, module_name)
    return class_of_module(module_name, base, path)


def class_of_module(module_name: str, base: type[T], path: Path) -> type[T]:
    """Return the one subclass of `base` that an imported module defines; `path` is for the message."""
    found = [
        value
        for value in vars(sys.modules[module_name]).values()
        if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module_name
    ]
    if len(found) != 1:
        raise BenchError(
            f"{path} must define exactly one subclass of {base.__module__}.{base.__name__}, it defines {len(found)}",
            hint="Put each into a file of its own; `bench new` writes one to start from.",
        )
    return found[0]


def base_names(path: Path) -> set[str]:
    """Return what the classes that a file defines are made of, by the last part of each name; runs no code.

    Empty for a file that is no Python: importing it will say why.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return set()
    bases = (base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases)
    return {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in bases}


def _run(content: bytes, path: Path, module_name: str) -> None:
    """Make a module of what was read of a file.

    Python's own loader would take the code that it keeps of an earlier edit of the same second and length.
    """
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:  # sys.exit() would end bench without a word
        del sys.modules[module_name]
        raise _unusable(path, error) from error


def _unusable(path: Path, error: BaseException) -> BenchError:
    return BenchError(f"{path} cannot be imported: {type(error).__name__}: {error}", hint="Mend the file.")
