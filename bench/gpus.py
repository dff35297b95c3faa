"""This machine's NVIDIA GPUs: which of them torch can use here, and why it cannot use the others.

A build of torch needs a driver that is new enough for its CUDA, and holds kernels for some kinds of GPU alone. Where
either does not fit, torch sees no GPU at all, or a step dies with "no kernel image is available". torch is
imported where it is asked.
"""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Capability = tuple[int, int]
FaultKind = Literal["driver", "build", "architecture", "withheld", "unknown"]

_DRIVER = Path("/proc/driver/nvidia")
_VERSION = re.compile(r"\b\d{3,}\.\d+(?:\.\d+)?\b")
# The driver that any CUDA of a major version needs (NVIDIA, CUDA Compatibility, "Minor Version Compatibility").
_LEAST_DRIVER = {11: 450, 12: 525, 13: 580}


@dataclass(frozen=True)
class Build:
    """A build of torch that PyTorch offers: the name of its pip index, and the GPUs that it has kernels for."""

    index: str
    cuda: int
    oldest: Capability
    newest: Capability

    def fits(self, capabilities: Sequence[Capability]) -> bool:
        return all(self.oldest <= capability <= self.newest for capability in capabilities)


# Newest first (PyTorch's release notes, "CUDA support matrix", 2.11 to 2.14); later builds of CUDA 13 hold the same.
BUILDS = (Build("cu130", 13, (7, 5), (12, 1)), Build("cu126", 12, (5, 0), (9, 0)))


@dataclass(frozen=True)
class Gpu:
    """A GPU's model and compute capability; None where only the driver knows of it and does not tell."""

    name: str
    capability: Capability | None


@dataclass(frozen=True)
class Machine:
    """What torch and the driver say of this machine's NVIDIA GPUs.

    `cuda` is the version torch was built with (None: a build without CUDA), `architectures` what it holds kernels for,
    `visible` the GPUs torch sees, `installed` those the driver tells of. `hidden_by` says what keeps them from this
    process on purpose, `torch_says` what torch warned of when it looked.
    """

    cuda: str | None
    architectures: tuple[str, ...] = ()
    driver: str | None = None
    visible: tuple[Gpu, ...] = ()
    installed: tuple[Gpu, ...] = ()
    hidden_by: str | None = None
    torch_says: str = ""


@dataclass(frozen=True)
class Fault:
    """Why GPUs cannot be used: all of them, or the one that torch calls `device`.

    `withheld` GPUs were kept from this process by a setting or by its container. Against the rest helps another build
    of torch, from PyTorch's pip index `index`, or a driver of version `driver` or newer; only the two together where
    `both` is set. None is no help.
    """

    kind: FaultKind
    cause: str
    device: str | None = None
    index: str | None = None
    driver: int | None = None
    both: bool = False

    @property
    def remedy(self) -> str:
        """Return what to do, as half a sentence."""
        if self.kind == "withheld":
            return "unset CUDA_VISIBLE_DEVICES, or give the container its GPUs"
        if self.kind == "unknown":
            return "see what nvidia-smi says; after an update of the driver the machine must start anew"
        ways = []
        if self.index is not None:
            ways.append(
                "pip install --force-reinstall torch torchvision with the --index-url of PyTorch's "
                f"{self.index} builds (the selector at pytorch.org/get-started shows it)"
            )
        if self.driver is not None:
            ways.append(f"update the NVIDIA driver to {self.driver} or newer")
        return (", and " if self.both else ", or ").join(
            ways
        ) or "no build of torch that PyTorch offers has kernels for it"


@cache
def look() -> Machine:
    """Ask torch and the driver, once per process."""
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        architectures = tuple(torch.cuda.get_arch_list())
    visible = tuple(
        Gpu(torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)) for index in range(count)
    )
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = "" if setting is None else f"torch sees no GPU under CUDA_VISIBLE_DEVICES={setting}"
    return Machine(
        cuda=torch.version.cuda,
        architectures=architectures,
        driver=driver_version(),
        visible=visible,
        installed=visible or _installed(),
        hidden_by=None if visible else _hidden_by(),
        torch_says=str(said[0].message).splitlines()[0] if said else named,
    )


def faults(machine: Machine) -> list[Fault]:
    """Return why GPUs that are there cannot be used; an empty list where all can, or there are none."""
    if machine.visible:
        return [
            _no_kernels(machine, f"cuda:{index}", gpu)
            for index, gpu in enumerate(machine.visible)
            if gpu.capability is not None and not has_kernels(machine.architectures, gpu.capability)
        ]
    if not machine.installed:
        return []
    if machine.hidden_by is not None:
        return [Fault("withheld", machine.hidden_by)]
    if machine.cuda is None:
        return [_mended("build", "this torch was built without CUDA", None, machine, machine.installed)]
    driver = _major(machine.driver)
    if driver is not None and driver < _LEAST_DRIVER.get(_major(machine.cuda) or 0, 0):
        cause = f"driver {machine.driver} is too old for CUDA {machine.cuda}"
        return [_mended("driver", cause, None, machine, machine.installed)]
    return [Fault("unknown", machine.torch_says or f"torch does not see {machine.installed[0].name}")]


def usable(machine: Machine) -> list[tuple[str, Gpu]]:
    """Return the GPUs that torch can use, each with torch's name for it."""
    broken = {fault.device for fault in faults(machine)}
    names = [(f"cuda:{index}", gpu) for index, gpu in enumerate(machine.visible)]
    return [(name, gpu) for name, gpu in names if name not in broken]


def has_kernels(architectures: Sequence[str], capability: Capability) -> bool:
    """Tell whether a build for `architectures` ("sm_80", "compute_90", ...) runs on a GPU of this capability.

    A binary runs on its own major version from its minor one up, and one of suffix a exactly there; PTX (compute) is
    compiled for every later GPU. True where no name is CUDA's, as in builds for other makers.
    """
    read = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", name) for name in architectures]
    found = [(match[1], (int(match[2]), int(match[3])), match[4]) for match in read if match]
    if not found:
        return True
    for kind, built, suffix in found:
        if suffix == "a":
            fits = built == capability
        elif kind == "sm":
            fits = built[0] == capability[0] and built <= capability
        else:
            fits = built <= capability
        if fits:
            return True
    return False


def driver_version() -> str | None:
    """Return the NVIDIA driver's version, such as "580.65.06"; None where there is none."""
    if (_DRIVER / "version").is_file():
        found = _VERSION.search((_DRIVER / "version").read_text(encoding="utf-8", errors="replace"))
        return found[0] if found else None
    rows = _nvidia_smi("driver_version")
    return rows[0][0] if rows else None


def versions() -> dict[str, Any]:
    """Return the versions under which a CUDA device computes: CUDA, cuDNN, NCCL, driver; None for what is not there."""
    import torch

    nccl = torch.distributed.is_available() and torch.distributed.is_nccl_available()
    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,  # type: ignore[no-untyped-call]
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if nccl else None,  # type: ignore[no-untyped-call]
        "driver": driver_version(),
    }


@contextmanager
def entered(device: torch.device) -> Iterator[None]:
    """Make a CUDA device the current one, as captures, streams and libraries expect; other devices need nothing.

    Every function that computes on a device that somebody names enters it first.
    """
    if device.type != "cuda":
        yield
        return
    import torch

    with torch.cuda.device(device):
        yield


def _no_kernels(machine: Machine, device: str, gpu: Gpu) -> Fault:
    assert gpu.capability is not None
    kind = "sm_{}{}".format(*gpu.capability)
    built = f"it was built for {', '.join(machine.architectures)}"
    cause = f"{device}, {gpu.name}, is {kind}, which has no kernel in this build of torch ({built})"
    return _mended("architecture", cause, device, machine, [gpu])


def _mended(kind: FaultKind, cause: str, device: str | None, machine: Machine, gpus: Sequence[Gpu]) -> Fault:
    """Return the fault with what helps: another build for these GPUs, a newer driver for this one, or both."""
    known = [gpu.capability for gpu in gpus if gpu.capability is not None]
    fitting = [build for build in BUILDS if build.fits(known)]
    driver = _major(machine.driver)
    now = next((build.index for build in fitting if driver is None or driver >= _LEAST_DRIVER[build.cuda]), None)
    stays = kind == "driver" and any(build.cuda == _major(machine.cuda) for build in fitting)
    if stays:
        return Fault(kind, cause, device, now, _LEAST_DRIVER[_major(machine.cuda) or 0])
    if now is None and fitting:
        easiest = fitting[-1]
        return Fault(kind, cause, device, easiest.index, _LEAST_DRIVER[easiest.cuda], both=True)
    return Fault(kind, cause, device, now)


def _major(version: str | None) -> int | None:
    return None if version is None else int(version.partition(".")[0])


def _installed() -> tuple[Gpu, ...]:
    """Return the GPUs that the driver tells of: by nvidia-smi, else by what it shows in /proc."""
    rows = _nvidia_smi("name,compute_cap") or [[*row, ""] for row in _nvidia_smi("name")]  # older ones know no more
    if rows:
        return tuple(Gpu(name, _capability(text)) for name, text in rows)
    files = sorted(_DRIVER.glob("gpus/*/information"))
    models = [re.search(r"^Model:\s*(.+)$", file.read_text(errors="replace"), re.MULTILINE) for file in files]
    return tuple(Gpu(model[1].strip() if model else "an NVIDIA GPU", None) for model in models)


def _hidden_by() -> str | None:
    """Return what keeps GPUs from this process on purpose."""
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is not None and setting.strip() in ("", "-1", "NoDevFiles"):
        return f'CUDA_VISIBLE_DEVICES="{setting}" hides the GPUs'
    if _DRIVER.is_dir() and not any(Path("/dev").glob("nvidia[0-9]*")):
        return "the GPUs' device files (/dev/nvidia0) are not here, as in a container that was started without GPUs"
    return None


def _nvidia_smi(fields: str) -> list[list[str]]:
    """Return these fields of every GPU, as nvidia-smi tells them; nothing where it is not there, or fails."""
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def _capability(text: str) -> Capability | None:
    found = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
