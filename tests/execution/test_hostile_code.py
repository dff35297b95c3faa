"""Code that workers must not run, and code that ends early: modules in the current folder, sys.exit(), sent files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from helpers.tiny_study import on_cpu, write_tiny_study

from bench.__main__ import run as type_bench
from bench.cli import bench
from bench.errors import BenchError
from bench.execution import evaluating
from bench.execution.pool import launcher
from bench.files import read_json, sha256_file, write_json
from bench.networks.backbone import Generator
from bench.objectives import load
from bench.processes import python_environment
from bench.runs.folder import RunFolder, Status
from bench.validation.contract import check_objective

ROOT = Path(__file__).parents[2]
LSGAN = (ROOT / "bench" / "objectives" / "lsgan.py").read_text(encoding="utf-8")


def quitter(folder: Path, *, at_import: bool) -> Path:
    """Write an objective's file that calls sys.exit(): when it is imported, or in its loss."""
    text = LSGAN.replace("from typing", "import sys\nfrom typing", 1)
    if at_import:
        text += "\nsys.exit(0)\n"
    else:
        assert 'return {"fake": 0.5' in text
        text = text.replace('return {"fake": 0.5', 'sys.exit(0)\n        return {"fake": 0.5')
    (folder / "quitter.py").write_text(text, encoding="utf-8")
    return folder / "quitter.py"


def test_workers_in_a_folder_of_traps_train_and_a_loss_that_exits_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("glob", "random", "types", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    write_tiny_study(tmp_path, training={"snapshots": 1}, evaluation={"generators": ["raw"]})
    quitter(tmp_path, at_import=False)
    code = type_bench(on_cpu(["run", "nsgan", "./quitter.py", "--per-device", "1", "--steps", "2"]))
    output = capsys.readouterr().out
    assert code == 1, output
    (failed,) = (tmp_path / "runs" / "tiny.steps-2" / "quitter-controlled").iterdir()
    (trained,) = (tmp_path / "runs" / "tiny.steps-2" / "nsgan-controlled").iterdir()
    assert RunFolder(trained).status().state == "done"
    (failure,) = RunFolder(failed).status().failures  # as a mistake of the code, it is not tried again
    assert failure.kind == "code"
    assert "SystemExit: 0" in failure.reason


def test_ranks_import_nothing_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("glob", "types", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    command = [*launcher(2), "bench.execution.worker", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=python_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--checkpoint-seconds") >= 2


def test_a_file_that_exits_when_it_is_imported_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"quitter\.py cannot be imported: SystemExit: 0"):
        load(str(quitter(tmp_path, at_import=True)))
    report = check_objective(quitter(tmp_path, at_import=False))
    assert any(result.outcome == "failed" and "sys.exit" in result.problems[0].what for result in report.results)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_seconds_are_a_number(seconds: str) -> None:
    assert type_bench(["run", "--all", "--dry-run", "--checkpoint-seconds", seconds]) == 2


def test_replay_executes_no_file_that_a_run_names_without_asking(tmp_path: Path) -> None:
    write_tiny_study(tmp_path)
    roots = [f"--config={tmp_path / 'bench.toml'}", f"--runs={tmp_path / 'runs'}", f"--data={tmp_path / 'data'}"]
    sent = tmp_path / "sent"
    spec = _spec(tmp_path)
    marker, trap = tmp_path / "executed", tmp_path / "trap.py"
    trap.write_text(f"open({str(marker)!r}, 'w').close()\n")
    spec["training"]["objective"]["file"] = str(trap)
    write_json(sent / "spec.json", spec)
    result = CliRunner().invoke(bench, [*roots, "replay", str(sent), "--devices", "cpu"])
    assert isinstance(result.exception, BenchError)
    assert "--run-its-code" in str(result.exception.hint)
    assert not marker.exists()
    CliRunner().invoke(bench, [*roots, "replay", str(sent), "--devices", "cpu", "--run-its-code"])
    assert marker.exists()


@pytest.mark.parametrize("kind", ["extractor", "metric", "dataset"])
def test_neither_replay_nor_verify_executes_what_measures_a_run(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_study(tmp_path)
    spec: Any = _spec(tmp_path)
    marker, trap = tmp_path / "executed", tmp_path / "trap.py"
    trap.write_text(f"open({str(marker)!r}, 'w').close()\n")
    own = {"trap": {"file": str(trap), "source_sha256": sha256_file(trap)}}
    if kind == "dataset":
        spec["training"]["data"] |= {"source": "own", "recipe": "square", "path": str(trap)}
    elif kind == "metric":
        spec["evaluation"]["metric"] = own
    else:
        spec["evaluation"] |= {"extractor": own, "extractors": ["trap"]}
    sent = tmp_path / "sent"
    write_json(sent / "spec.json", spec)
    roots = [f"--config={tmp_path / 'bench.toml'}", f"--runs={tmp_path / 'runs'}", f"--data={tmp_path / 'data'}"]
    result = CliRunner().invoke(bench, [*roots, "replay", str(sent), "--devices", "cpu"])
    assert "--run-its-code" in str(result.exception.hint)  # type: ignore[union-attr]
    RunFolder(sent).write_status(Status("done", generator_steps=12, total_generator_steps=12))
    (sent / "snapshots").mkdir()
    (sent / "snapshots" / "step-00000012.safetensors").write_bytes(b"")
    monkeypatch.setattr(evaluating, "load_snapshot", lambda path, which, spec: Generator(32, 4, 8))
    with pytest.raises(BenchError, match="of code"):
        evaluating.measure_again(sent, tmp_path / "data")
    assert not marker.exists()


def _spec(folder: Path) -> dict[str, dict[str, dict[str, str]]]:
    from bench.config.reading import load_config
    from bench.runs.plan import make_plan

    (run,) = make_plan(load_config(folder / "bench.toml").study("tiny")).runs
    run.write(folder / "spec.json")
    found = read_json(folder / "spec.json")
    assert isinstance(found, dict)
    return found
