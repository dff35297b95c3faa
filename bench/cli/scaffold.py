"""What `bench new` writes: a small objective, extractor, metric or data set that works, and its test."""

from __future__ import annotations

import datetime
import importlib.util
import re
from pathlib import Path
from string import Template

from bench.errors import BenchError
from bench.files import write_atomic
from bench.metrics.settings import EXTRACTORS
from bench.objectives import names

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_own(name: str, directory: Path, kind: str = "objective") -> tuple[Path, Path]:
    """Write my_objective.py and test_my_objective.py for the name my-objective, and return their paths.

    `kind` is objective, extractor, metric or dataset. Raises BenchError, and writes nothing, when the name is not
    allowed or taken, or a file exists already.
    """
    stem = name.replace("-", "_")
    class_name = "".join(word.capitalize() for word in name.split("-"))
    files = directory / f"{stem}.py", directory / f"test_{stem}.py"
    text = (_TEMPLATES / f"{kind}.py.txt").read_text(encoding="utf-8")
    what = "a data set" if kind == "dataset" else f"a{'n' if kind[0] in 'eo' else ''} {kind}"
    _check(name, class_name, text, what)
    for file in files:
        if file.exists():
            raise BenchError(f"{file} exists already", hint="Choose another name or --directory, or move it away.")
    if importlib.util.find_spec(stem) is not None:  # after the files: `python -m bench` finds those of this folder too
        raise BenchError(
            f'{stem}.py would hide the Python module "{stem}"', hint=f"Choose another name, such as my-{name}."
        )
    values = {
        "name": name,
        "stem": stem,
        "class_name": class_name,
        "title": name.replace("-", " ").capitalize(),
        "year": str(datetime.date.today().year),
        "what": what,
    }
    of_test = "test_objective.py.txt" if kind == "objective" else "test_own.py.txt"
    test = (_TEMPLATES / of_test).read_text(encoding="utf-8")
    for file, template in zip(files, (text, test), strict=True):
        write_atomic(file, Template(template).substitute(values))
    return files


def _check(name: str, class_name: str, text: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        tidy = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name.removesuffix(".py")).lower())
        near = tidy.strip("-0123456789") and tidy.strip("-")
        did_you_mean = f' (did you mean "{near}"?)' if near and _NAME.fullmatch(near) else ""
        raise BenchError(
            f'"{name}" cannot be {what}\'s name{did_you_mean}',
            hint="Names are small letters and digits, with hyphens between words: my-objective.",
        )
    if name in (*names(), *EXTRACTORS):
        kind = "extractors" if name in EXTRACTORS else "objectives"
        raise BenchError(
            f'"{name}" is one of the package\'s {kind}',
            hint=f"Choose another name, such as my-{name}. `bench list objectives` shows the names in use.",
        )
    if re.search(rf"\b{class_name}\b", text):
        raise BenchError(f'"{name}" would hide a name that the file needs', hint=f"Choose another, such as my-{name}.")
