"""Extractors and metrics of one's own, as bench.toml declares them, and the names that they give to metrics.

A name says what was measured without the file that says how: `fd_dinov2-bicubic224-1a2b3c4d` is a Fréchet distance in
features of an extractor that a study calls dinov2, of images scaled to 224 x 224 pixels by a bicubic filter; the eight
digits are of a hash over everything else that decides them. `sharpness-higher-1a2b3c4d_pixels` is a metric from a file
of one's own, of which more is better. Never imports torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Resize = Literal["bicubic", "bilinear", "asis"]
Package = Literal["torchvision", "timm", "open_clip"]
Normalise = Literal["imagenet", "clip", "centred", "unit", "bytes"]
Colour = tuple[float, float, float]

NORMALISATIONS: Mapping[Normalise, tuple[Colour, Colour]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "centred": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # -1 to 1
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # 0 to 1
    "bytes": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),  # 0 to 255
}
"""Mean and standard deviation of each colour, of values from 0 to 1."""

SUFFIXES = {".pt": "torchscript", ".ts": "torchscript", ".onnx": "onnx", ".py": "python"}
LONGEST_LABEL = 44  # a metric's name, with what stands before and after it, has 64 characters at most
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LABEL = re.compile(
    r"(?P<name>[a-z][a-z0-9]*(?:-[a-z0-9]+)*?)-(?:(?P<law>bicubic|bilinear|asis)(?P<size>\d*)|own)"
    r"(?:-(?P<layer>[A-Za-z0-9.]+))?-(?P<digest>[0-9a-f]{8})"
)
_METRIC = re.compile(
    r"(?P<name>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)-(?P<better>higher|lower|near)-(?P<digest>[0-9a-f]{8})_(?P<of>[^_@]+)"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class OwnExtractor(BaseModel):
    """An extractor that bench.toml declares: where the network comes from, and how images are fed to it.

    file           a TorchScript file (.pt, .ts), an ONNX file (.onnx), or one's own Python file, which does the rest of
                   this itself (`bench new --extractor`)
    package        or an installed package that builds the network `model`: torchvision, timm, open_clip
    model          its name there
    weights        the file of its weights, a state dict (.pth, .safetensors); also for a Python file that takes one
    sha256         of the file of weights, or of the TorchScript or ONNX file
    source_sha256  of a Python file's content; filled in by itself
    resize, size   `bicubic` or `bilinear`, both antialiased as in Pillow, to size x size pixels; or `asis`
    normalise      by which mean and deviation, see NORMALISATIONS; or ...
    mean, std      ... of each colour, of values from 0 to 1
    layer          a module of the network whose output is taken [what comes before its classes]; of an ONNX file the
                   name of an output, of a TorchScript file the key of one [the first]
    tokens         of an output N x T x d: its first token, or their mean
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", protected_namespaces=())

    file: str | None = None
    package: Package | None = None
    model: str | None = None
    weights: str | None = None
    sha256: str | None = None
    source_sha256: str | None = None
    resize: Resize = "bicubic"
    size: int | None = Field(None, ge=8, le=2048)
    normalise: Normalise | None = None
    mean: Colour | None = None
    std: Colour | None = None
    layer: str = Field("", pattern=r"^[A-Za-z0-9_.]{0,40}$")
    tokens: Literal["first", "mean"] = "first"

    @field_validator("sha256", "source_sha256")
    @classmethod
    def _is_a_digest(cls, digest: str | None) -> str | None:
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise ValueError("must be 64 hexadecimal digits (lower case)")
        return digest

    @field_validator("model")
    @classmethod
    def _is_no_address(cls, model: str | None) -> str | None:
        if model is not None and ":" in model:
            raise ValueError("must be a name that the package itself knows: one of a hub would be downloaded")
        return model

    @model_validator(mode="after")
    def _fits(self) -> OwnExtractor:
        if (self.file is None) == (self.package is None):
            raise ValueError("needs either `file` or `package`")
        if self.package is not None and (self.model is None or self.weights is None):
            raise ValueError("needs `model` and `weights`: no weights are ever downloaded")
        if self.file is not None and Path(self.file).suffix not in SUFFIXES:
            raise ValueError(f"file must be one of {', '.join(SUFFIXES)}")
        if self.kind == "python":
            self._refuse("resize", "size", "normalise", "mean", "std", "layer", "tokens", "model")
            if self.weights is not None and self.sha256 is None:
                raise ValueError("needs `sha256`, the SHA-256 of its weights (`sha256sum FILE`)")
            return self
        if self.sha256 is None:
            raise ValueError("needs `sha256`, the SHA-256 of the file of weights (`sha256sum FILE`)")
        if self.file is not None:
            self._refuse("model", "weights")
        if (self.size is None) != (self.resize == "asis"):
            raise ValueError('needs `size`, in pixels, or resize = "asis"')
        if (self.mean is None) != (self.std is None) or (self.normalise is None) == (self.mean is None):
            raise ValueError(f"needs `normalise` ({', '.join(NORMALISATIONS)}), or else `mean` and `std`")
        return self

    def _refuse(self, *names: str) -> None:
        set_ones = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
        if set_ones:
            raise ValueError(f"takes no `{set_ones[0]}` with this file")

    @property
    def kind(self) -> str:
        """Return torchscript, onnx, python, or the package's name."""
        return self.package or SUFFIXES[Path(str(self.file)).suffix]

    @property
    def colours(self) -> tuple[Colour, Colour]:
        """Return mean and deviation of each colour, of values from 0 to 1."""
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        return NORMALISATIONS[self.normalise or "unit"]

    @property
    def law(self) -> str:
        """Return how images are fed to it, in a word: `bicubic224`, or `own` where its file does that."""
        return "own" if self.kind == "python" else f"{self.resize}{self.size or ''}"

    def digest(self) -> str:
        """Return 64 hexadecimal digits that change with everything that decides the features, wherever files lie."""
        values = {
            "kind": self.kind,
            "model": self.model,
            "sha256": self.sha256,
            "source": self.source_sha256,
            "law": self.law,
            "colours": None if self.kind == "python" else self.colours,
            "layer": self.layer,
            "tokens": self.tokens,
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def label(self, name: str) -> str:
        """Return what metrics in its features are named after, where a study calls it `name`."""
        layer = "-" + re.sub(r"[^A-Za-z0-9.]", ".", self.layer) if self.layer else ""
        return f"{name}-{self.law}{layer}-{self.digest()[:8]}"

    def portable(self) -> OwnExtractor:
        """Return the same with files by their name alone: which folder of this machine they lie in concerns nobody."""
        return self.model_copy(update={"file": _name_of(self.file), "weights": _name_of(self.weights)})


class OwnMetric(BaseModel):
    """A metric in a Python file of one's own (`bench new --metric`).

    file             the Python file
    source_sha256    of its content; filled in by itself
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    file: str = Field(pattern=r"\.py$")
    source_sha256: str | None = None

    def digest(self) -> str:
        return str(self.source_sha256)

    def portable(self) -> OwnMetric:
        return self.model_copy(update={"file": _name_of(self.file)})


class OwnLabel(NamedTuple):
    """What an own extractor's label says."""

    name: str
    law: str
    layer: str
    digest: str

    @property
    def title(self) -> str:
        """Return what it is called in titles: "dinov2, bicubic 224, 1a2b3c4d"."""
        law = re.sub(r"(?<=[a-z])(?=\d)", " ", self.law).replace("asis", "not scaled").replace("own", "own file")
        return ", ".join(part for part in (self.name, law, self.layer, self.digest) if part)


class OwnMetricName(NamedTuple):
    """What the name of an own metric says."""

    name: str
    better: Literal["lower", "higher"] | None
    digest: str
    of: str


def read_label(label: str) -> OwnLabel | None:
    """Return what an own extractor's label says; None for any other text."""
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    law = f"{match['law']}{match['size']}" if match["law"] else "own"
    return OwnLabel(match["name"], law, match["layer"] or "", match["digest"])


def metric_name(name: str, better: str | None, digest: str, of: str) -> str:
    """Return the name of an own metric's values: `of` is an extractor's label, or pixels."""
    return f"{name}-{better or 'near'}-{digest[:8]}_{of}"


def read_metric_name(metric: str) -> OwnMetricName | None:
    """Return what the name of an own metric says; None for any other text."""
    match = _METRIC.fullmatch(metric)
    if match is None:
        return None
    better: Literal["lower", "higher"] | None = {"higher": "higher", "lower": "lower"}.get(match["better"])  # type: ignore[assignment]
    return OwnMetricName(match["name"], better, match["digest"], match["of"])


def spelled_out(metric: str, labels: Mapping[str, str]) -> str:
    """Return a metric's full name where it was written with an own extractor's short one: `fd_dinov2`."""
    for name, label in labels.items():
        metric = re.sub(rf"_{re.escape(name)}(?=$|_train$|_inf$|@)", f"_{label}", metric)
    return metric


def problem_of_names(extractors: Mapping[str, OwnExtractor], metrics: Iterable[str], taken: Iterable[str]) -> str:
    """Return what is wrong with the names that a study gives; "" for nothing."""
    for name in (*extractors, *metrics):
        if not NAME.fullmatch(name):
            return f'"{name}" must be made of small letters and digits, with hyphens between words'
        if name in taken:
            return f'"{name}" is the name of one of the package\'s own extractors'
    for name, extractor in extractors.items():
        if len(label := extractor.label(name)) > LONGEST_LABEL:
            return f'"{name}" is too long: its metrics would be named after {label}'
    return ""


def _name_of(path: Any) -> str | None:
    return None if path is None else re.split(r"[\\/]", str(path))[-1]
