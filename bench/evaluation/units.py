"""What of a run has to be measured, what has been, and how that is written down. Never imports torch.

A *unit* is one generator at one step under one sample seed. Its lines are appended to metrics.jsonl together and each
says how many there are, so that a unit torn by a crash is recognised and measured again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.files import append_jsonl, read_jsonl, write_jsonl
from bench.metrics.settings import EvaluationSettings, GeneratorName
from bench.runs.folder import RunFolder

Line = dict[str, Any]


@dataclass(frozen=True)
class Unit:
    """One generator at one step under one sample seed; `final` units get every metric, others a Fréchet distance."""

    generator_steps: int
    generator: GeneratorName
    sample_seed: int
    final: bool

    def owns(self, line: Mapping[str, Any]) -> bool:
        """Tell whether a line of metrics.jsonl is about this unit, under whatever settings."""
        return (line["generator_steps"], line["generator"], line["sample_seed"]) == (
            self.generator_steps,
            self.generator,
            self.sample_seed,
        )


def required_units(snapshot_steps: Iterable[int], final_step: int, settings: EvaluationSettings) -> list[Unit]:
    """Return every unit that the settings ask of a run with these snapshots, earlier steps first."""
    units = []
    for step in snapshot_steps:
        if step != final_step:
            units.append(Unit(step, "raw", 0, final=False))
            continue
        for generator in settings.generators:
            units.extend(Unit(step, generator, seed, final=True) for seed in range(settings.sample_seeds))
    return units


def missing_evaluations(
    run: Path,
    settings: EvaluationSettings,
    data_sha256: str | None = None,
    extractor_sha256: Mapping[str, str] | None = None,
) -> list[Unit]:
    """Return the units of the run's folder that the file of its new metrics does not hold, in order.

    Lines count when they carry the settings' id and are complete; where they are given, also only those about held-out
    images and with extractors of these digests. A diverged run has no final unit.
    """
    folder = RunFolder(run)
    by_unit, wanted = defaultdict(list), settings.id()
    for line in read_jsonl(folder.measuring_file):
        if line["evaluation_id"] == wanted:
            by_unit[line["generator_steps"], line["generator"], line["sample_seed"]].append(line)
    return [
        unit
        for unit in required_units(folder.snapshot_steps(), folder.status().total_generator_steps, settings)
        if not _complete(
            by_unit[unit.generator_steps, unit.generator, unit.sample_seed], unit, data_sha256, extractor_sha256 or {}
        )
    ]


def record(run: Path, unit: Unit, lines: list[Line]) -> None:
    """Append a unit's lines; what is left of it from a torn or outdated evaluation of the same id is taken out."""
    file = RunFolder(run).measuring_file
    evaluation_id = lines[0]["evaluation_id"]
    there = read_jsonl(file)
    kept = [line for line in there if not (unit.owns(line) and line["evaluation_id"] == evaluation_id)]
    if len(kept) < len(there):
        write_jsonl(file, kept)
    append_jsonl(file, [{**line, "unit_lines": len(lines)} for line in lines])


def _complete(lines: list[Line], unit: Unit, data_sha256: str | None, extractor_sha256: Mapping[str, str]) -> bool:
    return bool(lines) and all(
        line.get("unit_lines") == len(lines)
        and line["final"] == unit.final
        and data_sha256 in (None, line["data_sha256"])
        and extractor_sha256.get(line["extractor"]) in (None, line["extractor_sha256"])
        for line in lines
    )
