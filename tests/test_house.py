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

# From low to high: a module may import from its own layer and from lower ones.
LAYERS = (
    {
        "__init__",
        "certificates",
        "errors",
        "evaluation_settings",
        "files",
        "metrics_info",
        "portable",
        "published",
        "source",
        "wording",
    },
    {"runs", "objectives", "networks", "convolution", "sampling", "data"},
    {"recipe", "config", "config_errors"},
    {"plan"},
    {"cost", "training"},
    {"evaluation"},
    {"execution"},
    {"results"},
    {"statistics"},
    {"report"},
    {"contract", "theory", "modes", "scaffold"},
    {"comparing", "gallery", "listing", "showing", "deciding", "replaying", "verification", "doctor", "sharing"},
    {"cli"},
    {"__main__"},
)


def layer_of(part: str) -> int:
    found = [index for index, layer in enumerate(LAYERS) if part in layer]
    assert found, f"bench/{part} stands in no layer: add it to LAYERS in {Path(__file__).name}"
    return found[0]


def imports_of(path: Path) -> set[str]:
    """Return the parts of the package (its first-level modules) that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "bench":
                names = [
                    f"bench.{alias.name}"
                    for alias in node.names
                    if (PACKAGE / alias.name).is_dir() or (PACKAGE / f"{alias.name}.py").is_file()
                ]
        found |= {name.split(".")[1] for name in names if name.startswith("bench.")}
    return found


def test_imports_go_downwards() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        wrong += [
            f"{path.relative_to(ROOT)} imports bench.{other}"
            for other in imports_of(path)
            if layer_of(other) > layer_of(part)
        ]
    assert not wrong


@pytest.mark.parametrize(
    "module",
    ["results", "statistics", "report", "metrics_info", "runs", "config", "showing", "cli", "comparing", "published"],
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
