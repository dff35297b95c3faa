"""Folders of paired images: both in one file, side by side, or in two folders, A and B, by the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.data.build import unusable_images
from bench.data.crops import check_is_side_by_side, reason, render_halves, render_pairs, upright_size
from bench.data.readers.archives import identities, read_file
from bench.data.readers.base import Source, Split, choose, hash_lines
from bench.data.readers.folder import folder_asked_for, image_names, notice_of, partition
from bench.data.request import DataRequest
from bench.errors import BenchError
from bench.images import UnusableImageError, open_image

_INPUTS, _TARGETS = "A", "B"
_SHOWN = 10
_ALIKE = 0.02  # by how much the shapes of a pair's images may differ: rounding of a scaled one
_REMEDY = "Mend these files or take them away, and type the same command again."


def open_pairs(request: DataRequest, fetch: bool) -> Source | None:
    """Open the folder at `request.path` as pairs; with `fetch`, raises BenchError when it is not there.

    `left` and `right` name the half of each file that is the input. With `folders`, A holds the inputs and B the
    targets, under the same paths but for the suffix. Training and held-out pairs are told apart as other folders' are
    (`open_folder`): by sub-folders train and test or val, else a tenth is held out. All names and shapes are looked at
    before the first image is decoded.
    """
    folder = folder_asked_for(request, fetch)
    if folder is None:
        return None
    if request.input == "folders":
        return _in_two_folders(folder, request)
    names, left_out = image_names(folder)

    def read(chosen: Sequence[str]) -> list[Any]:
        return [read_file(folder / name, name) for name in chosen]

    render = partial(
        render_halves, left_is_input=request.input == "left", recipe=request.recipe, resolution=request.resolution
    )
    return _source(folder, request, names, left_out, names, read, render, lambda name: _check_halves(folder, name))


def _in_two_folders(folder: Path, request: DataRequest) -> Source:
    listed = [(part, image_names(folder / part)) for part in (_INPUTS, _TARGETS) if (folder / part).is_dir()]
    if len(listed) < 2:
        raise BenchError(
            f"{folder} has no sub-folders {_INPUTS} and {_TARGETS}",
            hint=f"Input images lie in {_INPUTS}, their targets in {_TARGETS}, under the same names. For files that "
            'hold both side by side set `input` to "left" or "right".',
        )
    inputs, targets = (_by_stem(folder / part, names) for part, (names, _) in listed)
    _refuse_unmatched(folder, inputs, targets)
    files = [f"{part}/{name}" for part, (names, _) in listed for name in names]
    by_name = {name: (f"{_INPUTS}/{name}", f"{_TARGETS}/{targets[stem]}") for stem, name in inputs.items()}

    def read(chosen: Sequence[str]) -> list[Any]:
        return [tuple(read_file(folder / file, file) for file in by_name[name]) for name in chosen]

    render = partial(render_pairs, recipe=request.recipe, resolution=request.resolution)
    left_out = sum((counted for _, (_, counted) in listed), Counter[str]())
    names = sorted(by_name)
    return _source(folder, request, files, left_out, names, read, render, lambda n: _check_pair(folder, by_name[n]))


def _source(
    folder: Path,
    request: DataRequest,
    files: Sequence[str],
    left_out: Counter[str],
    names: list[str],
    read: Callable[[Sequence[str]], list[Any]],
    render: Any,
    check: Callable[[str], tuple[str, str] | None],
) -> Source:
    """Return the source of the pairs `names`; `check` names what is wrong with one, reading headers alone."""
    details: dict[str, Any] = {"left_out": dict(left_out)} if left_out else {}

    def splits() -> tuple[Split, Split]:
        parts = partition(folder, names, request)
        train = choose(parts.train, request.train_count, request.seed, "train")
        heldout = choose(parts.heldout, request.heldout_count, request.seed, "heldout")
        if wrong := [found for name in (*train, *heldout) if (found := check(name)) is not None]:
            raise unusable_images(request.title, wrong, _REMEDY)
        details.update(
            kind="pairs in two folders" if request.input == "folders" else f"pairs, the {request.input} half is input",
            file=folder.name, images_found=len(names), partition=parts.rule, seed=request.seed,
            filter="bicubic, antialiased",
        )  # fmt: skip
        return _split(train), _split(heldout)

    def _split(chosen: Sequence[str]) -> Split:
        return Split(len(chosen), lambda start, stop: read(chosen[start:stop]))

    fingerprint = hash_lines(identities(folder, files))
    return Source(fingerprint, splits, render, details, _REMEDY, notice_of(folder, left_out))


def _by_stem(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return image paths by themselves without their suffix. Raises BenchError where two are alike."""
    found: dict[str, str] = {}
    for name in names:
        stem = name.rsplit(".", 1)[0]
        if stem in found:
            raise BenchError(
                f"{folder} holds {stem} twice: {found[stem]} and {name}",
                hint="Take one of them away: a name is a pair.",
            )
        found[stem] = name
    return found


def _refuse_unmatched(folder: Path, inputs: dict[str, str], targets: dict[str, str]) -> None:
    alone = [f"{_INPUTS}/{inputs[stem]}" for stem in inputs.keys() - targets.keys()]
    alone += [f"{_TARGETS}/{targets[stem]}" for stem in targets.keys() - inputs.keys()]
    if alone:
        shown = "".join(f"\n  {name}" for name in sorted(alone)[:_SHOWN])
        more = f"\n  and {len(alone) - _SHOWN:,} more" if len(alone) > _SHOWN else ""
        raise BenchError(
            f"{folder}: {len(alone):,} image(s) have no partner of the same name in the other folder:{shown}{more}",
            hint=f"Each image of {_INPUTS} needs its target in {_TARGETS}, under the same path. Add what is missing, "
            "or take these away.",
        )


def _check_halves(folder: Path, name: str) -> tuple[str, str] | None:
    """Return what is wrong with a file that is to hold two images, (its name, why); None for nothing."""
    return _wrong(folder, (name,), lambda sizes: check_is_side_by_side(sizes[0]))


def _check_pair(folder: Path, names: tuple[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with the two files of a pair."""

    def check(sizes: list[tuple[int, int]]) -> None:
        (width, height), (other_width, other_height) = sizes
        if abs(width / height - other_width / other_height) > _ALIKE:
            own, other = f"{width}x{height}", f"{other_width}x{other_height}"
            raise UnusableImageError(f"is {other} pixels and {names[0]} {own}: a pair has one shape")

    return _wrong(folder, names, check)


def _wrong(
    folder: Path, names: Sequence[str], check: Callable[[list[tuple[int, int]]], None]
) -> tuple[str, str] | None:
    sizes = []
    for name in names:
        try:
            with open_image(folder / name) as image:
                sizes.append(upright_size(image))
        except Exception as error:  # Pillow's readers raise OSError, SyntaxError, struct.error and others
            return name, reason(error)
    try:
        check(sizes)
    except UnusableImageError as error:
        return names[-1], str(error)
    return None
