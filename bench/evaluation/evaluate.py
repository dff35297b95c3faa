"""Measuring runs: generate, extract once, compute, append to metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import nn

from bench.data import PreparedData
from bench.evaluation.codes import Coded, code_values, floors_of_codes
from bench.evaluation.extractors import known_digests, load_extractors
from bench.evaluation.features import NotFiniteError, Progress
from bench.evaluation.machine import measured_on
from bench.evaluation.metrics import Value, final_values, floor_part, floors, sample_of_generated, snapshot_values
from bench.evaluation.own_metrics import load_metrics
from bench.evaluation.paired import floors_of_pairs, pair_values, snapshot_pair_values
from bench.evaluation.reference import Reference
from bench.evaluation.samples import conditions_for, images_of
from bench.evaluation.units import Line, Unit, missing_evaluations, record
from bench.metrics.settings import EvaluationSettings
from bench.networks.codes import Codes
from bench.networks.sampling import LatentLaw, recalibrated
from bench.runs.folder import SCHEMA, RunFolder

__all__ = ["Evaluator", "LoadGenerator", "evaluate_run", "missing_evaluations"]

LoadGenerator = Callable[[Path, str], nn.Module]
"""Given a snapshot's file and "raw" or "ema", returns that generator: latents N x d -> images in [-1, 1]."""


class Evaluator:
    """Measures generators against one data set under one set of settings.

    Extractors and reference features are loaded when they are first needed and then kept, so one evaluator serves all
    snapshots of a process. Reference features and floors lie in `data_root`/cache/evaluation, which processes share.
    `run_code`: whether files of code that the settings name, own extractors and metrics, may be loaded.
    """

    def __init__(
        self,
        settings: EvaluationSettings,
        data: PreparedData,
        data_root: Path,
        device: torch.device,
        progress: Progress | None = None,
        run_code: bool = True,
    ) -> None:
        self.settings = settings
        self.data = data
        self._data_root = data_root
        self._device = device
        self._progress = progress
        self._run_code = run_code

    @cached_property
    def reference(self) -> Reference:
        """The real images; loads the extractors. Raises BenchError when weights are missing or images too few."""
        source = str(self.data.heldout.manifest["source"])
        extractors = load_extractors(self.settings, source, self._data_root, self._device, self._run_code)
        own_metrics = load_metrics(self.settings, self._run_code)
        return Reference(self.settings, self.data, extractors, self._data_root, self._progress, own_metrics)

    def missing(self, run: Path) -> list[Unit]:
        """Return what of a run is still to be measured; loads nothing."""
        source = str(self.data.heldout.manifest["source"])
        digests = known_digests(self.settings, source)
        return missing_evaluations(run, self.settings, self.data.heldout.sha256, digests)

    def evaluate_generator(
        self, G: nn.Module, unit: Unit, *, latent: int, latent_law: LatentLaw, coded: Coded | None = None
    ) -> list[Line]:
        """Return the lines of metrics.jsonl about one generator: everything at the final step, else Fréchet distances.

        `coded`: what it is given beside latents. Raises NotFiniteError when its images or a metric of them are not
        finite.
        """
        settings = self.settings
        count = settings.samples if unit.final else settings.snapshot_samples
        conditions = conditions_for(self.data, coded.codes if coded else None, count, unit.sample_seed)
        calibration, told = conditions or (None, None)
        draw = partial(
            images_of,
            recalibrated(G, latent_law, latent, self._device, calibration),
            sample_seed=unit.sample_seed,
            latent=latent,
            law=latent_law,
            device=self._device,
            progress=self._progress,
        )
        images = draw(count, told=told)
        labels = self.reference.told(len(images))
        sample = sample_of_generated(images, self.reference, final=unit.final, progress=self._progress, labels=labels)
        lines = []
        if unit.final:
            lines = self._lines(unit, final_values(sample, self.reference), settings.samples)
            if coded is not None and told is not None:
                values = code_values(sample, self.reference, coded, told, draw, unit.sample_seed)
                floor = floors_of_codes(self.reference, settings.samples, coded.codes) if values else {}
                lines += self._lines(unit, values, settings.samples, floor)
            if self.reference.input_kind is not None and told is not None:
                values = pair_values(images.numpy(), sample, self.reference, draw, told)
                floor = floors_of_pairs(self.reference, settings.samples, final=True)
                lines += self._lines(unit, values, settings.samples, floor)
        if not unit.final or settings.snapshot_samples != settings.samples:
            lines += self._lines(unit, snapshot_values(sample, self.reference), settings.snapshot_samples)
            if self.reference.input_kind is not None:
                values = snapshot_pair_values(images.numpy(), sample, self.reference)
                named = floors_of_pairs(self.reference, settings.snapshot_samples, final=False)
                floor = {settings.snapshot_metric(name): value for name, value in named.items()}
                lines += self._lines(unit, values, settings.snapshot_samples, floor)
        return lines

    def _lines(
        self, unit: Unit, values: list[Value], samples: int, floor: Mapping[str, float] | None = None
    ) -> list[Line]:
        final = samples == self.settings.samples and unit.final
        asked = {
            "schema": SCHEMA,
            "evaluation_id": self.settings.id(),
            "generator_steps": unit.generator_steps,
            "generator": unit.generator,
            "sample_seed": unit.sample_seed,
        }
        lines = measured_lines(values, self.reference, samples, final, floor=floor)
        return [{**asked, **line, "final": unit.final} for line in lines]


def measured_lines(
    values: list[Value],
    reference: Reference,
    samples: int,
    final: bool,
    with_floor: bool = True,
    floor: Mapping[str, float] | None = None,
) -> list[Line]:
    """Return values as records have them, each with its floor and with what measured it.

    `with_floor`: whether there are real images left that stand in for generated ones; else the floor is None. `floor`:
    that of each metric where it is known already.
    Raises NotFiniteError for a value that is none.
    """
    for value in values:
        if not math.isfinite(value.value):
            raise NotFiniteError(f"The metric {value.metric} and others")
    if floor is None:
        floor = floors(reference, samples, final=final) if with_floor else {}
    machine = measured_on(reference.extractors[0].device)
    lines = []
    for value in values:
        stand_in = floor_part(reference, value.metric, samples)
        lines.append(
            {
                "metric": value.metric,
                "value": value.value,
                "floor": floor.get(value.metric),
                "samples": samples,
                "reference": value.reference.split,
                "reference_samples": len(value.reference),
                "extractor": "pixels" if value.extractor is None else value.extractor.name,
                "extractor_sha256": None if value.extractor is None else value.extractor.sha256,
                "data_sha256": reference.heldout_sha256,
                "floor_source": stand_in.split if with_floor else None,
                "floor_samples": len(stand_in) if with_floor else 0,
                "evaluation_code": reference.evaluation_code,
                "measured_on": machine,
            }
        )
    return lines


def evaluate_run(
    run: Path,
    load_generator: LoadGenerator,
    evaluator: Evaluator,
    *,
    latent: int,
    latent_law: LatentLaw,
    codes: Codes | None = None,
    load_recogniser: Callable[[Path], nn.Module | None] = lambda file: None,
) -> int:
    """Measure what is missing of a run, each generator as one unit, and return how many units that were.

    `codes` are what the run's generators are given beside latents; `load_recogniser` gives what reads them, or None.
    May be interrupted at any moment and called again; what is there is not measured twice. Call it with the run's lock
    held. Raises NotFiniteError at a generator whose images are not finite; what came before it is kept.
    """
    folder = RunFolder(run)
    missing = evaluator.missing(run)
    for unit in missing:
        file = folder.snapshot_file(unit.generator_steps)
        coded = None if codes is None else Coded(codes, load_recogniser(file) if unit.final else None)
        G = load_generator(file, unit.generator)
        record(run, unit, evaluator.evaluate_generator(G, unit, latent=latent, latent_law=latent_law, coded=coded))
    return len(missing)
