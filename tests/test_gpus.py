"""GPUs that torch cannot use: the cause and what helps, for drivers, builds and devices that are not here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_study import write_tiny_study
from helpers.training_fixture import study

from bench import gpus
from bench.__main__ import run
from bench.cli.doctor import examine
from bench.errors import BenchError
from bench.execution.devices import available_devices, choose_slots, refuse_silent_cpu
from bench.execution.running import made_for_gpus
from bench.files import write_json
from bench.gpus import Gpu, Machine, faults, has_kernels, usable
from bench.training.environment import describe_environment, kind_of_machine

K80, P100, V100 = Gpu("Tesla K80", (3, 7)), Gpu("Tesla P100", (6, 0)), Gpu("Tesla V100", (7, 0))
A100, H200, B200 = Gpu("NVIDIA A100", (8, 0)), Gpu("NVIDIA H200", (9, 0)), Gpu("NVIDIA B200", (10, 0))
UNTOLD = Gpu("NVIDIA something", None)
OF_CU130 = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")
OF_CU126 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")


def unseen(cuda: str | None, driver: str | None, *installed: Gpu, **more: Any) -> Machine:
    return Machine(cuda, OF_CU130, driver, (), installed, **more)


def seen(cuda: str, driver: str, architectures: tuple[str, ...], *visible: Gpu) -> Machine:
    return Machine(cuda, architectures, driver, visible, visible)


# A machine, and of each of its faults: kind, device, index, driver, and whether both are needed.
MACHINES: dict[str, tuple[Machine, list[tuple[Any, ...]]]] = {
    "no GPU": (unseen("13.0", None), []),
    "all well": (seen("13.0", "580.65.06", OF_CU130, H200, A100), []),
    "driver of CUDA 11": (unseen("12.8", "470.57.02", A100), [("driver", None, None, 525, False)]),
    "driver of CUDA 12": (unseen("13.0", "550.54", A100), [("driver", None, "cu126", 580, False)]),
    "driver and build": (unseen("13.0", "550.54", V100), [("driver", None, "cu126", None, False)]),
    "both too old": (unseen("13.0", "470.57.02", V100), [("driver", None, "cu126", 525, True)]),
    "driver, GPU untold": (unseen("13.0", "550.54", UNTOLD), [("driver", None, "cu126", 580, False)]),
    "no kernels": (seen("13.0", "580.65", OF_CU130, V100), [("architecture", "cuda:0", "cu126", None, False)]),
    "one of two": (seen("13.0", "580.65", OF_CU130, A100, P100), [("architecture", "cuda:1", "cu126", None, False)]),
    "too old for all": (seen("12.6", "580.65", OF_CU126, K80), [("architecture", "cuda:0", None, None, False)]),
    "too new": (seen("12.6", "580.65", OF_CU126, B200), [("architecture", "cuda:0", "cu130", None, False)]),
    "too new, old driver": (seen("12.6", "570.86", OF_CU126, B200), [("architecture", "cuda:0", "cu130", 580, True)]),
    "no CUDA": (unseen(None, "580.65", A100), [("build", None, "cu130", None, False)]),
    "no CUDA, old driver": (unseen(None, "535.10", A100), [("build", None, "cu126", None, False)]),
    "withheld": (unseen("13.0", "470.57", A100, hidden_by="x"), [("withheld", None, None, None, False)]),
    "unknown": (unseen("13.0", "580.65", A100, torch_says="x"), [("unknown", None, None, None, False)]),
}


@pytest.mark.parametrize("case", MACHINES)
def test_faults_name_what_helps(case: str) -> None:
    machine, expected = MACHINES[case]
    found = faults(machine)
    assert [(fault.kind, fault.device, fault.index, fault.driver, fault.both) for fault in found] == expected
    for fault in found:
        assert all(str(part) in fault.remedy for part in (fault.index, fault.driver) if part is not None)
        if fault.kind == "driver":
            assert str(machine.driver) in fault.cause
            assert f"CUDA {machine.cuda}" in fault.cause
        if fault.kind == "architecture":
            name, capability = next((gpu.name, gpu.capability) for n, gpu in named(machine) if n == fault.device)
            assert name in fault.cause
            assert "sm_{}{}".format(*capability or ()) in fault.cause
    broken = {fault.device for fault in found}
    assert usable(machine) == [(name, gpu) for name, gpu in named(machine) if name not in broken]


def named(machine: Machine) -> list[tuple[str, Gpu]]:
    return [(f"cuda:{index}", gpu) for index, gpu in enumerate(machine.visible)]


@pytest.mark.parametrize("case", MACHINES)
def test_doctor_tells_every_fault(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine, _ = MACHINES[case]
    monkeypatch.setattr(gpus, "look", lambda: machine)
    findings = examine(write_tiny_study(tmp_path), tmp_path / "data")
    told = {finding.advice: finding for finding in findings}
    for fault in faults(machine):
        finding = told[fault.remedy]
        assert fault.cause in finding.what
        assert finding.level == ("note" if usable(machine) or fault.kind == "withheld" else "missing")
    there = [finding.what for finding in findings if finding.what.startswith("device cuda")]
    assert len(there) == len(usable(machine))
    assert all(str(machine.driver) in what for what in there)
    assert any(finding.what == "no GPU" for finding in findings) is not (bool(there) or bool(faults(machine)))


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (("sm_80",), (8, 6), True),
        (("sm_86",), (8, 0), False),
        (("sm_80",), (9, 0), False),
        (("compute_70",), (9, 0), True),
        (("compute_90",), (8, 0), False),
        (("sm_90a",), (9, 0), True),
        (("sm_100a",), (10, 3), False),
        (("sm_100f",), (10, 3), True),
        (("sm_120",), (12, 1), True),
        (OF_CU130, (7, 0), False),
        (("gfx90a",), (9, 0), True),
        ((), (9, 0), True),
    ],
)
def test_binaries_run_on_later_minor_versions_and_ptx_on_all_later(
    architectures: tuple[str, ...], capability: tuple[int, int], runs: bool
) -> None:
    assert has_kernels(architectures, capability) is runs


@pytest.fixture
def asked_anew() -> Iterator[None]:
    gpus.look.cache_clear()
    yield
    gpus.look.cache_clear()


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program of that name in front of all others."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
@pytest.mark.usefixtures("asked_anew")
def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path / "none")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvidia_smi(
        tmp_path,
        monkeypatch,
        'case "$1" in *driver*) echo 470.57.02;; *compute_cap*) echo "Tesla V100, 7.0"; echo "Tesla V100, 7.0";; esac',
    )
    machine = gpus.look()
    assert (machine.driver, machine.installed, machine.visible) == ("470.57.02", (V100, V100), ())
    assert [fault.kind for fault in faults(machine)] == ["driver"]

    gpus.look.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [fault.kind for fault in faults(gpus.look())] == ["withheld"]

    gpus.look.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    # An old nvidia-smi does not know compute_cap.
    nvidia_smi(
        tmp_path, monkeypatch, 'case "$1" in *driver*) echo 418.87;; *cap*) exit 2;; *) echo "Tesla V100";; esac'
    )
    machine = gpus.look()
    assert (machine.driver, machine.installed) == ("418.87", (Gpu("Tesla V100", None),))


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.183.01  Release Build  (x@y)",
    ],
)
def test_a_driver_without_nvidia_smi_is_read(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
    monkeypatch.setattr(gpus, "_hidden_by", lambda: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    (tmp_path / "version").write_text(f"{line}\nGCC version:  gcc version 12.2.0\n", encoding="utf-8")
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 1\n", "utf-8")
    machine = gpus.look()
    assert (machine.driver, machine.installed) == ("535.183.01", (Gpu("NVIDIA H200", None),))
    assert [(fault.kind, fault.index) for fault in faults(machine)] == [("driver", "cu126")]


def test_a_gpu_without_kernels_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "look", lambda: MACHINES["one of two"][0])
    assert [device.name for device in available_devices() if device.name != "mps"] == ["cuda:0", "cpu"]
    assert choose_slots("auto", None, 1) == choose_slots("cuda", None, 1) == ["cuda:0"]
    with pytest.raises(BenchError) as error:
        choose_slots("cuda:1", None, 1)
    assert P100.name in error.value.message
    assert "cu126" in str(error.value.hint)


def test_auto_never_takes_an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "look", lambda: MACHINES["no GPU"][0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert {*choose_slots("auto", 1, 1), *choose_slots("all", 1, 1)} == {"cpu"}
    assert choose_slots("mps", None, 1) == ["mps"]


def test_the_cpu_is_not_taken_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(case: str, devices: str = "auto", slot: str = "cpu", why: str | None = None) -> bool:
        monkeypatch.setattr(gpus, "look", lambda: MACHINES[case][0])
        try:
            refuse_silent_cpu(devices, [slot], why)
        except BenchError as error:
            return "--devices cpu" in str(error.hint)
        return False

    assert refuses("driver of CUDA 11")
    assert refuses("no kernels")
    assert refuses("no CUDA")
    assert not refuses("driver of CUDA 11", devices="cpu")
    assert not refuses("one of two", slot="cuda:0")
    assert not refuses("no GPU")
    assert not refuses("withheld")
    assert refuses("no GPU", why="made for GPUs")
    assert refuses("withheld", why="made for GPUs")
    assert not refuses("no GPU", devices="cpu", why="made for GPUs")


def test_a_study_is_made_for_gpus_by_its_engine_or_its_runs(tmp_path: Path) -> None:
    assert made_for_gpus(study(), tmp_path) is None
    assert "graph" in str(made_for_gpus(study(training={"engine": "graph"}), tmp_path))
    begun = tmp_path / "s" / "row-controlled" / "seed-0-abc"
    begun.mkdir(parents=True)
    write_json(begun / "environment.json", {"device": "Some CPU", "device_type": "cpu"})
    assert made_for_gpus(study(), tmp_path) is None
    write_json(begun / "environment.json", {"device": H200.name, "device_type": "cuda"})
    assert H200.name in str(made_for_gpus(study(), tmp_path))


def test_bench_run_says_what_keeps_the_gpu_from_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(gpus, "look", lambda: MACHINES["driver of CUDA 12"][0])
    assert run(["run", "--all"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("550.54", "CUDA 13.0", "cu126", "580", "--devices cpu"))
    assert not (tmp_path / "runs").exists()
    assert run(["run", "--all", "--dry-run", "--devices", "cpu"]) == 0
    assert run(["plan"]) == 0


def test_an_unusual_workspace_of_cublas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "look", lambda: MACHINES["all well"][0])
    for setting in (":4096:8", ":16:8"):
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", setting)
        assert choose_slots("auto", None, 1) == ["cuda:0", "cuda:1"]
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    with pytest.raises(BenchError, match=":0:0"):
        choose_slots("auto", None, 1)
    assert choose_slots("cpu", 1, 1) == ["cpu"]


def test_what_a_gpu_computes_with_is_recorded_and_is_no_part_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: H200.name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: H200.capability)
    monkeypatch.setattr(gpus, "driver_version", lambda: "580.65.06")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    environment = describe_environment(torch.device("cuda:0"))
    assert environment["gpu"].keys() == {"cuda", "cudnn", "nccl", "driver", "cublas_workspace"}
    assert environment["gpu"]["cuda"] == torch.version.cuda
    assert environment["gpu"]["driver"] == "580.65.06"
    assert environment["gpu"]["cublas_workspace"] == ":16:8"
    other = environment | {"gpu": {**environment["gpu"], "driver": "600.1", "cudnn": None}}
    assert kind_of_machine(other) == kind_of_machine(environment)
    assert "gpu" not in describe_environment(torch.device("cpu"))


def test_a_machine_of_many_gpus_is_told_apart_by_device() -> None:
    machine, _ = MACHINES["one of two"]
    three = replace(machine, visible=(P100, A100, V100))
    assert [fault.device for fault in faults(three)] == ["cuda:0", "cuda:2"]
    assert [name for name, _ in usable(three)] == ["cuda:1"]
