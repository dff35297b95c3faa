"""The command line as a user meets it: real runs of a tiny study, in a folder of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import pytest
from helpers.study_fixture import realistic
from helpers.tiny_study import on_cpu

from bench import gpus, objectives
from bench.execution.devices import has_bf16_instructions
from bench.files import read_jsonl

ROOT = Path(__file__).parents[2]


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


def test_from_nothing_to_a_report_and_nothing_twice(workplace: Path, bench: Bench) -> None:
    planned = bench("plan")
    assert "2 of 2 runs to train" in planned
    assert "evaluation not counted" in planned
    assert "train     nsgan-controlled/seed-0" in bench("run", "--all", "--dry-run")
    assert not (workplace / "runs").exists()
    output = bench("run", "--all", "--per-device", "2")
    assert "2 done" in output
    assert "Next: bench report" in output
    assert "2 had nothing missing" in bench("run", "--all")
    rows = json.loads(bench("status", "--json"))
    assert [row["state"] for row in rows] == ["done", "done"]
    assert all(row["generator_steps"] == 12 for row in rows)
    shown = json.loads(bench("show", "vae/0", "--json"))
    assert shown["status"]["discriminator_steps"] == "0"
    assert shown["asked"]["budget.batch"] == 8

    output = bench("report")
    assert "report.html" in output
    for name in ("report.html", "report.md", "results.csv", "summary.csv"):
        assert (workplace / "reports" / "tiny" / name).stat().st_size > 100

    metrics = next((workplace / "runs" / "tiny" / "vae-controlled").glob("*/metrics.jsonl"))
    before = read_jsonl(metrics)
    assert "1 done" in bench("evaluate", "vae", "--again")
    assert read_jsonl(metrics) == before

    plan = json.loads(bench("plan", "--seeds", "0-1", "--json"))
    assert [run["state"] for run in plan["runs"]] == ["done", "done", "planned", "planned"]
    assert all(run["measured"] for run in plan["runs"])
    assert "of evaluation (as in finished runs)" in bench("plan", "--seeds", "0-1")


@pytest.mark.slow
def test_one_run_over_two_ranks(workplace: Path, bench: Bench) -> None:
    assert "1 done" in bench("run", "nsgan", "--ranks", "2")
    folder = next((workplace / "runs" / "tiny" / "nsgan-controlled").glob("seed-0-*"))
    assert json.loads((folder / "environment.json").read_text())["ranks"] == 2


def test_ctrl_c_saves_says_how_to_go_on_and_goes_on(workplace: Path, bench: Bench) -> None:
    words = on_cpu(["run", "--all", "--steps", "4000", "--per-device", "1"])
    command = [sys.executable, "-m", "bench", *words]
    process = subprocess.Popen(command, cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = workplace / "runs" / "tiny.steps-4000" / "nsgan-controlled"
    deadline = time.monotonic() + 120
    while not any(read_jsonl(path) for path in log.glob("*/log.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 130, output
    assert re.search(r"^stopping 1 run ", output, re.MULTILINE)  # at once: saving may take some seconds
    assert "Type the same command again" in output
    assert "Traceback" not in output
    rows = json.loads(bench("status", "--study", "tiny.steps-4000", "--json"))
    assert [row["state"] for row in rows] == ["interrupted", "planned"]
    assert list(log.glob("*/checkpoint-*.ckpt"))
    rows = json.loads(bench("plan", "--steps", "4000", "--json"))["runs"]
    assert [row["state"] for row in rows] == ["interrupted", "planned"]


def test_a_run_that_fails_costs_only_itself(workplace: Path, bench: Bench) -> None:
    (workplace / "broken.py").write_text(
        (ROOT / "bench" / "objectives" / "lsgan.py").read_text().replace("0.5 * (D(real)", "None * (D(real)"),
        encoding="utf-8",
    )
    output = bench("run", "nsgan", "./broken.py", code=1)
    assert "1 done, 1 failed" in output
    assert "failed   broken-controlled/seed-0: TypeError" in output
    assert "again " not in output  # an error of the code would come again
    assert re.search(r": (bench run .*)", output)[1] == "bench run --devices cpu ./broken.py"
    folder = next((workplace / "runs" / "tiny" / "broken-controlled").glob("seed-*"))
    assert "Traceback" in (folder / "failure.txt").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run",), "Which runs?"),
        (("run", "nsgna"), 'did you mean "nsgan"?'),
        (("run", "--all", "--seeds", "x"), '--seeds "x" must be'),
        (("run", "--all", "--devices", "cuda:7"), 'no device "cuda:7"'),
        (("run", "--all", "--study", "tinny"), 'did you mean "tiny"?'),
        (("run", "--all", "--per-device", "2", "--workers", "3"), "No such option"),
        (("run", "--all", "--steps", "0"), "0 is not in the range"),
        (("status",), "bench run --all --study tiny"),
        (("report", "--study", "none"), "no runs in runs"),
        (("frobnicate",), "No such command"),
        (("--config", "nowhere.toml", "plan"), "bench init"),
        (("show", "zzz"), "no runs in runs"),
        (("evaluate",), "No run of the study is trained yet"),
        (("clean",), "no folder"),
    ],
)
def test_wrong_usage_is_told_in_words(bench: Bench, words: tuple[str, ...], says: str) -> None:
    assert says in bench(*words, code=2)


def test_init_writes_a_file_that_works_and_never_overwrites(workplace: Path, bench: Bench) -> None:
    (workplace / "bench.toml").unlink()
    bench("init")
    assert (workplace / "bench.toml").read_bytes() == (ROOT / "bench.toml").read_bytes()
    assert "exists already" in bench("init", code=2)


def test_the_list_of_verbs_is_cut_off_nowhere(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert not re.search(r"\w\.\.\.$", bench("--help"), re.MULTILINE)


def test_list_names_everything(workplace: Path, bench: Bench) -> None:
    found = json.loads(bench("list", "--json"))
    names = {row["name"] for row in found["objectives"]}
    assert names == set(objectives.names())
    assert {row["name"] for row in found["metrics"]} >= {"fid", "fd_lite0", "coverage_judge"}
    assert found["studies"][0]["name"] == "tiny (default)"


def test_doctor_says_what_is_there(workplace: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "look", lambda: gpus.Machine(None))
    what = " ".join(finding["what"] for finding in json.loads(bench("doctor", "--json")))
    assert "device cpu" in what
    assert ("without bf16" in what) is not has_bf16_instructions()
    assert "images will be drawn" in what


def test_verbs_that_only_read_start_quickly(workplace: Path) -> None:
    """`--help` imports nothing large; reading imports no torch, which alone takes three seconds."""
    realistic("tiny", objectives=("nsgan",), fates={("nsgan", "controlled", 0): None}).write(workplace / "runs")
    code = """if True:
        import sys
        from bench.__main__ import run
        assert run(["--help"]) == 0
        assert not {"torch", "numpy", "pydantic", "rich"} & set(sys.modules)
        assert run(["status"]) == 0
        assert run(["show", "nsgan/7"]) == 2
        import bench.cli.verbs.report, bench.report
        assert "torch" not in sys.modules
    """
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=workplace, check=True, env=environment, capture_output=True)


def test_a_run_folder_of_another_version_is_told(workplace: Path, bench: Bench) -> None:
    bench("plan")
    output = bench("plan", "--json")
    run = json.loads(output)["runs"][0]
    folder = workplace / "runs" / "tiny" / "nsgan-controlled" / f"seed-0-{run['id']}"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text('{"schema": 99, "state": "done"}')
    assert "another version of bench" in bench("run", "nsgan", code=2)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(workplace: Path, bench: Bench) -> None:
    import torch

    from bench.training.checkpoint import load_checkpoint, save_checkpoint

    for step in (1, 2, 3):
        save_checkpoint(workplace, step, {"x": torch.tensor(step)})
    files = sorted(workplace.glob("checkpoint-*.ckpt"))
    assert len(files) == 2
    files[1].write_bytes(files[1].read_bytes()[:-5])
    state = load_checkpoint(workplace, torch.device("cpu"))
    assert state is not None
    assert state["generator_steps"] == 2
    files[0].write_bytes(b"x")
    with pytest.raises(Exception, match="is damaged"):
        load_checkpoint(workplace, torch.device("cpu"))
