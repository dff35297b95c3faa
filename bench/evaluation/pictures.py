"""Pictures that a finished run's report shows: walks between latents, and the training images nearest to its samples.

Both show the raw generator of the last step, with batch norm recomputed. They are files of the run's samples folder
and, once there, are left as they are.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from bench.data import PreparedData
from bench.data.shown import shown_pairs
from bench.evaluation.evaluate import LoadGenerator
from bench.evaluation.features import NotFiniteError, extract
from bench.evaluation.nearest import SIDE, thumbnails
from bench.evaluation.reference import Reference
from bench.evaluation.samples import conditions_for
from bench.files import write_atomic
from bench.networks.codes import Codes
from bench.networks.sampling import (
    GRID,
    LatentLaw,
    draw_codes,
    draw_latents,
    drawn,
    grid_samples,
    recalibrated,
    to_uint8,
)
from bench.runs.folder import INTERPOLATIONS, NEAREST, TRAVERSALS, RunFolder
from bench.runs.plan import RunSpec

ROWS, COLUMNS = 6, 8
LATENTS_OF_A_CODE = 2  # rows of a traversal for each code
MOST_VALUES = 10  # columns of a traversal
_CANDIDATES = 4_096  # training images held as float64 at once
_GAP_SHARE = 8  # the gap under the generated images is an eighth of an image
_GAP_GREY = 128

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Neighbours:
    """For each generated image, its nearest training image under one distance.

    described   how they were found, for the reader
    places      places in the training set
    distances   in pixel values (16 x 16 pixels) or in feature units
    """

    described: str
    places: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]


def missing_pictures(folder: RunFolder, spec: RunSpec, allow_real: bool = False) -> list[Path]:
    """Return the pictures that a run should have and has not; none before it is done, or when it diverged.

    Training images are shown where they are drawn (source "faces"); others may be photographs of people, and are
    shown only on request.
    """
    status = folder.status()
    if status.state != "done" or not folder.snapshot_file(status.total_generator_steps).exists():
        return []
    shown = allow_real or spec.training.data.source == "faces"
    names = [INTERPOLATIONS, *([NEAREST] if shown else []), *([TRAVERSALS] if spec.training.backbone.codes else [])]
    return [path for name in names if not (path := folder.samples / name).exists()]


def write_pictures(
    folder: RunFolder,
    spec: RunSpec,
    data: PreparedData,
    load_generator: LoadGenerator,
    device: torch.device,
    allow_real: bool = False,
    reference: Reference | None = None,
) -> list[Path]:
    """Write the pictures that a finished run lacks into its samples folder and return the new files.

    interpolations.png   6 rows x 8 columns, from one latent (left) to another (right): the same 12 in every run of a
                         latent law and size; with labels each row has those of one reference image
    nearest.png          the first row of the run's sample grid; under it each image's nearest training image in 16 x 16
                         pixels; with a `reference`, whose training features are there already, one more row: the
                         nearest by features of its first extractor. The PNG's text "bench" says in JSON what each row
                         is, which training images it shows, and at what distances. Not for photographs: see
                         `missing_pictures`

    traversals.png       of a run with codes: for each code two rows, in which it alone changes from image to image; see
                         `traversal`. Row by row, the codes are in their order

    Call it with the run's lock held. Raises NotFiniteError when the generator's images are not finite.
    """
    missing = missing_pictures(folder, spec, allow_real)
    if not missing:
        return []
    backbone = spec.training.backbone
    law, latent = backbone.latent_law, backbone.latent
    loaded = load_generator(folder.snapshot_file(folder.status().total_generator_steps), "raw")
    codes = backbone.drawn_codes
    conditions = conditions_for(data, codes, ROWS, sample_seed=0)
    G = recalibrated(loaded, law, latent, device, conditions and conditions.calibration)
    for path in missing:
        if path.name == INTERPOLATIONS:
            told = conditions and conditions.samples[:ROWS].repeat_interleave(COLUMNS, dim=0)
            content = _png(_sheet(_images(G, interpolation_latents(law, latent), told, device).numpy()))
        elif path.name == TRAVERSALS and codes is not None:
            images = _images(G, *traversal(law, latent, codes), device).numpy()
            content = _png(_sheet(images, columns=columns_of(codes)))
        else:
            sizes = [len(values) for values in data.train.factors.values()]
            pairs = shown_pairs(data.heldout)
            latents, told = grid_samples(law, latent, sizes, codes, pairs and pairs.inputs)
            first_row = _images(G, latents[:GRID], None if told is None else told[:GRID], device)
            content = _nearest_png(first_row, data, reference)
        write_atomic(path, content)
    return missing


def interpolation_latents(law: LatentLaw, latent: int) -> Tensor:
    """Return 48 x `latent` latents, row by row: 6 ways of 8 even steps between fixed pairs, both ends included.

    Uniform latents are joined by straight lines, which stay in the cube. Normal ones lie near a sphere that a straight
    line would leave; they are joined along it (White 2016, arXiv 1609.04468).
    """
    ends = draw_latents(law, 2 * ROWS, latent, "interpolations").double()
    left, right = ends[:ROWS, None], ends[ROWS:, None]
    share = torch.linspace(0, 1, COLUMNS, dtype=torch.float64)[None, :, None]
    way = left + share * (right - left)
    if law == "normal":
        angle = torch.cosine_similarity(left, right, dim=2).clamp(-1, 1).acos()[..., None]
        arc = (((1 - share) * angle).sin() * left + (share * angle).sin() * right) / angle.sin()
        way = torch.where(angle.sin() > 1e-6, arc, way)  # (anti)parallel latents, as of size 1, have no arc
    return way.flatten(end_dim=1).float()


def columns_of(codes: Codes) -> int:
    """Return how many images a row of a traversal has: the most values of a code, from 8 to 10."""
    return min(max([COLUMNS, *codes.categorical]), MOST_VALUES)


def traversal(law: LatentLaw, latent: int, codes: Codes) -> tuple[Tensor, Tensor]:
    """Return latents and codes, row by row: each code in turn takes its values while latents and other codes stay.

    A categorical code takes its values in order, and again from the first where the row is longer; a continuous one
    goes from -1 to 1 in even steps. The rows of every code have the same latents.
    """
    columns = columns_of(codes)
    latents = draw_latents(law, LATENTS_OF_A_CODE, latent, "traversal")
    numbers = draw_codes(codes, LATENTS_OF_A_CODE, "traversal")
    rows = []
    for code in range(len(codes.values)):
        for own in numbers:
            row = own.repeat(columns, 1)
            if code < len(codes.categorical):
                size, start = codes.categorical[code], sum(codes.categorical[:code])
                row[:, start : start + size] = torch.eye(size)[torch.arange(columns) % size]
            else:
                place = sum(codes.categorical) + code - len(codes.categorical)
                row[:, place] = torch.linspace(-1, 1, columns)
            rows.append(row)
    return latents.repeat_interleave(columns, dim=0).repeat(len(codes.values), 1), torch.cat(rows)


def nearest_places(
    images: npt.NDArray[Any], candidates: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return, for each of N x d `images`, the place of its nearest of M x d `candidates` and the Euclidean distance.

    Of equally near ones the first counts.
    """
    place = np.zeros(len(images), dtype=np.int64)
    best = np.full(len(images), np.inf)
    for start in range(0, len(candidates), _CANDIDATES):
        distances = cdist(images, candidates[start : start + _CANDIDATES])
        closest = distances.min(axis=1)
        place = np.where(closest < best, distances.argmin(axis=1) + start, place)
        best = np.minimum(best, closest)
    return place, best


@torch.inference_mode()
def _images(G: nn.Module, latents: Tensor, conditions: Tensor | None, device: torch.device) -> Tensor:
    made = drawn(G, latents, conditions, device)
    if not bool(made.isfinite().all()):
        raise NotFiniteError("The generated images")
    return to_uint8(made).cpu()


def _nearest_png(images: Tensor, data: PreparedData, reference: Reference | None) -> bytes:
    found = [_in_pixels(images, data, reference)]
    if reference is not None:
        found.append(_in_features(images, reference))
    training = data.train.images()
    generated = images.numpy()
    gap = np.full((max(generated.shape[2] // _GAP_SHARE, 1), GRID * generated.shape[3], 3), _GAP_GREY, dtype=np.uint8)
    sheet = np.concatenate([_sheet(generated), gap, *(_sheet(training[row.places]) for row in found)])
    facts = [{"row": "generated: the first row of the run's sample grid"}] + [
        {"row": row.described, "training_images": row.places.tolist(), "distances": row.distances.tolist()}
        for row in found
    ]
    return _png(sheet, json.dumps(facts))


def _in_pixels(images: Tensor, data: PreparedData, reference: Reference | None) -> Neighbours:
    training = thumbnails(data.train.images()) if reference is None else reference.training_thumbnails()
    described = f"nearest of {len(training):,} training images in {SIDE} x {SIDE} pixels"
    return Neighbours(described, *nearest_places(thumbnails(images.numpy()), training))


def _in_features(images: Tensor, reference: Reference) -> Neighbours:
    """Look among the training images whose features the metrics have: the first ones of their fixed order."""
    extractor = reference.extractors[0]
    part = reference.training_part(reference.settings.samples)
    order = reference.thumbnails(part)[1]
    assert order is not None  # training images have places
    features = extract(extractor, images).pool.numpy()
    place, distances = nearest_places(features, reference.features(extractor, part).pool.cpu().numpy())
    described = f"nearest of {len(part):,} training images in {extractor.label} features"
    return Neighbours(described, order[place], distances)


def _sheet(images: Bytes, columns: int = COLUMNS) -> Bytes:
    """Lay N x 3 x R x R images out in rows, H x W x 3."""
    count, channels, side, _ = images.shape
    rows = images.reshape(count // columns, columns, channels, side, side)
    return rows.transpose(0, 3, 1, 4, 2).reshape(-1, columns * side, channels)


def _png(pixels: Bytes, text: str | None = None) -> bytes:
    information = PngInfo()
    if text is not None:
        information.add_text("bench", text)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True, pnginfo=information)
    return buffer.getvalue()
