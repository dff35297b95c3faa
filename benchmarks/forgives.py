"""Which input size and layer of lite0 orders degradations of real images as people do.

    python benchmarks/forgives.py celeba --path celeba --out celeba.json
    python benchmarks/forgives.py fashion-mnist --path t10k-images-idx3-ubyte.gz --out fashion-mnist.json
    python benchmarks/forgives.py faces --out faces.json
    python benchmarks/forgives.py --page celeba.json fashion-mnist.json faces.json

The rule by which one is chosen stands in docs/evaluation.md, "What a metric forgives", and was written before any of
these was run.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.data import DataRequest, prepare
from bench.data.crops import render_arrays
from bench.data.faces import draw_faces
from bench.evaluation.degrading import (
    AS_THEY_ARE,
    DEGRADATIONS,
    Degraded,
    clusters_of,
    mean_image,
    without_clusters,
)
from bench.evaluation.frechet import fit, frechet_distance
from bench.evaluation.lite0 import STAGES, Lite0Extractor, load_lite0
from bench.evaluation.nearest import thumbnails
from bench.evaluation.neighbours import compare, draw_subsets, generated_geometry, real_geometry
from bench.evaluation.resizing import bicubic_matrix, resize
from bench.files import read_json, write_json
from bench.formatting import markdown_table

# The rule's three classes: what is hardly seen, what is seen while every image is still plainly itself, and what nobody
# would take for a real image.
HARDLY_SEEN = ("checkerboard-5", "noise-4", "jpeg-75", "shift-2", "brighter-5")
SEEN = ("checkerboard-10", "checkerboard-20", "noise-16", "jpeg-25", "average-25", "blur-1")
BROKEN = ("average-50", "average-75", "blur-2", "blur-4", "halves", "quarters")
CLEAN, DROPPED, REPEATED = "none", "3 of 10 clusters dropped", "a tenth, each ten times"
# What a candidate must still notice: at least so many times the distance of real images as they are.
LEAST = {**dict.fromkeys(BROKEN, 1.5), REPEATED: 1.2, DROPPED: 1.05}
MARGIN, TIE = 0.05, 0.01  # by how much lite0 has to be beaten, and what counts as equal

SIZES = (64, 96, 128, 192)
LAYERS = (*(f"stage{number}" for number in range(3, 8)), "pool")
DEFAULT = "128 pool"
BATCH = 20
Bytes = npt.NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", choices=("celeba", "fashion-mnist", "faces"))
    parser.add_argument("--path", type=Path)
    parser.add_argument("--root", type=Path, default=Path("data"), help="where CelebA is prepared")
    parser.add_argument("--samples", type=int, default=500, help="N, of the reference and of each degraded set")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path, nargs="+")
    told = parser.parse_args()
    if told.page:
        print(page([read_json(path) for path in told.page]))
        return
    torch.set_num_threads(1)
    images = load(told.data, told.path, told.root, 3 * told.samples)
    found = {"data": told.data, "samples": told.samples, "torch": torch.__version__, **measured(images, told.samples)}
    print(page([found]))
    if told.out:
        write_json(told.out, found)


def load(data: str, path: Path | None, root: Path, count: int) -> Bytes:
    """Return real images in a fixed random order, count x 3 x R x R."""
    if data == "faces":
        return draw_faces(2020, range(count), 64)
    if data == "celeba":
        request = DataRequest(source="celeba", path=str(path), partial=True, heldout_count=count)
        images = prepare(request, root).heldout.images()
    else:
        assert path is not None
        grey = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
        chosen = np.random.default_rng(2020).permutation(len(grey))[:count]
        return render_arrays(grey[chosen], 32).images
    return np.asarray(images[np.random.default_rng(2020).permutation(len(images))[:count]])


def measured(images: Bytes, samples: int) -> dict[str, Any]:
    """Return the distance of every degraded set under every candidate, and all three metrics under the default."""
    places = np.arange(samples, 2 * samples)
    mean = mean_image(images, places)
    clusters = clusters_of(thumbnails(images[samples:]))
    sets: dict[str, Bytes | Degraded] = {
        name: Degraded(images, places, mean, DEGRADATIONS[name]) for name in (*HARDLY_SEEN, *SEEN, *BROKEN)
    }
    sets[CLEAN] = Degraded(images, places, mean, AS_THEY_ARE)
    sets[DROPPED] = images[samples:][without_clusters(clusters, samples, 3)]
    sets[REPEATED] = images[np.resize(places[: samples // 10], samples)]
    extractor = load_lite0(torch.device("cpu"))
    distances: dict[str, dict[str, float]] = {}
    others: dict[str, dict[str, float]] = {}
    for size in SIZES:
        reference = features(extractor, images[:samples], size)
        gaussians = {layer: fit(found) for layer, found in reference.items()}
        for name, degraded in sets.items():
            found = features(extractor, degraded, size)
            for layer, gaussian in gaussians.items():
                distances.setdefault(f"{size} {layer}", {})[name] = frechet_distance(found[layer], gaussian)
            if f"{size} pool" == DEFAULT:
                others[name] = kid_and_coverage(found["pool"], reference["pool"])
            print(f"{size} {name}", flush=True)
    return {"distances": distances, "others": others}


@torch.inference_mode()
def features(extractor: Lite0Extractor, images: Bytes | Degraded, size: int) -> dict[str, Tensor]:
    """Return the means over places of the layers' outputs at an input of `size`, N x d each; `pool` is lite0's own."""
    kept: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}
    network = extractor._network
    ends = list(itertools.accumulate(stage.repeats for stage in STAGES))
    hooks = [
        network.blocks[end - 1].register_forward_hook(_keep(kept[f"stage{number}"]))
        for number, end in enumerate(ends, start=1)
        if f"stage{number}" in kept
    ]
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(np.array(images[start : start + BATCH])).float()
        if pixels.shape[-1] != size:
            pixels = resize(pixels, bicubic_matrix(pixels.shape[-1], size)).clamp_(0, 255)
        kept["pool"].append(network(((pixels - 127) / 128).contiguous(memory_format=torch.channels_last))[0])
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(parts) for layer, parts in kept.items()}


def _keep(into: list[Tensor]) -> Callable[..., None]:
    return lambda module, given, out: into.append(out.mean(dim=(2, 3)))


def kid_and_coverage(found: Tensor, reference: Tensor) -> dict[str, float]:
    subsets = draw_subsets(len(found), len(reference), len(found) // 2, 50)
    real = real_geometry(reference, subsets.real)
    values = compare(found, reference, generated_geometry(found, subsets.generated, real), real, subsets)
    return {name: values[name] for name in ("kid", "coverage", "precision", "recall")}


def share_in_order(distances: Mapping[str, float]) -> float:
    """Return the share of pairs of different classes that a distance puts in the order of the classes."""
    pairs = [
        (better, worse)
        for lower, upper in itertools.combinations((HARDLY_SEEN, SEEN, BROKEN), 2)
        for better in lower
        for worse in upper
    ]
    return sum(distances[better] < distances[worse] for better, worse in pairs) / len(pairs)


def misses(distances: Mapping[str, float]) -> Iterator[str]:
    """Name what a candidate must notice and does not."""
    for name, times in LEAST.items():
        if distances[name] < times * distances[CLEAN]:
            yield name


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables in Markdown: the candidates, and the default's distances."""
    names = [str(one["data"]) for one in found]
    candidates = []
    for name in found[0]["distances"]:
        shares = [share_in_order(one["distances"][name]) for one in found]
        missed = sorted({what for one in found for what in misses(one["distances"][name])})
        candidates.append((sum(shares) / len(shares), name, shares, missed))
    rows = [
        [name, *(f"{share:.2f}" for share in (*shares, mean)), ", ".join(missed) or "nothing"]
        for mean, name, shares, missed in sorted(candidates, key=lambda row: -row[0])
    ]
    text = [markdown_table(["input and layer", *names, "mean", "does not notice"], rows)]
    for one in found:
        text.append(f"\n{one['data']}, N {one['samples']}: {DEFAULT}, FD as a multiple of real images' as they are\n")
        clean = one["distances"][DEFAULT][CLEAN]
        heads = ["real images", "class", "FD", "× real", "KID", "coverage", "precision", "recall"]
        classes = {
            CLEAN: "",
            **dict.fromkeys(HARDLY_SEEN, "1"),
            **dict.fromkeys(SEEN, "2"),
            **dict.fromkeys(BROKEN, "3"),
        }
        lines = []
        for name, value in sorted(one["distances"][DEFAULT].items(), key=lambda item: item[1]):
            other = one["others"][name]
            told = DEGRADATIONS[name].words if name in DEGRADATIONS else {CLEAN: "as they are"}.get(name, name)
            numbers = [f"{value:.0f}", f"{value / clean:.2f}", f"{other['kid']:.4f}"]
            numbers += [f"{other[key]:.2f}" for key in ("coverage", "precision", "recall")]
            lines.append([told, classes.get(name, ""), *numbers])
        text.append(markdown_table(heads, lines))
    return "\n".join(text)


if __name__ == "__main__":
    main()
