"""Metrics of one's own files, computed beside the package's: of features once for each extractor, of pixels once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bench.errors import BenchError
from bench.evaluation.contracts import Images, SampleMetric
from bench.evaluation.own import CodeRefusedError
from bench.files import sha256_file
from bench.metrics.own import OwnMetric, metric_name
from bench.metrics.settings import EvaluationSettings
from bench.userfile import class_in

Array = npt.NDArray[np.float32]


def load_metrics(settings: EvaluationSettings, run_code: bool = True) -> Mapping[str, SampleMetric]:
    """Load the metrics that a study declares, by the beginning of their values' names.

    Raises BenchError where a file is missing, has changed, or holds no metric; without `run_code` where there is one.
    """
    return {name: _load(name, declared, run_code) for name, declared in settings.metric.items()}


def require_metrics(settings: EvaluationSettings) -> None:
    """Raise BenchError where a declared metric cannot be loaded: for use before any work."""
    load_metrics(settings)


def _load(name: str, declared: OwnMetric, run_code: bool) -> SampleMetric:
    path = Path(declared.file)
    if not run_code:
        raise CodeRefusedError(
            f"The metric {name} is a file of code, {path.name}, which was not loaded",
            hint="Read that file; then add --run-its-code.",
        )
    if not path.is_file() or sha256_file(path) != declared.source_sha256:
        state = "is not what it was when it was declared" if path.is_file() else "is not there"
        raise BenchError(f"The metric {name} needs {path}, which {state}", hint="Type the command again.")
    found = class_in(path, SampleMetric, "metric")  # type: ignore[type-abstract]
    if getattr(found, "of", None) not in ("features", "pixels") or getattr(found, "better", "") not in (
        "higher",
        "lower",
        None,
    ):
        raise BenchError(
            f"{path}: the class must say `of` (features or pixels) and `better` (higher, lower or None)",
            hint="`bench new NAME --metric` writes one to start from.",
        )
    return found()


def own_values(
    metrics: Mapping[str, SampleMetric],
    declared: Mapping[str, OwnMetric],
    generated: Any,
    real: Any,
    features: Mapping[str, tuple[Tensor, Tensor]],
) -> dict[str, tuple[float, str]]:
    """Return every own metric's value and the label of the extractor it was taken in, by its full name.

    generated, real   images, uint8 N x 3 x R x R, which can be sliced
    features          generated and real features by extractor label
    """
    values: dict[str, tuple[float, str]] = {}
    for name, metric in metrics.items():
        sets: dict[str, tuple[Array | None, Array | None]] = {"pixels": (None, None)}
        if metric.of == "features":
            sets = {label: (own.cpu().numpy(), other.cpu().numpy()) for label, (own, other) in features.items()}
        for label, (own, other) in sets.items():
            full = metric_name(name, metric.better, declared[name].digest(), label)
            try:
                value = float(metric.value(Images(generated, own), Images(real, other)))
            except BenchError:
                raise
            except Exception as error:  # whatever a user's code raises
                raise BenchError(
                    f"The metric {name} fails: {type(error).__name__}: {error}",
                    hint=f"Try it alone: bench check {Path(declared[name].file).name}",
                ) from error
            if not math.isfinite(value):
                raise BenchError(f"The metric {name} gave {value}", hint="Return a finite number for any images.")
            values[full] = value, label
    return values
