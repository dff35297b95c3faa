"""The house's own rules: import order, no torch where it must start fast, style, and no reference to this machine."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bench"

# From low to high: a module may import from its own layer and from lower ones. A name stands for all below it, unless a
# longer name says otherwise.
LAYERS = (
    {"bench.version", "bench.errors"},
    {"bench.files", "bench.formatting", "bench.gpus", "bench.processes"},
    {"bench.metrics", "bench.networks", "bench.runs.identity", "bench.runs.portable", "bench.validation.certificates"},
    {"bench.objectives", "bench.data", "bench.runs", "bench.runs.folder", "bench.metrics.tolerances"},
    {"bench.config"},
    {"bench.runs.plan"},
    {"bench.runs.cost", "bench.training"},
    {"bench.evaluation"},
    {"bench.execution"},
    {"bench.statistics"},
    {"bench.report"},
    {"bench.validation"},
    {"bench.review"},
    {"bench.api"},
    {"bench"},
    {"bench.cli"},
    {"bench.__main__"},
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def layer_of(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for index, layer in enumerate(LAYERS):
            if ".".join(parts[:length]) in layer and (length > 1 or module == "bench"):
                return index
    raise AssertionError(f"{module} stands in no layer: add it to LAYERS in {Path(__file__).name}")


def imports_of(path: Path) -> set[str]:
    """Return the package's modules that a file imports, at any depth of it."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= (inside & set(MODULES)) or {node.module}
    return imported & set(MODULES)


def test_imports_go_downwards() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        for other in imports_of(path)
        if layer_of(other) > layer_of(module)
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also not inside of functions, and not for types alone."""
    waiting = {module: imports_of(path) - {module} for module, path in MODULES.items()}
    while ready := {module for module, imports in waiting.items() if not imports & set(waiting)}:
        for module in ready:
            del waiting[module]
    assert not waiting


@pytest.mark.parametrize(
    "module",
    [
        "statistics",
        "report",
        "metrics.catalogue",
        "runs.folder",
        "config.models",
        "cli",
        "cli.showing",
        "review.compare",
    ],
)
def test_what_must_start_fast_imports_no_torch(module: str) -> None:
    code = f"import bench.{module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*PACKAGE.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long


def test_no_text_is_broken_in_the_middle_of_a_line() -> None:
    """A word or two on a line of their own, with more text under them: left behind when a file was reformatted."""
    fragment = re.compile(r"""^ *f?(["']).{1,14}\1\n *f?["']""", re.MULTILINE)
    broken = {module: found[0] for module, path in MODULES.items() if (found := fragment.search(path.read_text()))}
    assert not broken


def test_ruff_finds_nothing() -> None:
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "."], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict_finds_nothing() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_names_a_machine_or_holds_a_photograph() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    home = re.compile(r"/(?:root|home/\w+|Users/\w+)/" if os.name == "posix" else r"C:\\Users")
    wrong = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".jpg", ".jpeg", ".npy", ".zip"}:
            wrong.append(name)
        elif path.suffix in {".py", ".md", ".toml", ".json", ".csv", ".html", ""} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if home.search(text) and path != Path(__file__):
                wrong.append(f"{name} names a home folder")
    assert not wrong
