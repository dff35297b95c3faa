"""What trained runs lack of the metrics that are asked for now, and what measuring that would cost.

Never imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import BenchError
from bench.evaluation.units import missing_evaluations
from bench.files import read_jsonl
from bench.formatting import format_duration, plural
from bench.metrics.settings import EvaluationSettings
from bench.runs.differences import changes
from bench.runs.folder import RunFolder
from bench.runs.spec import RunSpec

_NO_PART = {"inception_weights", "collapse_coverage", "collapse_unique"}  # of what a metric is
Seen = dict[Path, tuple[tuple[int, int], int]]
"""What was found of runs: by folder, the state of its metrics' file, and how many images are to be generated."""

_ASKED_FOR_PACE = 20  # measured runs


@dataclass(frozen=True)
class Unmeasured:
    """Trained runs that lack metrics under the present settings.

    `images` are those to be generated for it, by the run's folder. `changed` names the settings that differ from those
    that the runs were measured under ("samples 300 → 500"). `seconds_per_image` is what measuring took before; None
    where that is not known.
    """

    images: Mapping[Path, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    seconds_per_image: float | None = None

    def seconds(self, run: Path | None = None) -> float | None:
        """Return what measuring would take, of one run or of all; None where nothing is known of it."""
        images = sum(self.images.values()) if run is None else self.images.get(run, 0)
        return None if self.seconds_per_image is None else images * self.seconds_per_image

    def in_words(self, at_a_time: int = 1) -> str:
        """Return it as a sentence, "" where nothing is missing."""
        if not self.images:
            return ""
        count, seconds = len(self.images), self.seconds()
        changed = f" ({', '.join(self.changed)})" if self.changed else ""
        cost = "" if seconds is None else f", in about {format_duration(seconds / at_a_time)}"
        lack = f"{plural(count, 'trained run')} {'lacks' if count == 1 else 'lack'}"
        return f"{lack} metrics under the present settings{changed}: `bench evaluate` measures them{cost}."


def unmeasured(trained: Iterable[RunFolder], settings: EvaluationSettings, seen: Seen | None = None) -> Unmeasured:
    """Return what these trained runs (done or diverged) lack under `settings`.

    Who asks again and again under the same settings keeps `seen`: unchanged files are then not read again.
    """
    seen = {} if seen is None else seen
    images: dict[Path, int] = {}
    changed: dict[str, None] = {}
    folders = list(trained)
    for folder in folders:
        stamp = _stamp(folder.measuring_file)
        if seen.get(folder.path, (None, 0))[0] != stamp:
            seen[folder.path] = stamp, _images_to_generate(folder, settings)
        if needed := seen[folder.path][1]:
            images[folder.path] = needed
            changed |= dict.fromkeys(_changed(folder, settings))
    return Unmeasured(images, tuple(changed), _seconds_per_image(folders)) if images else Unmeasured()


def _images_to_generate(folder: RunFolder, settings: EvaluationSettings) -> int:
    units = missing_evaluations(folder.path, settings)
    return sum(settings.samples if unit.final else settings.snapshot_samples for unit in units)


def _stamp(file: Path) -> tuple[int, int]:
    """Return what tells that a file has changed."""
    if not file.exists():
        return 0, 0
    said = file.stat()
    return said.st_mtime_ns, said.st_size


def _seconds_per_image(folders: Iterable[RunFolder]) -> float | None:
    seconds, images, asked = 0.0, 0, 0
    for folder in folders:
        taken = folder.status().evaluation_seconds
        samples: dict[tuple[object, ...], int] = {}
        for line in read_jsonl(folder.metrics_file) if taken else ():
            unit = tuple(line[key] for key in ("evaluation_id", "generator_steps", "generator", "sample_seed"))
            samples[unit] = max(samples.get(unit, 0), line["samples"])
        if samples:
            seconds, images, asked = seconds + taken, images + sum(samples.values()), asked + 1
        if asked == _ASKED_FOR_PACE:
            break
    return seconds / images if images else None


def _changed(folder: RunFolder, settings: EvaluationSettings) -> list[str]:
    try:
        was = RunSpec.read(folder.spec_file).evaluation
    except BenchError:  # of another version, say: that it is not measured is told all the same
        return []
    return changes(was.model_dump(mode="json", exclude=_NO_PART), settings.model_dump(mode="json", exclude=_NO_PART))
