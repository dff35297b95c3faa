"""Images that were made elsewhere, measured as a study's runs are, and kept beside them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from bench.config.models import LABEL, Study
from bench.data import is_prepared, prepare
from bench.data.images import map_images
from bench.errors import BenchError
from bench.evaluation.extractors import require_extractors
from bench.evaluation.features import Progress
from bench.evaluation.measuring import ArraySet, Measured, count_measured, measure_images
from bench.evaluation.reference import FEWEST_IMAGES
from bench.files import sha256_file, write_record
from bench.metrics.own import OwnExtractor
from bench.metrics.settings import EvaluationSettings
from bench.runs.extras import external_file
from bench.runs.folder import read_plan, run_folder
from bench.training.environment import prepare_process


def measure_for_study(
    study: Study,
    images: Path,
    data_root: Path,
    device: torch.device,
    *,
    recipe: str = "square",
    progress: Progress | None = None,
) -> Measured:
    """Measure the images at a path as the final step of a run of `study` is measured.

    Against the same real images, by the same extractors, as many samples, in as many threads. Raises BenchError where
    images cannot be used or are too few, or an extractor's weights cannot be had.
    """
    require_extractors(study.evaluation, study.data.source, data_root)
    prepare_process(study.training.threads)
    real = prepare(study.data, data_root, progress)
    with tempfile.TemporaryDirectory(prefix="bench-measure-") as place:
        samples = study.evaluation.samples
        generated = map_images(images, Path(place), resolution=study.data.resolution, recipe=recipe, most=samples)
        count_measured(generated, samples)
        return measure_images(
            generated, real.heldout, real.train, study.evaluation, study.data.source, data_root, device, progress
        )


def measure_files(
    files: Mapping[str, tuple[Path, str]],
    settings: EvaluationSettings,
    samples: int | None,
    resolution: int | None,
    data_root: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> Measured:
    """Measure `images` against `reference` and, where it is given, `training`: paths, and how images there are cropped.

    `samples` None: all images that there are. Raises BenchError as `measure_for_study` does.
    """
    source = "faces" if "judge" in settings.extractors else "array"
    require_extractors(settings, source, data_root)
    with tempfile.TemporaryDirectory(prefix="bench-measure-") as place:
        opened = {
            name: map_images(
                path, Path(place), resolution=resolution, recipe=recipe, most=samples if name == "images" else None
            )
            for name, (path, recipe) in files.items()
        }
        count = count_measured(opened["images"], samples)
        real = {
            name: ArraySet.of(array, str(files[name][0]), source) for name, array in opened.items() if name != "images"
        }
        chosen = settings.model_copy(update={"samples": count, "snapshot_samples": FEWEST_IMAGES})
        return measure_images(
            opened["images"], real["reference"], real.get("training"), chosen, source, data_root, device, progress
        )


def chosen_settings(
    own: Mapping[str, OwnExtractor],
    extractors: Sequence[str] = (),
    samples: int | None = None,
    base: EvaluationSettings | None = None,
) -> EvaluationSettings:
    """Return settings with these extractors and as many samples, in all else as in `base` or by default.

    An extractor is one of the package's, one of `own`, or the path of a Python file of one's own. Raises BenchError for
    another.
    """
    base = base or EvaluationSettings(extractors=("lite0",))
    declared = {**own}
    names = []
    for extractor in extractors or base.extractors:
        name = extractor
        if extractor.endswith(".py"):
            file = Path(extractor).expanduser().resolve()
            if not file.is_file():
                raise BenchError(f"There is no file {extractor}", hint="`bench new NAME --extractor` writes one.")
            name = file.stem.replace("_", "-").lower()
            declared[name] = OwnExtractor(file=str(file), source_sha256=sha256_file(file))
        names.append(name)
    count = samples or base.samples
    try:
        return EvaluationSettings.model_validate(
            dict(base)
            | {
                "extractors": tuple(dict.fromkeys(names)),
                "extractor": {name: declared[name] for name in names if name in declared},
                "samples": count,
                "snapshot_samples": min(base.snapshot_samples, count),
            }
        )
    except ValidationError as error:
        told = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise BenchError(f"These images cannot be measured so: {told}", hint="See bench measure --help.") from error


def add_samples(
    study: Study,
    label: str,
    images: Sequence[Path],
    runs_root: Path,
    data_root: Path,
    device: torch.device,
    *,
    source: str = "",
    seeds: bool = False,
    recipe: str = "square",
    progress: Progress | None = None,
) -> Path:
    """Measure sets of images and keep them as the external row `label` of a planned study; return its record's file.

    source  who made them and how, in words, for the report
    seeds   whether each set comes from another training seed of one method: only then is a mean over them shown

    Raises BenchError, with nothing written, for a label that a row of the study has, and as `measure_for_study` does.
    """
    plan = read_plan(runs_root, study.name)
    taken = {entry["label"] for entry in plan["entries"]}
    if label in taken:
        raise BenchError(f'"{label}" is a row of the study', hint=f"Choose another, such as {label}-external.")
    if not LABEL.fullmatch(label):
        raise BenchError(f'"{label}" cannot be a label', hint="Use letters, digits and . _ @ + - such as my-samples.")
    if plan["evaluation_id"] != study.evaluation.id():
        raise BenchError(
            f'Study "{study.name}" was run under other evaluation settings than it has now',
            hint="`bench evaluate` measures its runs under the present ones first.",
        )
    _refuse_other_images(study, plan, runs_root, data_root)
    sets = [measure_for_study(study, path, data_root, device, recipe=recipe, progress=progress) for path in images]
    if len({one.images_sha256 for one in sets}) < len(sets):
        raise BenchError("Two of the sets hold the same images", hint="Name each set once.")
    file = external_file(runs_root / study.name, label)
    write_record(file, record_of(label, source, seeds, sets))
    return file


def _refuse_other_images(study: Study, plan: Mapping[str, Any], runs_root: Path, data_root: Path) -> None:
    """Raise BenchError where the study's runs were held to other images than it has now: nothing would compare."""
    present = is_prepared(study.data, data_root)
    statuses = [run_folder(runs_root / study.name, run["path"]).status() for run in plan["runs"]]
    seen = {status.data_sha256["heldout"] for status in statuses if status.data_sha256}
    if present is not None and seen and present.heldout.sha256 not in seen:
        raise BenchError(
            f'The runs of "{study.name}" were measured against other images than the study has now',
            hint="`bench status` says in what bench.toml differs; `bench run --all` trains on the present images.",
        )


def record_of(label: str, source: str, seeds: bool, sets: Sequence[Measured]) -> dict[str, Any]:
    """Return what an external row's record holds: nothing of it was trained here, and it says so."""
    first = sets[0]
    return {
        "schema": 1,
        "kind": "external",
        "label": label,
        "source": source,
        "seeds": seeds,
        "evaluation_id": first.evaluation_id,
        "samples": first.samples,
        "resolution": first.resolution,
        "data_sha256": first.heldout_sha256,
        "sets": [{"images_sha256": one.images_sha256, "lines": list(one.lines)} for one in sets],
    }
