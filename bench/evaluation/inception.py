"""The FID's Inception network with its TF-2015 weights (Szegedy et al. 2015, arXiv 1512.00567).

The network is torch-fidelity's. Weights come from a named file, a cache or a download, and what is read is what was
checked: the bytes are hashed, then loaded as tensors only (torch-fidelity itself neither hashes nor restricts).
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.evaluation.features import Features
from bench.evaluation.inception_network import Inception
from bench.evaluation.resizing import resize, tensorflow1_matrix
from bench.files import write_atomic
from bench.metrics.settings import EvaluationSettings

WEIGHTS_FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""Of the TF-2015 weights. Their file's name carries its first eight digits, which anybody can give to another file."""

ENVIRONMENT_VARIABLE = "BENCH_INCEPTION_WEIGHTS"
_DOWNLOAD_TIMEOUT_SECONDS = 30
_INPUT_SIZE = 299


@dataclass(frozen=True)
class Weights:
    """A state dict and the digest of the file it came from."""

    tensors: dict[str, Tensor]
    sha256: str

    @property
    def label(self) -> str:
        """`inception` for the TF-2015 weights; others are named after their digest and never called FID."""
        return "inception" if self.sha256 == SHA256 else f"inception-{self.sha256[:8]}"


class InceptionExtractor:
    """Features of Inception: 2048 pooled ones and 1008 logits without bias, as the FID and the Inception score use.

    Normalised to (x - 128) / 128 and resized to 299 x 299 as TensorFlow 1 does: equal to torch-fidelity's features to
    1e-5, in little more than half the time (benchmarks/evaluation.py).
    """

    name = "inception"

    def __init__(self, weights: Weights, device: torch.device) -> None:
        self.label = weights.label
        self.sha256 = weights.sha256
        self.recipe = f"tf1-299, network of torch-fidelity {version('torch-fidelity')}"
        self.device = device
        network = _torch_fidelity_network(weights.tensors)
        self._network = Inception(network).to(device)
        self._classes = cast(nn.Linear, network.fc).weight.to(device)
        self._matrices: dict[int, Tensor] = {}

    def features(self, images: Tensor) -> Features:
        size = images.shape[-1]
        if size not in self._matrices:
            self._matrices[size] = tensorflow1_matrix(size, _INPUT_SIZE).to(self.device)
        # Normalised first, as there are fewer pixels then: the resize is linear and keeps constants.
        pool = self._network(resize((images.to(self.device).float() - 128) / 128, self._matrices[size]))
        return Features(pool, pool @ self._classes.T)


def load_inception(settings: EvaluationSettings, data_root: Path, device: torch.device) -> InceptionExtractor:
    """Load the extractor with the weights of `obtain_weights`, which raises BenchError where they cannot be had."""
    return InceptionExtractor(obtain_weights(settings, data_root), device)


def obtain_weights(settings: EvaluationSettings, data_root: Path) -> Weights:
    """Find and check the weights; downloads them (95 MB) where they are nowhere to be found.

    Raises BenchError when they cannot be had, or are neither the TF-2015 ones nor those the settings accept.
    """
    file = find_weights(data_root, settings.inception_weights) or _download(weights_cache(data_root))
    return read_weights(file, settings.inception_weights_sha256)


def find_weights(data_root: Path, path: str | None = None) -> Path | None:
    """Return where the weights lie: `path`, $BENCH_INCEPTION_WEIGHTS, the data folder's cache, torch hub's folder.

    None when they are nowhere. Raises BenchError when `path` or the variable names a file that is not there.
    """
    for named, origin in ((path, "inception_weights"), (os.environ.get(ENVIRONMENT_VARIABLE), ENVIRONMENT_VARIABLE)):
        if named:
            file = Path(named).expanduser()
            if not file.is_file():
                raise BenchError(
                    f"There is no file {file}, which {origin} names as the Inception weights",
                    hint=f"Name the file {WEIGHTS_FILE}, or leave {origin} out.",
                )
            return file
    kept = (weights_cache(data_root), Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE)
    return next((file for file in kept if file.is_file()), None)


def weights_cache(data_root: Path) -> Path:
    """Return where a download is kept."""
    return data_root / "cache" / "weights" / WEIGHTS_FILE


def read_weights(file: Path, accepted_sha256: str | None = None) -> Weights:
    """Read a weights file after checking its digest: `accepted_sha256`, else the TF-2015 weights'."""
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    wanted = accepted_sha256 or SHA256
    if found != wanted:
        raise BenchError(
            f"The Inception weights {file} have the SHA-256 {found}, not {wanted}",
            hint="Get the right file, or set inception_weights_sha256 to that digest if you mean these weights: "
            f"their distance is then called fd_inception-{found[:8]}, not fid.",
        )
    try:
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise BenchError(f"{file} holds no PyTorch weights: {str(error).splitlines()[0]}") from error
    return Weights(tensors, found)


def _torch_fidelity_network(tensors: dict[str, Tensor]) -> nn.Module:
    """Build torch-fidelity's network with these weights, which it checks for fit."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # Its constructor unpickles whatever it is given: it is given our own copy of tensors that were checked.
    copy = io.BytesIO()
    torch.save(tensors, copy)
    copy.seek(0)
    try:
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=copy)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BenchError(
            f"The Inception weights do not fit the FID's network: {str(error).splitlines()[0]}",
            hint=f"The file that fits is {WEIGHTS_FILE}.",
        ) from error
    return cast(nn.Module, network)


def _download(target: Path) -> Path:
    """Fetch the weights from where torch-fidelity publishes them, check them, and keep them."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    try:
        with urllib.request.urlopen(URL_INCEPTION_V3, timeout=_DOWNLOAD_TIMEOUT_SECONDS) as answer:
            content = answer.read()
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise BenchError(
            f"The Inception weights are not here and cannot be downloaded: {error}",
            hint=f"Fetch {URL_INCEPTION_V3} on another machine and put it at {target}, or name it with "
            f"inception_weights or ${ENVIRONMENT_VARIABLE}; or measure with lite0 instead.",
        ) from error
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise BenchError(
            f"What was downloaded as the Inception weights has the SHA-256 {found}, not {SHA256}",
            hint="The download was altered on the way and was discarded. Try again, or fetch it by hand.",
        )
    write_atomic(target, content)
    return target
