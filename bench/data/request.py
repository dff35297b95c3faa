"""What a study asks of its images: the part of the configuration that this package reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from bench.data.crops import RECIPES_OF
from bench.data.inputs import DERIVED, PAIRED_FILES, InputKind
from bench.data.readers.attributes import ATTRIBUTES
from bench.errors import suggest

SourceName = Literal["faces", "celeba", "mnist", "fashion-mnist", "cifar10", "folder", "own"]
TORCHVISION_SOURCES = ("mnist", "fashion-mnist", "cifar10")
FACES_COUNTS = {"train_count": 20_000, "heldout_count": 10_000}
HELDOUT_IMAGES = {"celeba": 19_962, "cifar10": 10_000, "mnist": 10_000, "fashion-mnist": 10_000}
"""How many images the test part of the whole set has, which is what a study measures against."""
FACES_TRAIN_LIMIT = 1_000_000  # held-out faces begin at this index


class DataRequest(BaseModel):
    """Which images, how they are cropped and how many: frozen and complete, defaults are filled in by source.

    source         where the images come from
    path           where the archive, folder or shards of `celeba` lie (default: `celeba` in the data folder), the
                   folder of `folder`, the Python file of `own`, or the raw files of a torchvision set (default: the
                   data folder's cache). What a set is goes by its content, never by its path; the own name of a folder
                   or a file is what reports call it.
    recipe         how an image becomes resolution x resolution pixels (not given: `crop128` for
                   celeba, `square`, the largest centred square, for a folder); `none` takes them as they are
    resolution     side in pixels: 64, or 32 for the torchvision sets, which have no other
    train_count    how many training images (not given: all there are; faces: 20,000)
    heldout_count  how many held-out images (not given: all there are; faces: 10,000). A part of CelebA with fewer
                   test images holds out validation images too, then training images
    partial        celeba only: accept a part of the 202,599 images
    labels         what of each image both players are told, in this order (none: nothing): of `faces` any factors that
                   the judge reads with certainty; of `celeba` attributes; of every other source "class"
    input          the image that both players are given beside each image, their target (none: no pairs): of any source
                   "edges", "grey" or "quarter", which are functions of the image; of `faces` "parts", the exact map of
                   a face's parts; of `folder` "left" or "right", the half of a file twice as wide as high that is the
                   input, or "folders", where A holds the inputs and B the targets, by the same names
    seed           decides the drawn faces, the held-out share of a set that has no test part, and which images a count
                   keeps

    Raises pydantic.ValidationError, each message at the field that is wrong.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    source: SourceName
    path: str | None = None
    recipe: str = ""
    resolution: Literal[32, 64, 128] = 64
    train_count: int | None = Field(default=None, ge=1)
    heldout_count: int | None = Field(default=None, ge=1)
    partial: bool = False
    seed: int = Field(default=0, ge=0, lt=2**63)
    labels: tuple[str, ...] = ()
    input: InputKind | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_defaults(cls, values: Any) -> Any:
        source = values.get("source") if isinstance(values, dict) else None
        if not isinstance(source, str) or source not in RECIPES_OF:
            return values
        filled: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
        if isinstance(filled.get("labels"), list):  # what comes from here is strict Python, also when read from JSON
            filled["labels"] = tuple(filled["labels"])
        filled.setdefault("recipe", RECIPES_OF[source][0])
        filled.setdefault("resolution", 32 if source in TORCHVISION_SOURCES else 64)
        return FACES_COUNTS | filled if source == "faces" else filled

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what a request without labels or pairs did not have when the ids of its runs were made."""
        values: dict[str, Any] = write(self)
        return {key: value for key, value in values.items() if value or key not in ("labels", "input")}

    @property
    def title(self) -> str:
        """What the images are called: the source, and of a folder its own name, without where it lies."""
        if self.source not in ("folder", "own") or self.path is None:
            return self.source
        path = Path(self.path).expanduser().absolute()  # a link keeps its own name
        if self.source == "own":
            return path.stem
        return f'folder "{(path.resolve() if path.name == ".." else path).name}"'

    @property
    def known_heldout(self) -> int | None:
        """How many images will be held out, as far as the request alone says; None for a folder or a part of a set."""
        there = None if self.partial else HELDOUT_IMAGES.get(self.source)
        if self.heldout_count is None or there is None:
            return self.heldout_count or there
        return min(self.heldout_count, there)

    @property
    def expected_factor_sizes(self) -> tuple[int, ...]:
        """How many values each label has, as far as the request alone says: a folder is taken to have ten classes."""
        if self.source == "faces" and self.labels:
            from bench.data.faces import FACTORS

            return tuple(len(FACTORS[name]) for name in self.labels)
        return tuple(2 if self.source == "celeba" else 10 for _ in self.labels)

    @field_validator("path")
    @classmethod
    def _path_fits_source(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is not None and info.data.get("source") == "faces":
            raise ValueError("faces are drawn, they have no path")
        if path is not None and (not path.strip() or "\0" in path):
            raise ValueError("is empty" if not path.strip() else "has a null character")
        return path

    @field_validator("recipe")
    @classmethod
    def _recipe_fits_source(cls, recipe: str, info: ValidationInfo) -> str:
        source = info.data.get("source")
        if source in RECIPES_OF and recipe not in RECIPES_OF[source]:
            allowed = RECIPES_OF[source]
            raise ValueError(f"is no recipe of {source}: {', '.join(allowed)}{suggest(recipe, allowed)}")
        return recipe

    @field_validator("resolution")
    @classmethod
    def _resolution_fits_source(cls, resolution: int, info: ValidationInfo) -> int:
        if info.data.get("source") in TORCHVISION_SOURCES and resolution != 32:
            raise ValueError(f"{info.data['source']} comes at 32x32 only")
        return resolution

    @field_validator("train_count")
    @classmethod
    def _train_count_fits_source(cls, count: int | None, info: ValidationInfo) -> int | None:
        if count is not None and info.data.get("source") == "faces" and count > FACES_TRAIN_LIMIT:
            raise ValueError(f"at most {FACES_TRAIN_LIMIT:,} training faces: the held-out ones begin there")
        return count

    @field_validator("partial")
    @classmethod
    def _partial_is_celeba(cls, partial: bool, info: ValidationInfo) -> bool:
        if partial and info.data.get("source") not in (None, "celeba"):
            raise ValueError("only celeba has a known number of images that a set can be a part of")
        return partial

    @field_validator("labels")
    @classmethod
    def _labels_fit_source(cls, labels: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        source = info.data.get("source")
        if not labels or source is None:
            return labels
        allowed = labels_of(source)
        if not allowed:
            raise ValueError("the images of a file of your own have none; a folder with a folder a class has")
        if unknown := [name for name in labels if name not in allowed]:
            near = suggest(unknown[0], allowed)
            raise ValueError(f"{unknown[0]} {_WHY_NOT[source]}{near or ': ' + ', '.join(allowed)}")
        if len(set(labels)) < len(labels):
            raise ValueError("names a label twice")
        return labels

    @field_validator("input")
    @classmethod
    def _input_fits_source(cls, kind: InputKind | None, info: ValidationInfo) -> InputKind | None:
        source = info.data.get("source")
        if kind is None or source is None:
            return kind
        if kind not in (allowed := inputs_of(source)):
            raise ValueError(f"is no input of {source}: {', '.join(allowed)}")
        if info.data.get("labels"):
            raise ValueError("a study is told labels or given input images, not both; take one of them out")
        recipe = info.data.get("recipe")
        if kind in ("left", "right") and recipe not in (None, "square", "none"):
            raise ValueError(f'the halves of a file are square, recipe "{recipe}" is for others: leave it out')
        return kind


def labels_of(source: SourceName) -> tuple[str, ...]:
    """Return the labels that a source's images can have, () for none."""
    if source == "faces":
        from bench.data.faces import MODE_FACTORS  # only where it is asked for: drawing takes a while to import

        return MODE_FACTORS
    if source == "own":
        return ()
    return ATTRIBUTES if source == "celeba" else ("class",)


def inputs_of(source: SourceName) -> tuple[InputKind, ...]:
    """Return the input images that a source's pairs can have."""
    own: dict[str, tuple[InputKind, ...]] = {"faces": ("parts",), "folder": PAIRED_FILES}
    colourless = source in ("mnist", "fashion-mnist")  # their grey image is the image
    return (*own.get(source, ()), *(kind for kind in DERIVED if kind != "grey" or not colourless))


_WHY_NOT = {
    "faces": "is no factor that the judge reads with certainty",
    "celeba": "is no attribute of CelebA",
    **dict.fromkeys((*TORCHVISION_SOURCES, "folder"), "is no label of this source"),
}
