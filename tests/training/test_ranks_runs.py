"""Runs over several processes through torchrun: they write as one, end when a rank dies, and can go on alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from helpers.rank_functions import bf16_step
from helpers.training_fixture import CPU, small_study, study, trained
from torch.multiprocessing.spawn import spawn

from bench.data import prepare
from bench.errors import BenchError
from bench.execution import devices
from bench.execution.devices import choose_slots
from bench.execution.pool import launcher
from bench.files import read_json, read_jsonl
from bench.runs.folder import RunFolder
from bench.runs.plan import make_plan
from bench.training.loop import train
from bench.training.ranks import Ranks


def start(folder: Path, data: Path, ranks: int) -> subprocess.Popen[bytes]:
    command = [*launcher(ranks), "bench.execution.worker", "--folder", str(folder), "--data", str(data)]
    return subprocess.Popen(
        [*command, "--train-only", "--checkpoint-seconds", "0.1"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ranks_of(launched: subprocess.Popen[bytes]) -> list[int]:
    """Return the process numbers of torchrun's children."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(launched.pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_a_dead_rank_ends_the_run_which_goes_on_alone(tmp_path: Path) -> None:
    study = small_study({"objective": "wgan-gp"})
    run = make_plan(study).runs[0]
    prepare(study.data, tmp_path / "data")
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    process = start(folder.path, tmp_path / "data", ranks=2)
    deadline = time.monotonic() + 120
    while len(read_jsonl(folder.log_file)) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_json(folder.environment_file)["ranks"] == 2
    os.kill(ranks_of(process)[-1], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0, output.decode()
    assert folder.effective_state() in ("failed", "interrupted")
    steps = folder.status().generator_steps
    assert 0 < steps < study.budget.generator_steps

    alone = start(folder.path, tmp_path / "data", ranks=1)
    output, _ = alone.communicate(timeout=120)
    assert alone.returncode == 0, output.decode()
    status = folder.status()
    assert status.state == "done"
    assert status.images_seen == study.budget.generator_steps * study.budget.batch
    assert len(status.continued_on) == 1  # another number of ranks is another kind of machine
    logged = [line["generator_steps"] for line in read_jsonl(folder.log_file)]
    assert logged == sorted(set(logged))


def test_a_batch_that_ranks_cannot_share_is_refused(tmp_path: Path) -> None:
    study = small_study({"objective": "nsgan"})
    run = make_plan(study).runs[0]
    with pytest.raises(BenchError, match="cannot be shared evenly by 3 ranks"):
        train(RunFolder(tmp_path), run, prepare(study.data, tmp_path / "data"), torch.device("cpu"), ranks=Ranks(0, 3))


def test_ranks_are_given_devices_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [devices.Device(name, "") for name in ("cuda:0", "cuda:1", "cuda:2", "cpu")]
    monkeypatch.setattr(devices, "available_devices", lambda: there)
    monkeypatch.setattr(devices, "cores", lambda: 4)
    assert choose_slots("auto", None, 1, ranks=2) == ["cuda:0,cuda:1"]
    assert choose_slots("cpu", None, 1, ranks=2) == ["cpu,cpu", "cpu,cpu"]
    assert choose_slots("cpu", 1, 1, ranks=2) == ["cpu,cpu"]
    with pytest.raises(BenchError, match="over 4 ranks needs 4 devices"):
        choose_slots("cuda", None, 1, ranks=4)


def test_one_rank_through_the_process_group_trains_the_run_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "0")):
        monkeypatch.setenv(name, value)
    assert not Ranks.of_environment(CPU).grouped
    assert not torch.distributed.is_initialized()
    changes = {"training": {"snapshots": 1, "log_every": 1}}
    data = prepare(study().data, tmp_path / "data")
    plain, _, _ = trained(tmp_path / "plain", data, **changes)
    run = make_plan(study(**changes)).runs[0]
    folder = RunFolder(tmp_path / "grouped")
    ranks = Ranks.of_environment(CPU, force_group=True)
    try:
        assert torch.distributed.get_backend() == "gloo"
        assert (ranks.rank, ranks.count, ranks.grouped) == (0, 1, True)
        assert train(folder, run, data, CPU, ranks=ranks).state == "done"
    finally:
        ranks.close()
    assert not torch.distributed.is_initialized()
    # Batch norm is then bench's own, which rounds otherwise; nothing else may differ.
    lines = [read_jsonl(where.log_file) for where in (plain, folder)]
    for mine, theirs in zip(*lines, strict=True):
        for player in ("discriminator", "generator"):
            assert mine[player] == pytest.approx(theirs[player], rel=1e-4)
    assert read_json(folder.environment_file)["ranks"] == 1


def test_a_step_in_bf16_over_ranks_keeps_statistics_in_fp32(tmp_path: Path) -> None:
    """With batch norm in both networks, whose statistics cross the ranks."""
    spawn(bf16_step, (str(tmp_path),), 2)  # type: ignore[no-untyped-call]
    (first, buffers), (second, other_buffers) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first == second
    assert all(0 < value < 2 for terms in first.values() for value in terms.values())
    for name, buffer in buffers.items():
        assert torch.equal(buffer, other_buffers[name])
        assert buffer.dtype in (torch.float32, torch.int64)
