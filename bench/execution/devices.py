"""The devices of this machine, and how many runs they take at a time.

torch is imported where a device is asked for: the pool, which only starts workers, holds 50 MB without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import gpus
from bench.errors import BenchError, suggest
from bench.processes import usable_cores

# What a worker needs beside its share of the data: measured, torch with all that a run imports.
WORKER_BYTES = 1_200_000_000


@dataclass(frozen=True)
class Device:
    """One place that takes a run: `name` is torch's ("cpu", "cuda:0", "mps")."""

    name: str
    description: str


def available_devices() -> list[Device]:
    """Return the devices of this machine that torch can use, accelerators first, the CPU last."""
    import torch

    found = [Device(name, gpu.name) for name, gpu in gpus.usable(gpus.look())]
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU"))
    return [*found, Device("cpu", f"{cores()} cores")]


def has_bf16_instructions() -> bool:
    """Tell whether this machine's CPU computes in bfloat16, as far as torch knows.

    Where it does not, a step in bf16 takes several times as long.
    """
    import torch

    return bool(getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)())


def choose_slots(devices: str, per_device: int | None, threads: int, ranks: int = 1) -> list[str]:
    """Return the device of each run that may go at a time; with several ranks to a run, their devices with commas.

    `devices` is "auto" (the GPUs, else the CPU), "all" (both), or names such as "cpu" or "cuda:0,cuda:1". Each takes
    `per_device` runs: by default one on an accelerator, and on the CPU one per core and thread of a run. The first
    slots lie on different devices, so that few runs are spread out.
    Raises BenchError for a device that is not there or that torch cannot use, and where memory or devices are too few
    for one run.
    """
    groups = _shared_out(_named(devices), ranks)
    if any(device_type(group) == "cuda" for group in groups):
        from bench.training.environment import refuse_unusual_workspace

        refuse_unusual_workspace()
    on_cpu = max(1, cores() // (threads * ranks))
    takes = {group: per_device or (on_cpu if device_type(group) == "cpu" else 1) for group in groups}
    slots = [group for turn in range(max(takes.values())) for group in groups if turn < takes[group]]
    return slots[: _runs_that_fit_memory(ranks)]


def evaluation_slots(slots: Sequence[str], threads: int) -> list[str]:
    """Return the devices on which trained runs are evaluated beside the trainings on `slots`; none for the CPU's.

    They are accelerators: as many evaluations at a time as trainings, where cores and memory are left for them.
    """
    there = [slot.partition(",")[0] for slot in slots if device_type(slot) != "cpu"]
    trainings = sum(len(slot.split(",")) for slot in slots)
    memory = available_memory_bytes()
    room = min(cores() // threads, len(there) + trainings if memory is None else memory // WORKER_BYTES) - trainings
    return there[: max(1, room)]


def device_type(slot: str) -> str:
    """Return the type of a slot's devices, which is one: "cpu", "cuda" or "mps"."""
    return slot.partition(",")[0].partition(":")[0]


def refuse_silent_cpu(devices: str, slots: Sequence[str], made_for_gpus: str | None) -> None:
    """Raise BenchError where "auto" fell back to the CPU although a GPU was meant; who names the CPU has it.

    A GPU is meant where one is there that torch cannot use, or where the work asks for one, as `made_for_gpus` says.
    """
    if devices != "auto" or device_type(slots[0]) != "cpu":
        return
    faults = gpus.faults(gpus.look())
    broken = [fault for fault in faults if fault.kind != "withheld"]
    insist = "To run on the CPU all the same, add --devices cpu."
    if broken:
        first = broken[0]
        raise BenchError(
            f"This machine has a GPU that torch cannot use: {first.cause}", hint=f"{first.remedy}. {insist}"
        )
    if made_for_gpus is not None:
        why = f": {faults[0].cause}" if faults else ""
        raise BenchError(
            f"{made_for_gpus}, and this machine has no GPU that torch can use{why}",
            hint=f"{faults[0].remedy}. {insist}" if faults else insist,
        )


def _named(devices: str) -> list[str]:
    """Return the names of the devices that are asked for, each once."""
    there = {device.name: device for device in available_devices()}
    cuda = [name for name in there if device_type(name) == "cuda"]
    if devices == "auto":
        return cuda or ["cpu"]
    if devices == "all":
        return [*cuda, "cpu"]
    names = [name.strip() for name in devices.split(",") if name.strip()]
    names = [match for name in names for match in (cuda if name == "cuda" and cuda else [name])]
    for name in names:
        if name not in there:
            for fault in gpus.faults(gpus.look()):
                if device_type(name) == "cuda" and fault.device in (None, name):
                    raise BenchError(f'"{name}" cannot be used: {fault.cause}', hint=f"{fault.remedy}.")
            raise BenchError(
                f'This machine has no device "{name}"{suggest(name, there)}',
                hint=f"It has: {', '.join(there)}. `bench doctor` says more.",
            )
    if not names:
        raise BenchError("No device was named", hint="Type --devices auto, all, cpu or cuda:0.")
    return list(dict.fromkeys(names))


def _shared_out(names: list[str], ranks: int) -> list[str]:
    """Return what one run takes each: `ranks` devices of one type, or the CPU, whose ranks all share it."""
    groups = []
    for kind in dict.fromkeys(map(device_type, names)):
        same = ["cpu"] * ranks if kind == "cpu" else [name for name in names if device_type(name) == kind]
        groups += [",".join(same[at : at + ranks]) for at in range(0, len(same) - ranks + 1, ranks)]
    if not groups:
        raise BenchError(
            f"A run over {ranks} ranks needs {ranks} devices of one kind; there are {len(names)}",
            hint="Ask for fewer ranks, or name the devices with --devices.",
        )
    return groups


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return usable_cores()


def available_memory_bytes() -> int | None:
    """Return the memory that new processes can take, None where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _runs_that_fit_memory(ranks: int) -> int | None:
    """Return how many runs of so many processes memory has room for, None where that is not known."""
    memory = available_memory_bytes()
    if memory is None:
        return None
    fit = memory // (WORKER_BYTES * ranks)
    if fit < 1:
        raise BenchError(
            f"Only {memory / 1e9:.1f} GB of memory are free; a run needs about {ranks * WORKER_BYTES / 1e9:.1f} GB",
            hint="Close other programs, then type the same command again.",
        )
    return fit
