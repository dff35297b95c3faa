"""Archives of runs that were really trained: measured again from the archive, and kept as they came by `bench run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.tiny_study import on_cpu, write_tiny_study

from bench.cli import bench
from bench.errors import BenchError
from bench.files import read_json, write_json


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one trained run and its archive, weights of the final step included."""
    folder = tmp_path_factory.mktemp("sender")
    write_tiny_study(folder)
    type_(folder, "run", "--all", "--per-device", "1")
    type_(folder, "export", "-o", str(folder / "tiny.zip"), "--weights", "final")
    return folder


def type_(folder: Path, *words: str, data: Path | None = None) -> str:
    roots = {"config": folder / "bench.toml", "runs": folder / "runs", "data": data or folder / "data"}
    options = [word for name, path in roots.items() for word in (f"--{name}", str(path))]
    result = CliRunner().invoke(bench, [*options, *on_cpu(words)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert result.return_value == 0, result.output
    return str(result.output)


def test_the_numbers_at_the_final_step_are_measured_again(sender: Path) -> None:
    output = type_(sender, "verify", str(sender / "tiny.zip"), "--metrics")
    held = next(line for line in output.splitlines() if line.startswith("holds       metrics"))
    again, _, there = held.split(": ")[1].partition(" of ")
    assert 0 < int(again) < int(there.split()[0])  # the first snapshot stayed with the sender


def test_bench_run_counts_imported_runs_as_done_and_never_touches_them(sender: Path, tmp_path: Path) -> None:
    write_tiny_study(tmp_path)
    type_(tmp_path, "import", str(sender / "tiny.zip"))
    (run,) = (tmp_path / "runs" / "tiny").glob("*/seed-*")
    assert "1 had nothing missing" in type_(tmp_path, "run", "--all", data=sender / "data")
    assert "imported from" in type_(tmp_path, "show", "nsgan/0")

    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    plan = (tmp_path / "runs" / "tiny" / "plan.json").read_bytes()
    with pytest.raises(BenchError, match=r"never changes:\n  nsgan-controlled/seed-0-"):
        type_(tmp_path, "evaluate", "--again", data=sender / "data")
    write_tiny_study(tmp_path, budget={"generator_steps": 4})
    with pytest.raises(BenchError, match="is not planned any more"):
        type_(tmp_path, "run", "--all", data=sender / "data")
    write_tiny_study(tmp_path, evaluation={"samples": 60})
    with pytest.raises(BenchError, match="is done and would be measured again"):
        type_(tmp_path, "run", "--all", data=sender / "data")
    write_tiny_study(tmp_path)
    assert before == {file: file.read_bytes() for file in run.rglob("*") if file.is_file() and file.name != ".lock"}
    assert plan == (tmp_path / "runs" / "tiny" / "plan.json").read_bytes()

    spec = read_json(run / "spec.json")
    write_json(run / "spec.json", spec | {"code": spec["code"] | {"training": "another"}})
    with pytest.raises(BenchError, match="is stale and would be trained again"):
        type_(tmp_path, "run", "--all", data=sender / "data")
    assert run.is_dir()


def test_a_study_whose_seeds_were_divided_over_machines_becomes_one(sender: Path, tmp_path: Path) -> None:
    for seed in ("0", "1"):
        (tmp_path / seed).mkdir()
        write_tiny_study(tmp_path / seed, seeds="0-1")
        type_(tmp_path / seed, "run", "--all", "--only-seeds", seed, data=sender / "data")
        type_(tmp_path / seed, "export", "-o", str(tmp_path / f"{seed}.zip"))
    with pytest.raises(BenchError):
        type_(tmp_path / "0", "run", "--all", "--only-seeds", "2", data=sender / "data")
    write_tiny_study(tmp_path, seeds="0-1")
    for seed in ("0", "1"):
        type_(tmp_path, "import", str(tmp_path / f"{seed}.zip"))
    rows = json.loads(type_(tmp_path, "status", "--json", data=sender / "data"))
    assert {(row["run"], row["state"], row["imported"]) for row in rows} == {
        ("nsgan-controlled/seed-0", "done", True),
        ("nsgan-controlled/seed-1", "done", True),
    }
    assert "2 had nothing missing" in type_(tmp_path, "run", "--all", data=sender / "data")
