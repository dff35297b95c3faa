"""What a metric was measured with, as it stands in each line of metrics.jsonl."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from bench.training.environment import describe_machine

_CPUINFO = Path("/proc/cpuinfo")
_MODEL = ("vendor_id", "cpu family", "model", "stepping")
# With these a user takes instructions away from the libraries that compute.
_LIMITS = ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")


def measured_on(device: torch.device) -> dict[str, Any]:
    """Return torch's version, the device's model, its capability and the threads: what decides a metric's last digits.

    On a CPU also the processor's family and model by number, which virtual machines' names often hide, and the limits
    that its user set on the instructions.
    """
    machine = describe_machine(device)
    found = {
        "torch": machine["packages"]["torch"],
        **{name: machine[name] for name in ("device", "device_type", "capability", "threads")},
    }
    if device.type == "cpu":
        found["processor"] = _processor()
        found["limits"] = {name: os.environ[name] for name in _LIMITS if name in os.environ}
    return found


def _processor() -> str:
    """Return vendor, family, model and stepping of the first processor; empty where the system does not tell."""
    if not _CPUINFO.is_file():
        return ""
    first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    return "/".join(values[name] for name in _MODEL if name in values)
