"""CelebA: the official zip, its unpacked folder, or Hugging Face shards, split by the official partition.

The partition goes by file number (Liu et al., 2015; list_eval_partition.txt says nothing else): 1-162770 train,
162771-182637 validation (not used), 182638-202599 test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.data.crops import CELEBA_CROPS, render_files
from bench.data.readers.archives import (
    Container,
    archive_kind,
    check_is_data,
    has_numbers,
    open_folder_of_numbers,
    open_zip,
)
from bench.data.readers.attributes import Attributes, find_attributes, labels_of
from bench.data.readers.base import Source, Split, choose, hash_lines, is_held_out
from bench.data.request import DataRequest
from bench.errors import BenchError

IMAGE_COUNT = 202_599
TRAIN_LAST = 162_770
VALID_LAST = 182_637
FEWEST_TEST_IMAGES = 500
"""A partial set with fewer test images than this is not scored on them alone."""

ARCHIVE_NAME = "img_align_celeba.zip"
ARCHIVE_MD5 = "00d2c5bc6d35e252742224ab0c1e8fcb"
DRIVE_ID = "0B7EVK8r0v71pZjFTYXZWM3FlRnM"

WAYS = (
    f"Ways to get CelebA: (1) `bench data prepare --study celeba64 --download` (from Google Drive, whose quota is often"
    f" used up); (2) {ARCHIVE_NAME} (1.4 GB) with a browser, from the Drive folder that CelebA's own page links to;"
    " (3) the copy on Kaggle (jessicali9530/celeba-dataset); (4) the parquet shards on Hugging Face"
    " (nielsr/CelebA-faces or flwrlabs/celeba). Then name the archive or its folder: --images PATH, or `path` in the"
    " study's data."
)


@contextmanager
def open_celeba(request: DataRequest, root: Path, fetch: bool) -> Iterator[Source | None]:
    """Open CelebA at `request.path` (default: `root`/celeba). With `fetch`, raises BenchError when nothing is there."""
    path = Path(request.path).expanduser() if request.path is not None else root / "celeba"
    if not path.exists():
        if fetch:
            raise BenchError(f"CelebA is not at {path}", hint=WAYS)
        yield None
        return
    with ExitStack() as stack:
        container = _open_container(path, stack)
        details: dict[str, Any] = {}
        told = find_attributes(path, container, request.labels) if request.labels else None
        yield Source(
            fingerprint=hash_lines([container.fingerprint, told.sha256]) if told else container.fingerprint,
            splits=lambda: _splits(container, told, request, path, details),
            render=partial(render_files, recipe=request.recipe, resolution=request.resolution),
            details=details,
            remedy="Aligned CelebA images are needed, all 178x218. Get a fresh copy of the archive or of these images;"
            " or take these images away and set `partial = true`.",
        )


def _open_container(path: Path, stack: ExitStack) -> Container:
    """Find out what lies at `path`: a zip, a folder of images, parquet shards, or a folder with one of them."""
    if path.is_file() and path.suffix == ".parquet":
        return _open_shards([path], path.parent)
    if path.is_file():
        return stack.enter_context(open_zip(path, WAYS))
    # The official layout is Img/, Anno/ and Eval/; Kaggle's and torchvision's copies have folders of their own.
    roots = [path / name for name in ("", "celeba", "CelebA")]
    places = [*roots, *(root / "Img" for root in roots)]
    for archive in (place / ARCHIVE_NAME for place in places):
        if archive.is_file():
            return stack.enter_context(open_zip(archive, WAYS))
    folders = ("img_align_celeba", "img_align_celeba/img_align_celeba", "img_align_celeba_png")
    inner = [place / name for place in places for name in folders]
    for folder in (*inner, *places):
        if has_numbers(folder):
            return open_folder_of_numbers(folder)
    if shards := sorted(path.rglob("*.parquet")):
        return _open_shards(shards, path)
    if len(archives := sorted(path.glob("*.zip"))) == 1:
        return stack.enter_context(open_zip(archives[0], WAYS))
    packed = [
        (file, kind)
        for place in places
        if place.is_dir()
        for file in sorted(place.iterdir())
        if file.is_file() and (kind := archive_kind(file))
    ]
    found = f"; {packed[0][0].name} is {packed[0][1]}, which has to be unpacked first" if packed else ""
    raise BenchError(
        f"{path} holds neither {ARCHIVE_NAME}, nor images such as 000001.jpg, nor *.parquet{found}", hint=WAYS
    )


def _open_shards(shards: list[Path], folder: Path) -> Container:
    from bench.data.readers.parquet import open_parquet

    for shard in shards:
        check_is_data(shard, WAYS)
    return open_parquet(shards, folder)


def _splits(
    container: Container, told: Attributes | None, request: DataRequest, path: Path, details: dict[str, Any]
) -> tuple[Split, Split]:
    places = container.locate()
    chosen = partition(sorted(places), request, path)
    rows = told.read() if told else {}

    def split(numbers: Sequence[int]) -> Split:
        labels = labels_of(numbers, rows, told, request.labels) if told else None
        return Split(len(numbers), lambda start, stop: container.read([places[n] for n in numbers[start:stop]]), labels)

    details.update(
        kind=container.kind,
        **container.details,
        fingerprint=container.fingerprint,
        images_found=len(places),
        complete=len(places) == IMAGE_COUNT,
        partition=chosen.rule,
        seed=request.seed,
        crop=list(CELEBA_CROPS[request.recipe]),
        filter="bicubic, antialiased",
    )
    if told:
        details.update(attributes={"file": told.name, "sha256": told.sha256})
    return split(chosen.train), split(chosen.heldout)


@dataclass(frozen=True)
class Partition:
    """Official file numbers of the training and the held-out images, ascending, and the rule that chose them."""

    train: list[int]
    heldout: list[int]
    rule: str


def partition(numbers: Sequence[int], request: DataRequest, path: Path) -> Partition:
    """Split the file numbers that are there by the official partition; raises BenchError when images are missing.

    A partial set with fewer than 500 test images lends the held-out set a tenth of its training images too; one that
    is asked for more held-out images than that lends as many validation images as are missing, then training images.
    """
    _check_numbers(numbers, request, path)
    train = [number for number in numbers if number <= TRAIN_LAST]
    heldout = [number for number in numbers if number > VALID_LAST]
    rule = "official, by file number: 1-162770 train, 182638-202599 held out"
    if len(heldout) < FEWEST_TEST_IMAGES:
        lent = [number for number in train if is_held_out(number, request.seed)]
        rule = (
            f"only {len(heldout)} images of the official test part (182638-202599) are there, so {len(lent)} of the"
            f" training part (1-162770), a tenth, chosen by a hash of the file number, are held out with them"
        )
        train = [number for number in train if not is_held_out(number, request.seed)]
        heldout = lent + heldout
    if request.partial and (lacking := (request.heldout_count or 0) - len(heldout)) > 0:
        unused = [number for number in numbers if TRAIN_LAST < number <= VALID_LAST]
        unused = choose(unused, min(lacking, len(unused)), request.seed, "heldout")
        lent = choose(train, min(lacking - len(unused), len(train)), request.seed, "heldout")
        rule += (
            f"; for heldout_count {request.heldout_count}, {len(unused)} of the validation part (162771-182637) and"
            f" {len(lent)} of the training part, chosen by a hash of the file number, are held out too"
        )
        train = sorted(set(train) - set(lent))
        heldout = sorted([*heldout, *unused, *lent])
    if not train or not heldout:
        raise BenchError(
            f"{path} holds {len(train)} training and {len(heldout)} held-out images by the official partition"
            " (file numbers 1-162770 and 182638-202599)",
            hint="Both are needed: add images with such numbers.",
        )
    return Partition(
        choose(train, request.train_count, request.seed, "train"),
        choose(heldout, request.heldout_count, request.seed, "heldout"),
        rule,
    )


def _check_numbers(numbers: Sequence[int], request: DataRequest, path: Path) -> None:
    if not numbers:
        raise BenchError(f"{path} holds no CelebA images (files such as 000001.jpg)", hint=WAYS)
    if strange := [number for number in numbers if not 1 <= number <= IMAGE_COUNT]:
        raise BenchError(
            f"{path} holds {len(strange)} image(s) whose number CelebA does not have, such as {strange[0]:06d}",
            hint=f"CelebA's images are numbered 000001 to {IMAGE_COUNT}. For other images use the source `folder`.",
        )
    if not request.partial and len(numbers) < IMAGE_COUNT:
        raise BenchError(
            f"{path} holds {len(numbers):,} of CelebA's {IMAGE_COUNT:,} images:"
            f" {IMAGE_COUNT - len(numbers):,} are missing",
            hint=f"To work with a part, set `partial = true` in the study's data. For all of it: {WAYS}",
        )


def download(folder: Path, fetch: Callable[[Path], None] | None = None, md5: str = ARCHIVE_MD5) -> Path:
    """Download the official zip into `folder` and return its path; an archive that is already right is kept.

    `fetch(path)` brings the bytes (default: from Google Drive with torchvision and gdown). The archive takes its name
    only when its MD5 is right. Raises BenchError with the other ways whenever this does not work.
    """
    target = folder / ARCHIVE_NAME
    if target.exists() and file_md5(target) == md5:
        return target
    if target.exists():
        check_is_data(target, WAYS)
        raise BenchError(
            f"{target} is there, but is not the official archive (another MD5)",
            hint="If it is a part of CelebA, use it with `partial = true`; else move it away and try again.",
        )
    unchecked = folder / f".{ARCHIVE_NAME}.download"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (fetch or _fetch_from_drive)(unchecked)
        check_is_data(unchecked, WAYS)
        if (actual := file_md5(unchecked)) != md5:
            raise BenchError(f"What was downloaded is not {ARCHIVE_NAME}: its MD5 is {actual}, not {md5}", hint=WAYS)
        unchecked.replace(target)
    except BenchError:
        raise
    except Exception as error:  # gdown, requests, urllib and torchvision each raise errors of their own
        raise BenchError(f"CelebA could not be downloaded: {_first_line(error)}", hint=WAYS) from error
    finally:
        unchecked.unlink(missing_ok=True)
    return target


def _fetch_from_drive(path: Path) -> None:
    from torchvision.datasets.utils import download_file_from_google_drive

    download_file_from_google_drive(DRIVE_ID, path.parent, path.name, ARCHIVE_MD5)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def file_md5(path: Path) -> str:
    """MD5 of a file: a checksum that CelebA's authors' copy is known by, no protection."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
