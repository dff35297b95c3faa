"""Which extractors a study can use, and loading them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from bench.data.judge import KNOWN
from bench.errors import BenchError
from bench.evaluation.features import UNSURE, Extractor, Features
from bench.evaluation.inception import load_inception, obtain_weights
from bench.evaluation.lite0 import LITE0_SHA256, STAGE7, lite0_file, load_lite0
from bench.evaluation.own import load_own, require_own
from bench.evaluation.own_metrics import require_metrics
from bench.metrics.settings import EvaluationSettings


class JudgeExtractor:
    """A source's judge: its features, what it recognises of each factor, and the mode of each image."""

    name = "judge"
    label = "judge"
    recipe = "judge"

    def __init__(self, source: str, device: torch.device) -> None:
        from bench.data.judge.network import load_judge

        known = KNOWN[source]
        self.sha256 = known.sha256
        self.device = device
        self._judge = load_judge(known).to(device)
        self._mode_factors = known.mode_factors

    def features(self, images: Tensor) -> Features:
        from bench.data.judge.network import modes

        output = self._judge(images.to(self.device))
        found, confident = modes(output, self._mode_factors)
        certainty, answers = zip(*(logits.softmax(1).max(1) for logits in output.logits.values()), strict=True)
        return Features(
            output.features,
            modes=torch.where(confident, found, UNSURE),
            answers=torch.stack(answers, dim=1).to(torch.uint8),
            certainty=torch.stack(certainty, dim=1),
        )


def active_extractors(settings: EvaluationSettings, source: str) -> tuple[str, ...]:
    """Return the extractors that apply to a data source: the judges know drawn faces and Fashion-MNIST.

    Raises BenchError when none is left.
    """
    names = tuple(name for name in settings.extractors if name != "judge" or source in KNOWN)
    if not names:
        raise BenchError(
            f"A judge is there for {' and '.join(KNOWN)} alone; these images come from {source}",
            hint="Measure with lite0 or inception: a study says so in evaluation.extractors.",
        )
    return names


def require_extractors(settings: EvaluationSettings, source: str, data_root: Path) -> None:
    """Raise BenchError, saying what to do, when an extractor's weights cannot be had: for use before training.

    Inception weights that are nowhere are downloaded now.
    """
    require_metrics(settings)
    for name in active_extractors(settings, source):
        if name in ("lite0", STAGE7):
            lite0_file()
        elif name == "inception":
            obtain_weights(settings, data_root)
        elif name in settings.extractor:
            require_own(name, settings.extractor[name])


def load_extractors(
    settings: EvaluationSettings, source: str, data_root: Path, device: torch.device, run_code: bool = True
) -> tuple[Extractor, ...]:
    """Load the extractors that apply, in the settings' order. Raises BenchError when weights are missing or wrong.

    `run_code`: whether files of code that the settings name may be loaded.
    """
    loaded: list[Extractor] = []
    for name in active_extractors(settings, source):
        if name == "inception":
            loaded.append(load_inception(settings, data_root, device))
        elif name in ("lite0", STAGE7):
            loaded.append(load_lite0(device, name))
        elif name in settings.extractor:
            loaded.append(load_own(name, settings.extractor[name], device, run_code))
        else:
            loaded.append(JudgeExtractor(source, device))
    return tuple(loaded)


def known_digests(settings: EvaluationSettings, source: str) -> dict[str, str]:
    """Return the digests that extractors' lines must carry to be current, by extractor, without loading any.

    Inception's is not among them: other weights than the TF-2015 ones are part of the settings' id.
    """
    digests = {"lite0": LITE0_SHA256, STAGE7: LITE0_SHA256}
    for name, own in settings.own_extractors.items():
        digests[name] = str(own.sha256 or own.digest())
    if "judge" in active_extractors(settings, source):
        digests["judge"] = KNOWN[source].sha256
    return digests
