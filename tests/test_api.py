"""The public Python API: light to import, whole, documented, and the same thing as the commands."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.tiny_study import write_tiny_study
from rich.console import Console
from safetensors.numpy import load_file

import bench
from bench.execution.running import folder_of
from bench.files import read_jsonl

ROOT = Path(__file__).parent.parent
SECTIONS = {
    "Studies and plans": ["load_study", "load_config", "make_plan", "Study", "Config", "Plan", "RunSpec"],
    "Running": ["run_study", "evaluate_study", "Outcomes", "Destination"],
    "Results, statistics and reports": ["read_results", "read_statistics", "render_report", "ReportPaths"],
    "Statistics of any tidy table": ["compare", "tie_groups"],
    "Images and metrics": ["measure", "load_images", "generate_images", "prepare_data", "PreparedData"],
    "Networks and objectives": ["build_networks", "Switches", "objective_names", "load_objective", "Objective"],
    "Errors": ["BenchError"],
}
INTRODUCTION = """# The Python API

`import bench` is quick; what a name needs is imported when it is first asked for. `help(bench.run_study)` tells the
shapes, units, errors and an example of each; [notebook.md](notebook.md) shows them at work. The parameters in square
brackets have defaults. The commands are these functions: what one does, the other does."""
HEAVY = {"torch", "pandas", "pydantic", "numpy", "scipy", "rich", "matplotlib"}
FUNCTIONS = [name for name in bench.__all__ if inspect.isfunction(getattr(bench, name))]


def test_importing_bench_loads_nothing_heavy() -> None:
    code = f"import bench, sys; print(*{HEAVY!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["load_study", "read_results", "read_statistics", "render_report", "compare"])
def test_what_reads_alone_loads_no_torch(name: str) -> None:
    code = f"import bench, sys; bench.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_name_is_there_once_and_no_other() -> None:
    tree = ast.parse((ROOT / "bench" / "__init__.py").read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    for_types = {a.asname or a.name for node in typed.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert bench.__all__ == sorted(bench.__all__, key=lambda name: (not name[0].isupper(), name))
    assert set(bench._HOMES) == for_types == set(bench.__all__) - {"BenchError", "__version__"}
    assert set(bench.__all__) <= set(dir(bench))
    with pytest.raises(AttributeError, match="no_such_name"):
        bench.no_such_name  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", [name for name in bench.__all__ if name != "__version__"])
def test_every_name_has_a_docstring(name: str) -> None:
    value = getattr(bench, name)
    assert value.__doc__
    assert value.__module__.startswith("bench")
    assert not (ROOT / "bench" / name).exists()  # a sub-package of that name would take its place


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_and_shows_it(name: str) -> None:
    function, doc = getattr(bench, name), inspect.getdoc(getattr(bench, name)) or ""
    assert "BenchError" in doc or name in ("objective_names",)
    assert re.search(rf"^    .*\bbench\.{name}\(", doc, re.MULTILINE), "no example"
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_the_page_of_the_api_says_what_the_docstrings_say() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted({*bench.__all__} - {"__version__"})
    written = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert written == api_page(), f"docs/api.md should be\n{api_page()}"


def test_every_cell_of_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for source in cells():
        tree = ast.parse(source)
        *body, last = tree.body
        exec(compile(ast.Module(body, []), "notebook", "exec"), names)
        if isinstance(last, ast.Expr):
            names["_"] = eval(compile(ast.Expression(last.value), "notebook", "eval"), names)
        else:
            exec(compile(ast.Module([last], []), "notebook", "exec"), names)
    assert (names["outcomes"].done, names["outcomes"].complete) == (6, True)
    assert names["statistics"]["comparisons"][["label", "planned"]].to_numpy().tolist() == [["vae", 3]]
    assert names["verdicts"]["verdict"].tolist() == ["better"]
    assert dict(zip(names["ties"]["model"], names["ties"]["letters"], strict=True)) == {"large": "a", "small": "b"}
    assert names["paths"].html.is_file()
    assert names["scores"].shape == (8,)
    assert_measured_as_the_run_was(names["table"], names["run"], tmp_path / "runs")


def assert_measured_as_the_run_was(table: pd.DataFrame, run: bench.RunSpec, runs: Path) -> None:
    """The same images against the same real ones have the metrics that stand in the run's folder."""
    expected = {line["metric"]: line for line in read_jsonl(folder_of(run, runs).metrics_file)}
    assert set(table.index) == set(expected)
    for metric, row in table.iterrows():
        line = expected[str(metric)]
        assert row["value"] == pytest.approx(line["value"], rel=1e-9), metric
        assert row["floor"] == pytest.approx(line["floor"], rel=1e-9), metric
        for column in ("samples", "reference", "reference_samples", "floor_samples", "extractor"):
            assert row[column] == line[column], (metric, column)


def test_a_run_in_this_process_has_the_bits_of_a_workers(tmp_path: Path) -> None:
    study = bench.load_study(config=write_tiny_study(tmp_path))
    plan = bench.make_plan(study)
    (run,) = plan.runs
    quiet = Console(quiet=True)
    found = {}
    for in_process in (True, False):
        runs = tmp_path / f"runs-{in_process}"
        outcomes = bench.run_study(
            plan, "nsgan", runs=runs, data=tmp_path / "data", devices="cpu", in_process=in_process, console=quiet
        )
        assert (outcomes.done, outcomes.failed, outcomes.complete) == (1, 0, True)
        folder = folder_of(run, runs)
        metrics = [(line["metric"], line["value"]) for line in read_jsonl(folder.metrics_file)]
        found[in_process] = load_file(folder.snapshot_file(12)), metrics
    assert found[True][1] == found[False][1]
    for name, weight in found[True][0].items():
        np.testing.assert_array_equal(weight, found[False][0][name], err_msg=name)
    again = bench.run_study(plan, runs=tmp_path / "runs-True", data=tmp_path / "data", devices="cpu", console=quiet)
    assert (again.skipped, again.jobs) == (1, ())


def cells() -> list[str]:
    text = (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def api_page() -> str:
    """Return docs/api.md: every public name, by what it is for, with its parameters and its docstring's first line."""
    blocks = [INTRODUCTION]
    for title, names in SECTIONS.items():
        rows = [f"| `{name}{parameters(name)}` | {first_line(name)} |" for name in names]
        blocks += [f"## {title}", "\n".join(["| `bench.` | |", "|---|---|", *rows])]
    return "\n\n".join(blocks) + "\n"


def parameters(name: str) -> str:
    """Return a function's parameters as a call shows them, those with a default in brackets."""
    value = getattr(bench, name)
    if not inspect.isfunction(value):
        return ""
    given = inspect.signature(value).parameters.values()
    needed = ", ".join(p.name for p in given if p.default is p.empty)
    others = ", ".join(p.name for p in given if p.default is not p.empty)
    return f"({needed}[{', ' * bool(needed)}{others}])" if others else f"({needed})"


def first_line(name: str) -> str:
    return (inspect.getdoc(getattr(bench, name)) or "").splitlines()[0].replace("|", "\\|")
