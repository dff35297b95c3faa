"""What a worker does after training: measure every snapshot that is not measured yet, and draw the final pictures."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.data import PreparedData, prepare
from bench.errors import BenchError
from bench.evaluation.evaluate import Evaluator, evaluate_run
from bench.evaluation.pictures import missing_pictures, write_pictures
from bench.files import read_jsonl
from bench.metrics.tolerances import Machine, machine_of
from bench.networks.backbone import Discriminator, Generator
from bench.owning import check_owned
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec
from bench.runs.snapshots import check_snapshot
from bench.training.environment import prepare_process
from bench.training.loop import Interrupted


def evaluate_folder(
    folder: RunFolder,
    spec: RunSpec,
    data: PreparedData,
    data_root: Path,
    device: torch.device,
    stop: Callable[[], bool],
    run_code: bool = True,
) -> None:
    """Measure what is missing of a trained run. `run_code` as for an Evaluator.

    Raises Interrupted when `stop` says so; whole snapshots are kept.
    """

    def progress(stage: str, done: int, total: int) -> None:
        if stop():
            raise Interrupted

    evaluator = Evaluator(spec.evaluation, data, data_root, device, progress, run_code)
    again = folder.again_file.exists()
    if not (again or evaluator.missing(folder.path) or missing_pictures(folder, spec)):
        return
    backbone = spec.training.backbone

    def load_generator(path: Path, which: str) -> nn.Module:
        return load_snapshot(path, which, spec)

    taken_before = folder.status().evaluation_seconds if read_jsonl(folder.measuring_file) else 0.0
    folder.write_status(replace(folder.status(), phase="evaluating", device=str(device), metric_lines=None))
    began = time.monotonic()
    try:
        evaluate_run(
            folder.path,
            load_generator,
            evaluator,
            latent=backbone.latent,
            latent_law=backbone.latent_law,
            codes=backbone.drawn_codes,
            load_recogniser=partial(load_recogniser, spec=spec),
        )
        write_pictures(folder, spec, data, load_generator, device, reference=evaluator.reference)
        if again:
            check_owned(folder.metrics_file)
            folder.again_file.replace(folder.metrics_file)
    finally:
        taken = taken_before + time.monotonic() - began
        # Half-way through measuring again, nothing is said of the old lines: they may be what is wrong.
        there = None if folder.again_file.exists() else len(read_jsonl(folder.metrics_file))
        folder.write_status(replace(folder.status(), phase=None, evaluation_seconds=taken, metric_lines=there))


def measure_again(run: Path, data_root: Path, run_code: bool = False) -> list[dict[str, Any]]:
    """Measure a finished run's snapshots anew, away from its folder, and return the lines of metrics.jsonl.

    On the kind of device that measured most of what it holds, where there is one here, else on the CPU; with the
    threads that it had. Files of code that the run names, its own extractors and metrics, are loaded with `run_code`
    alone: raises BenchError without.
    """
    spec = RunSpec.read(run / "spec.json")
    kinds = [json.dumps(machine_of(line, RunFolder(run))) for line in read_jsonl(run / "metrics.jsonl")]
    was = json.loads(Counter(kinds).most_common(1)[0][0]) if kinds else None
    threads = was["threads"] if was else spec.training.training.threads
    return measure_on(run, data_root, device_like(was), threads, run_code)


def measure_on(
    run: Path, data_root: Path, device: torch.device, threads: int, run_code: bool = False
) -> list[dict[str, Any]]:
    """Measure a finished run's snapshots anew on `device`; see `measure_again`."""
    if not RunFolder(run).snapshot_steps():  # as after an import without weights
        return []
    spec = RunSpec.read(run / "spec.json")
    if spec.training.data.source == "own" and not run_code:
        raise BenchError(
            "Its images come from a file of code, which was not run", hint="Read that file; then add --run-its-code."
        )
    prepare_process(threads)
    with tempfile.TemporaryDirectory() as place:
        copied = RunFolder(Path(place) / run.name)
        shutil.copytree(run, copied.path, ignore=shutil.ignore_patterns("metrics.*", "checkpoint*"))
        data = prepare(spec.training.data, data_root)
        evaluate_folder(copied, spec, data, data_root, device, lambda: False, run_code)
        return read_jsonl(copied.metrics_file)


def device_like(machine: Machine | None) -> torch.device:
    """Return a device of this machine of the model that a metric was measured on; the CPU where there is none."""
    if machine is not None and machine["device_type"] == "cuda" and torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if torch.cuda.get_device_name(index) == machine["device"]:
                return torch.device("cuda", index)
    return torch.device("cpu")


def load_snapshot(path: Path, which: str, spec: RunSpec) -> Generator:
    """Return the raw or averaged ("raw", "ema") generator of a snapshot file. Raises BenchError when it is damaged."""
    prefix, tensors = f"{which}/", _tensors(path)
    backbone = spec.training.backbone
    codes = backbone.drawn_codes
    told = codes.width if codes else len(tensors[f"{prefix}told_scale"]) if spec.training.data.labels else 0
    data = spec.training.data
    G = Generator(
        data.resolution, backbone.width, backbone.latent, told, backbone.switches, pictures=data.input is not None
    )
    G.load_state_dict({name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)})
    return G


def load_recogniser(path: Path, spec: RunSpec) -> Discriminator | None:
    """Return the D of a snapshot file that recognises codes; None without one. Raises BenchError as above."""
    prefix = "recogniser/"
    own = {name.removeprefix(prefix): value for name, value in _tensors(path).items() if name.startswith(prefix)}
    if not own:
        return None
    answers = len(own["recognise.classes.weight"])
    backbone, recipe = spec.training.backbone, spec.training.recipe
    D = Discriminator(
        spec.training.data.resolution, backbone.width, backbone.latent, "classified", recipe.norm, labels=answers
    )
    D.load_state_dict(own)
    return D


def _tensors(path: Path) -> dict[str, Tensor]:
    check_snapshot(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise BenchError(f"{path} is damaged: {error}", hint="`bench run` trains a run with it again.") from error
