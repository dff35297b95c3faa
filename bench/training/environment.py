"""What a run was computed with: recorded beside it, no part of its identity, without any name of host or user."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from bench import gpus
from bench.errors import BenchError
from bench.version import __version__

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_WORKSPACES = (":4096:8", ":16:8")  # those under which cuBLAS computes the same bits again
_PACKAGES = ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "safetensors")


def prepare_process(threads: int) -> None:
    """Set what a run's bits depend on: threads, deterministic kernels, fp32 without TF32, no denormals."""
    os.environ.setdefault(_WORKSPACE, _WORKSPACES[0])
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Nothing reads memory before it is written; filling it cost 5 to 13 % of an extractor's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_flush_denormal(True)


def refuse_unusual_workspace() -> None:
    """Raise BenchError where cuBLAS is set up so that the same run would not give the same bits twice."""
    found = os.environ.get(_WORKSPACE, _WORKSPACES[0])
    if found not in _WORKSPACES:
        raise BenchError(
            f"{_WORKSPACE} is {found}: under it cuBLAS is not deterministic, and torch would refuse every step",
            hint=f"unset {_WORKSPACE}, or set it to {_WORKSPACES[0]} or {_WORKSPACES[1]}.",
        )


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return versions, device, processor capability and commit as JSON values; of a GPU's libraries and driver too."""
    found = {
        "bench": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **describe_machine(device),
        "commit": _commit(),
    }
    if device.type == "cuda":
        found["gpu"] = gpus.versions() | {"cublas_workspace": os.environ.get(_WORKSPACE)}
    return found


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return the part of the environment that `kind_of_machine` reads; unlike the whole, it asks no other program."""
    return {
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": device_name(device),
        "device_type": device.type,
        "capability": _capability(device),
        "threads": torch.get_num_threads(),
    }


def kind_of_machine(environment: dict[str, Any]) -> str:
    """Return what must be equal for a run to give the same bits: torch, device model, processor capability, ranks."""
    torch_version, ranks = environment["packages"]["torch"], environment.get("ranks", 1)
    several = f", {ranks} ranks" if ranks > 1 else ""
    return f"torch {torch_version}, {environment['device']}, {environment['capability']}{several}"


def device_name(device: torch.device) -> str:
    """Return the device's model, such as the processor's or the graphics card's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() if device.type == "cpu" else f"{device.type} ({_processor()})"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _capability(device: torch.device) -> str:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"sm_{major}{minor}"
    return torch.backends.cpu.get_cpu_capability()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the source checkout that runs, with "+" when it has changes; None outside of one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
