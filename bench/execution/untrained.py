"""What an untrained generator scores, once for each backbone: what a run must leave behind to have trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from bench.data import is_prepared
from bench.errors import BenchError
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.units import Unit
from bench.execution.in_process import torch_settings_kept
from bench.files import read_json, write_record
from bench.runs.extras import UNTRAINED
from bench.runs.plan import Plan
from bench.training.environment import prepare_process
from bench.training.loop import Interrupted, build_state


def measure_untrained(
    plan: Plan, runs_root: Path, data_root: Path, slot: str, console: Console, stop: Callable[[], bool]
) -> None:
    """Write a study's untrained.json where it lacks one: the primary metric of the first seed's initial generator.

    All rows of a seed begin with it. Where it cannot be measured, that is said; `stop` leaves it for the next time.
    """
    study, run = plan.study, plan.runs[0]
    file, settings = runs_root / study.name / UNTRAINED, plan.study.evaluation
    data = is_prepared(study.data, data_root)
    if data is None:
        return
    key = {"evaluation_id": settings.id(), "data_sha256": data.heldout.sha256, "metric": study.primary_metric}
    if file.is_file() and key.items() <= read_json(file).items():
        return

    def progress(stage: str, done: int, total: int) -> None:
        if stop():
            raise Interrupted

    device = torch.device("cpu" if slot.startswith("cuda") and not torch.cuda.is_available() else slot)
    console.print(f"untrained {study.name}: its first generator, measured once")
    try:
        with torch_settings_kept():
            prepare_process(study.training.threads)
            factor_sizes = tuple(len(values) for values in data.train.factors.values())
            G = build_state(run.training, torch.device("cpu"), factor_sizes=factor_sizes).G
            evaluator = Evaluator(settings, data, data_root, device, progress)
            backbone = run.training.backbone
            unit = Unit(0, study.generator, 0, final=True)
            lines = evaluator.evaluate_generator(G, unit, latent=backbone.latent, latent_law=backbone.latent_law)
    except Interrupted:
        return
    except (BenchError, RuntimeError) as error:  # a full disk or device: the runs are done all the same
        console.print(f"          that was not measured: {str(error).splitlines()[0]}")
        return
    value = next((line["value"] for line in lines if line["metric"] == study.primary_metric), None)
    write_record(file, {"schema": 1, **key, "seed": run.training.seed, "samples": settings.samples, "value": value})
