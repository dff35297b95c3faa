"""What is measured of a study's real images: once, by the command, and not by a run's worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from rich.console import Console

from bench.config.models import Study
from bench.data import PreparedData
from bench.errors import BenchError
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.forgiving import what_is_forgiven
from bench.execution.clustered import Destination
from bench.execution.in_process import torch_settings_kept
from bench.files import write_record
from bench.metrics.catalogue import extractor_of
from bench.runs.extras import FORGIVES, read_forgives
from bench.runs.folder import RunFolder
from bench.runs.plan import Plan
from bench.training.environment import prepare_process
from bench.training.loop import Interrupted


def measure_forgiven(
    plan: Plan,
    data: PreparedData,
    runs_root: Path,
    data_root: Path,
    slot: str,
    console: Console,
    stop: Callable[[], bool],
) -> None:
    """Write the study's forgives.json, where it lacks one and a run of it is done; `stop` leaves it for the next time.

    It takes as long as measuring seven runs does, on the device `slot`. Where it cannot be measured, that is said: the
    runs are done without it.
    """
    study, settings = plan.study, plan.study.evaluation
    folder = runs_root / study.name
    there = read_forgives(folder, settings.id())
    if there is not None and there["data_sha256"] == data.heldout.sha256:
        return
    if stop() or not any(RunFolder(folder / run.folder).status().state == "done" for run in plan.runs):
        return

    def progress(stage: str, done: int, total: int) -> None:
        if stop():
            raise Interrupted

    console.print(f"metric   what {study.primary_metric} forgives: real images made worse, {settings.samples:,} each")
    device = torch.device("cpu" if slot.startswith("cuda") and not torch.cuda.is_available() else slot)
    try:
        with torch_settings_kept():
            prepare_process(study.training.threads)
            evaluator = Evaluator(settings, data, data_root, device, progress)
            record = what_is_forgiven(evaluator.reference, settings, extractor_of(study.primary_metric), progress)
    except Interrupted:
        console.print("metric   stopped there; the same command measures it")
        return
    except (BenchError, RuntimeError) as error:  # a full disk or device: the runs are done all the same
        console.print(f"metric   that was not measured, and the report will lack it: {str(error).splitlines()[0]}")
        return
    write_record(folder / FORGIVES, record)


def measure_real_images(
    study: Study,
    data: PreparedData,
    destination: Destination,
    data_root: Path,
    console: Console,
    stop: Callable[[], bool],
) -> None:
    """Compute the real images' features before many jobs start that would all wait for the first one to do it.

    What a GPU computes is another result than what a CPU does: for runs on GPUs the first to be measured computes them.
    """
    if destination.device_type() != "cpu":
        return

    def progress(stage: str, done: int, total: int) -> None:
        if stop():
            raise Interrupted

    console.print("images   measuring the real ones, which every job needs", highlight=False)
    with torch_settings_kept(), suppress(Interrupted):
        prepare_process(study.training.threads)
        evaluator = Evaluator(study.evaluation, data, data_root, torch.device("cpu"), progress)
        reference, samples = evaluator.reference, study.evaluation.samples
        for extractor in reference.extractors:
            reference.features(extractor, reference.heldout_part(samples))
            reference.features(extractor, reference.training_part(samples))
