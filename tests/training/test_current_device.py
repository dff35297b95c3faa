"""Work on the second GPU is done with it as the current device: a capture on another than that one fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fake_device import fake_device
from helpers.training_fixture import study

from bench import gpus
from bench.data import prepare
from bench.execution import worker
from bench.networks.conditioning import Batch
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan
from bench.training.graph import GraphEngine
from bench.training.loop import build_state, train
from bench.training.timing import seconds_per_step


class FakeCuda:
    """In place of torch.cuda: knows the current device, and notes which one it was at each capture."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current = 0
        self.captures: list[int] = []
        here = self

        class Graph:
            def pool(self) -> None: ...

            def replay(self) -> None: ...

        class Stream:
            def __init__(self, *_: Any) -> None: ...

            def wait_stream(self, *_: Any) -> None: ...

        @contextmanager
        def capture(*_: Any, **__: Any) -> Iterator[None]:
            here.captures.append(here.current)
            yield

        for name, value in {
            "device": self._device,
            "Stream": Stream,
            "current_stream": Stream,
            "stream": nullcontext,
            "CUDAGraph": Graph,
            "graph": capture,
            "synchronize": lambda *_: None,
            "mem_get_info": lambda *_: (2**30, 2**30),
            "get_device_name": lambda *_: "a GPU",
            "get_device_capability": lambda *_: (9, 0),
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    @contextmanager
    def _device(self, device: torch.device) -> Iterator[None]:
        before, self.current = self.current, device.index
        yield
        self.current = before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def spec(**training: Any) -> RunSpec:
    return make_plan(study(training={"engine": "graph", "snapshots": 1, "log_every": 4, **training})).runs[0]


def test_steps_are_timed_on_the_device_that_is_named(cuda: FakeCuda) -> None:
    with fake_device("cuda:1", float64=True) as device:
        assert seconds_per_step(spec().training, device, seconds=0.0) > 0
    assert set(cuda.captures) == {1}
    assert cuda.current == 0


def test_a_run_is_trained_on_the_device_that_is_named(cuda: FakeCuda, tmp_path: Path) -> None:
    data = prepare(study().data, tmp_path / "data")
    with fake_device("cuda:1", float64=True) as device:
        status = train(RunFolder(tmp_path / "run"), spec(), data, device)
    assert (status.state, status.engine) == ("done", "graph")
    assert set(cuda.captures) == {1}


def test_whoever_captures_need_not_have_entered_the_device(cuda: FakeCuda) -> None:
    with fake_device("cuda:1", float64=True) as device:
        graphs = GraphEngine(build_state(spec().training, device))
        images = torch.rand(8, 3, 32, 32).to(memory_format=torch.channels_last)
        graphs.run_iteration(0, lambda number: Batch(images))
    assert cuda.captures == [1]


def test_a_worker_trains_and_evaluates_on_its_device(
    cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    spec().write(folder.spec_file)
    prepare(study().data, tmp_path / "data")
    seen: list[tuple[str, int]] = []
    monkeypatch.setattr("bench.training.environment.prepare_process", lambda threads: None)
    monkeypatch.setattr("bench.training.loop.train", lambda *_: seen.append(("train", cuda.current)))
    monkeypatch.setattr(
        "bench.execution.evaluating.evaluate_folder", lambda *_: seen.append(("evaluate", cuda.current))
    )

    def fingerprinted(*_: object) -> dict[str, str]:
        seen.append(("fingerprint", cuda.current))
        return {}

    monkeypatch.setattr("bench.training.fingerprint.fingerprint", fingerprinted)
    assert worker.work_on(folder, worker.Work(tmp_path / "data", "cuda:1"), lambda: False) == 0
    assert seen == [("fingerprint", 1), ("train", 1), ("evaluate", 1)]


def test_other_devices_need_no_entering(cuda: FakeCuda) -> None:
    with gpus.entered(torch.device("cpu")), gpus.entered(torch.device("mps")):
        assert cuda.current == 0
    with gpus.entered(torch.device("cuda:3")):
        assert cuda.current == 3
