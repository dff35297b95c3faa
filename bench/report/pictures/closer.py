"""Pictures shown on demand under a wall: a time-lapse, ways between latents, the nearest training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench.formatting import joined
from bench.limits import bounded_json
from bench.report.model import Picture, ReportOptions, SampleSet
from bench.report.pictures.images import GRID, QUALITIES, Pixels, fitted, read_image, webp
from bench.report.pictures.timelapse import QUALITY, Grids, TimeLapse, of_one_shape, time_lapse
from bench.report.study import Entry, Run, Study
from bench.runs.folder import INTERPOLATIONS, NEAREST

LAPSE_FRAMES = 8
# Beyond this many images' worth of 64 x 64 pixels, or from this side on, the page links to the pictures instead.
MOST_ENTRIES_AT_64 = 30
LARGE_SIDE = 128
# What these pictures may add to a page, shared by all entries.
CLOSER_BYTES = 1_500_000
_LAPSE, _WAYS, _NEIGHBOURS = "Time-lapse", "Between latents", "Nearest training images"
_READING = {
    _LAPSE: "how the samples of the same latents form from snapshot to snapshot",
    _WAYS: "samples on the way from one latent to another, where a generator that memorises jumps from image to image",
    _NEIGHBOURS: "what in the training set is most like the first samples",
}


def closer_pictures(study: Study, entry: Entry, run: Run, grids: Grids, options: ReportOptions) -> Iterator[Picture]:
    """Yield what there is of an entry's time-lapse, interpolations and nearest training images, all of one run.

    `grids` are the run's sample grids, oldest first. Training images are shown where they are drawn, or on request.
    """
    room = 0 if _heavy(study) else CLOSER_BYTES // len(study.entries)
    yield from _lapse(study, entry, run, grids, room // 2)
    yield from _interpolations(study, entry, run, room // 3)
    if study.plan["data"]["source"] == "faces" or options.show_training_images:
        yield from _nearest(study, entry, run, room // 6)


def how_to_read(sets: Sequence[SampleSet]) -> str:
    """Return a sentence about what the pictures under the walls show; "" where there are none."""
    titles = {picture.title for one_set in sets for picture in one_set.closer}
    told = "; ".join(f"{title.lower()}, {reading}" for title, reading in _READING.items() if title in titles)
    return f"To open or to follow under each wall, for its seed: {told}." if told else ""


def _heavy(study: Study) -> bool:
    side = int(study.plan["backbone"]["resolution"])
    return side >= LARGE_SIDE or len(study.entries) * side**2 > MOST_ENTRIES_AT_64 * 64**2


def _lapse(study: Study, entry: Entry, run: Run, grids: Grids, byte_limit: int) -> Iterator[Picture]:
    grids = of_one_shape(grids)
    whole = time_lapse(grids)
    if whole is None:
        return
    moving, fits = _fitted(lambda quality: _animation(whole, grids, quality), byte_limit - len(whole.poster))
    steps = joined([f"{step:,}" for step, _ in grids])
    side = grids[-1][1].shape[1] // GRID
    columns = whole.width // side
    images = columns * min(columns, grids[-1][1].shape[0] // side)  # a grid with labels may have fewer rows
    told = study.plan["data"].get("labels") or study.plan["data"].get("input")
    what = f"{images} {'samples' if told else 'latents'}"
    yield Picture(
        name=f"lapse-{entry.label}-{entry.protocol}",
        alt=f"Time-lapse of {entry.label}, seed {run.seed}: the same {what} at generator steps {steps}.",
        caption=f"Seed {run.seed}, the same {what} at generator steps {steps}: the last one first.",
        page=whole.poster if fits else b"",
        evidence=whole.animation,
        width=whole.width,
        height=whole.height,
        suffix="webp",
        title=_LAPSE,
        moving=moving if fits else b"",
    )


def _animation(whole: TimeLapse, grids: Grids, quality: int) -> bytes:
    coarser = time_lapse(grids, quality) if quality < QUALITY else whole
    assert coarser is not None  # there are as many frames as in the whole one
    return coarser.animation


def _fitted(encode: Callable[[int], bytes], byte_limit: int) -> tuple[bytes, bool]:
    return fitted(encode, byte_limit) if byte_limit > 0 else (b"", False)


def _interpolations(study: Study, entry: Entry, run: Run, byte_limit: int) -> Iterator[Picture]:
    image = read_image(run.folder.samples / INTERPOLATIONS)
    if image is None:
        return
    pixels, _ = image
    rows = pixels.shape[0] * GRID // pixels.shape[1]
    yield _still(
        pixels,
        byte_limit,
        name=f"interpolations-{entry.label}-{entry.protocol}",
        alt=(
            f"{rows} rows of {GRID} samples of {entry.label}, seed {run.seed}; along each row the latent goes in even "
            "steps from one point to another."
        ),
        caption=(
            f"Seed {run.seed}, generator step {study.plan['final_step']:,}: {rows} ways in {GRID} even steps from one "
            "latent (left) to another (right), the same in every entry."
        ),
        title=_WAYS,
    )


def _nearest(study: Study, entry: Entry, run: Run, byte_limit: int) -> Iterator[Picture]:
    image = read_image(run.folder.samples / NEAREST)
    if image is None:
        return
    pixels, text = image
    described = _described(text)
    rows = "; ".join(described) or "the nearest training images"
    yield _still(
        pixels,
        byte_limit,
        name=f"nearest-{entry.label}-{entry.protocol}",
        alt=f"{GRID} samples of {entry.label}, seed {run.seed}, and under each, after a grey line: {rows}.",
        caption=(
            f"Seed {run.seed}, generator step {study.plan['final_step']:,}: {GRID} generated images; under the grey "
            f"line, below each, {rows}."
        ),
        title=_NEIGHBOURS,
    )


def _described(text: str) -> list[str]:
    """Return how each row of training images was found, from the picture's own text; nothing where it says nothing."""
    try:
        rows = bounded_json(text.encode())
        return [f"the {row['row']}" for row in rows[1:]]
    except (ValueError, TypeError, KeyError):
        return []


def _still(pixels: Pixels, byte_limit: int, name: str, alt: str, caption: str, title: str) -> Picture:
    page, fits = _fitted(partial(webp, pixels), byte_limit)
    height, width, _ = pixels.shape
    evidence = webp(pixels, QUALITIES[0])  # the run keeps the picture as it was made
    return Picture(name, alt, caption, page if fits else b"", evidence, width, height, "webp", title)
