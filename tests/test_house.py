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
from helpers.fast import FAST

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bench"

# From low to high: a module may import from its own layer and from lower ones. A name stands for all below it, unless a
# longer name says otherwise.
LAYERS = (
    {"bench.version", "bench.errors", "bench.limits"},
    {"bench.images", "bench.owning"},
    {"bench.files", "bench.formatting", "bench.gpus", "bench.processes", "bench.userfile"},
    {"bench.metrics", "bench.networks", "bench.runs.identity", "bench.runs.portable", "bench.validation.certificates"},
    {"bench.objectives", "bench.data", "bench.runs", "bench.runs.folder", "bench.metrics.tolerances"},
    {"bench.config"},
    {f"bench.runs.{name}" for name in ("spec", "rows", "added", "differences", "registered", "fitting", "plan")},
    {"bench.runs.cost", "bench.runs.cautions", "bench.training", "bench.trackers"},
    {"bench.clusters"},
    {"bench.evaluation"},
    {"bench.execution"},
    {"bench.statistics"},
    {"bench.report"},
    {"bench.watch"},
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


def test_what_must_start_fast_imports_no_torch() -> None:
    """In one process, which names the first module that brings torch."""
    modules = (
        *("runs.folder", "metrics.catalogue", "metrics.settings", "evaluation.units", "config.reading"),
        *("statistics", "statistics.results", "report", "report.page", "cli", "cli.showing", "review.compare"),
        *("watch.server", "trackers.sending", "execution.pool", "execution.piece"),
    )
    code = f"""if True:
        import importlib, sys
        for name in {modules}:
            importlib.import_module("bench." + name)
            if {{"torch", "torchvision"}} & set(sys.modules):
                sys.exit(name)
        from bench.config.reading import find_config, load_config
        load_config(find_config(None))
        if "torch" in sys.modules:
            sys.exit("load_config")
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


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


def sentences_in(path: Path) -> list[str]:
    """Return what assertions and `match=` of a test file expect of 40 characters or more, with four words in a row."""
    wanted: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assert):
            wanted.append(node.test)
        elif isinstance(node, ast.Call):
            wanted += [keyword.value for keyword in node.keywords if keyword.arg == "match"]
    parts = [part for one in wanted for part in ast.walk(one)]
    inside = {id(piece) for part in parts if isinstance(part, ast.JoinedStr) for piece in part.values}
    texts = [_text(part) for part in parts if id(part) not in inside]
    word = r"[A-Za-z][a-z']*"
    sentence = re.compile(rf"(?<![\w/.-])(?:{word}[,.:;)]*\s+){{3}}{word}(?![\w/-])")
    return [text for text in texts if len(text) >= 40 and sentence.search(text)]


def _text(part: ast.AST) -> str:
    if isinstance(part, ast.JoinedStr):
        return "".join(_text(piece) if isinstance(piece, ast.Constant) else "{}" for piece in part.values)
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""


def test_tests_expect_fields_and_numbers_not_sentences() -> None:
    """So that a wording can be improved alone: assert on the field, the number or the word that decides."""
    found = {
        str(path.relative_to(ROOT)): texts for path in (ROOT / "tests").rglob("*.py") if (texts := sentences_in(path))
    }
    assert not found


def test_a_sentence_is_found_and_code_is_not(tmp_path: Path) -> None:
    file = tmp_path / "test_planted.py"
    sentence = "the run was stopped because its process was ended by a signal"
    file.write_text(
        f"assert '{sentence}' in output\n"
        f"with pytest.raises(ValueError, match='{sentence}'): pass\n"
        "assert 'bench run --all --study quick --devices cpu --per-device 2' in output\n"
        "assert r'wgan & controlled & 1,087 $\\cdot$ 1,022 (2 of 5) & nsgan & 30.0' in latex\n",
        encoding="utf-8",
    )
    assert sentences_in(file) == [sentence] * 2


def test_the_fast_tests_are_there_and_touch_every_room() -> None:
    for entry in FAST:
        name, _, test = entry.partition("::")
        assert f"def {test}" in (ROOT / "tests" / name).read_text(encoding="utf-8"), entry
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms <= {entry.partition("/")[0] for entry in FAST}
