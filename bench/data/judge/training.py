"""Trains a judge again: `python -m bench.data.judge.training faces`, a few minutes on one core.

Every batch holds real images (clean, at 32 pixels, or slightly spoilt), and pictures that are nothing of the kind, for
which every answer is to be equally likely. Blur fades the answer: sharp is certain, a blur of three pixels and more is
nothing. The same machine and thread count give the same weights, bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy, interpolate, pad

from bench.data import DataRequest, PreparedSet, faces, prepare
from bench.data.judge import KNOWN, Knowledge
from bench.data.judge.network import Judge, JudgeOutput, as_light, confidence, enlarged, judge_from, modes
from bench.files import write_atomic

FACES_SEED = 20_260_101
"""The judge's training faces: a set of their own, which no study draws by default."""

FACES_COUNT = 20_000
STEPS = {"faces": 4_000, "fashion-mnist": 6_000}
CLEAN_IMAGES, SMALL_IMAGES, SPOILT_IMAGES, JUNK_IMAGES = 28, 14, 10, 8
LEARNING_RATE = 4e-3
SHARP_BLUR, LOST_BLUR = 1.2, 2.4
"""Blurs (standard deviation in pixels) up to which a face is certain, and from which on nothing is."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shown:
    """Images that a judge is shown: uint8 (N, 3, R, R), and each factor's numbers, int64 (N,)."""

    images: Tensor
    labels: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.images)


def photographed(prepared: PreparedSet) -> Shown:
    """Return the images of a prepared set with their labels."""
    told = prepared.labels()
    assert told is not None
    labels = {name: torch.from_numpy(told[:, place].astype("int64")) for place, name in enumerate(prepared.factors)}
    return Shown(torch.from_numpy(np.array(prepared.images())), labels)


def drawn(seed: int, start: int, count: int, resolution: int = 64, progress: Progress | None = None) -> Shown:
    """Draw `count` faces from index `start` on."""
    report = None if progress is None else (lambda done, total: progress("drawing", done, total))
    images = faces.draw_faces(seed, range(start, start + count), resolution, report)
    chosen = [faces.factors(seed, index) for index in range(start, start + count)]
    labels = {name: torch.tensor([one[name] for one in chosen]) for name in faces.FACTORS}
    return Shown(torch.from_numpy(images), labels)


def train(training: Shown, known: Knowledge, steps: int, seed: int = 0, progress: Progress | None = None) -> Judge:
    """Train a judge on real images: AdamW, one cycle, soft cross-entropy summed over the factors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge(known.factors).to(memory_format=torch.channels_last)  # trains in two thirds of the time
    random = Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    judge.train()
    for step in range(steps):
        light, targets = batch(training, known, random)
        loss = _loss(judge.judge(light.contiguous(memory_format=torch.channels_last)), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress is not None and (step + 1) % 50 == 0:
            progress(f"training, loss {loss.item():.3f}", step + 1, steps)
    return judge.eval().requires_grad_(False)


def weights(judge: Judge) -> bytes:
    """Return a judge's weights as the bytes of a safetensors file, in float16."""
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor) for name, tensor in judge.state_dict().items()
    }
    return save_tensors({name: tensor.contiguous() for name, tensor in state.items()})


def batch(training: Shown, known: Knowledge, random: Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Return one batch: float32 (N, 3, 64, 64) in [-1, 1], and each factor's target probabilities (N, values)."""
    counts = (CLEAN_IMAGES, SMALL_IMAGES, SPOILT_IMAGES)
    chosen = torch.randint(len(training), (sum(counts),), generator=random)
    clean, small, spoilt = _varied(as_light(training.images[chosen]), random).split_with_sizes(counts)
    deviation = 1.5 * LOST_BLUR * torch.rand(SPOILT_IMAGES, generator=random)
    strength = 0.10 * torch.rand(SPOILT_IMAGES, 1, 1, 1, generator=random)
    spoilt = blurred(spoilt, deviation) + strength * torch.randn(spoilt.shape, generator=random)
    faded = ((deviation - SHARP_BLUR) / (LOST_BLUR - SHARP_BLUR)).clamp(0.0, 1.0)
    certain = torch.cat([torch.ones(CLEAN_IMAGES + SMALL_IMAGES), 1.0 - faded, torch.zeros(JUNK_IMAGES)])[:, None]
    targets = {}
    for name, values in known.factors.items():
        true = torch.zeros(len(certain), len(values))
        true[torch.arange(sum(counts)), training.labels[name][chosen]] = 1.0
        targets[name] = certain * true + (1.0 - certain) / len(values)
    if training.images.shape[2] > 32:
        small = enlarged(avg_pool2d(small, 2))
    light = torch.cat([clean, small, spoilt, junk(training, JUNK_IMAGES, random)])
    return light.clamp(-1.0, 1.0), targets


def junk(training: Shown, count: int, random: Generator) -> Tensor:
    """Return pictures that are no faces, float32 (count, 3, 64, 64): equally many of each kind in JUNK."""
    share = count // len(JUNK)
    return torch.cat([kind(_some(training, share, random), random) for kind in JUNK])


def _some(training: Shown, count: int, random: Generator) -> Tensor:
    """Return 8 faces for each picture to be made: (count, 8, 3, 64, 64)."""
    chosen = torch.randint(len(training), (count, 8), generator=random)
    return as_light(training.images[chosen.flatten()]).reshape(count, 8, 3, 64, 64)


def _flat(several: Tensor, random: Generator) -> Tensor:
    """One colour each, half of them grey, with a little noise."""
    colour = 2.0 * torch.rand(len(several), 3, 1, 1, generator=random) - 1.0
    colour[::2] = colour[::2, :1]
    return colour + 0.05 * torch.randn(several.shape[0], 3, 64, 64, generator=random)


def _noise(several: Tensor, random: Generator) -> Tensor:
    """White noise of any strength, alone or drowning a face."""
    strength = 0.2 + 0.8 * torch.rand(len(several), 1, 1, 1, generator=random)
    share = 0.6 * torch.rand(len(several), 1, 1, 1, generator=random)
    return share * several[:, 0] + strength * torch.randn(several[:, 0].shape, generator=random)


def _blobs(several: Tensor, random: Generator) -> Tensor:
    """Coloured blobs of 4 to 32 pixels, alone or over a blurred face: what a failing generator draws."""
    size = 2 ** int(torch.randint(1, 5, (), generator=random))
    coarse = torch.randn(len(several), 3, size, size, generator=random)
    blobs = interpolate(coarse, size=(64, 64), mode="bicubic", align_corners=False)
    share = torch.rand(len(several), 1, 1, 1, generator=random)
    return (1.0 - share) * _heavy_blur(several, random) + (0.3 + 0.5 * share) * blobs


def _mean_faces(several: Tensor, random: Generator) -> Tensor:
    """The mean of 3 to 8 faces."""
    return several[:, : int(torch.randint(3, 9, (), generator=random))].mean(dim=1)


def _heavy_blur(several: Tensor, random: Generator) -> Tensor:
    """A face blurred by 3.5 to 8 pixels."""
    return blurred(several[:, 0], 3.5 + 4.5 * torch.rand(len(several), generator=random))


def _mixed_faces(several: Tensor, random: Generator) -> Tensor:
    """Two faces seen through each other."""
    share = 0.35 + 0.3 * torch.rand(len(several), 1, 1, 1, generator=random)
    return share * several[:, 0] + (1.0 - share) * several[:, 1]


def _shuffled(several: Tensor, random: Generator) -> Tensor:
    """A face cut into 4 x 4 squares that changed places."""
    squares = several[:, 0].reshape(-1, 3, 4, 16, 4, 16).permute(2, 4, 0, 1, 3, 5).flatten(0, 1)
    moved = squares[torch.randperm(16, generator=random)].reshape(4, 4, -1, 3, 16, 16)
    return moved.permute(2, 3, 0, 4, 1, 5).reshape(-1, 3, 64, 64)


def _erased(several: Tensor, random: Generator) -> Tensor:
    """A good background and shirt, but where the head should be is a smear of colours."""
    _, y, x = torch.meshgrid(torch.zeros(1), torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    inside = torch.sigmoid(12.0 * (0.75 - ((x / 0.85) ** 2 + ((y + 0.12) / 0.95) ** 2).sqrt()))[None]
    coarse = torch.randn(len(several), 3, 4, 4, generator=random) * 0.4
    smear = _heavy_blur(several, random) + interpolate(coarse, size=(64, 64), mode="bilinear", align_corners=False)
    return several[:, 0] * (1.0 - inside) + smear * inside


JUNK = (_flat, _noise, _blobs, _mean_faces, _heavy_blur, _mixed_faces, _shuffled, _erased)


def _varied(light: Tensor, random: Generator) -> Tensor:
    """Mirror, move by up to 2 pixels, and change the colours a little: nothing that changes an answer."""
    count = len(light)
    mirrored = torch.rand(count, generator=random) < 0.5
    light = torch.where(mirrored[:, None, None, None], light.flip(3), light)
    moved = pad(light, (2, 2, 2, 2), mode="replicate")
    offsets = torch.randint(0, 5, (count, 2), generator=random).tolist()
    light = torch.stack([one[:, y : y + 64, x : x + 64] for one, (y, x) in zip(moved, offsets, strict=True)])
    gain = 1.0 + 0.06 * (torch.rand(count, 3, 1, 1, generator=random) - 0.5)
    lift = 0.06 * (torch.rand(count, 1, 1, 1, generator=random) - 0.5)
    return (light * gain + lift).clamp(-1.0, 1.0)


def blurred(light: Tensor, deviation: Tensor) -> Tensor:
    """Blur each image (N, 3, R, R) by its own Gaussian, whose standard deviations (N,) are in pixels."""
    count, channels, height, width = light.shape
    half = max(1, math.ceil(2.5 * float(deviation.max())))
    place = torch.arange(-half, half + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (place / deviation.clamp_min(0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None, None, :]
    stacked = pad(light, (half, half, half, half), mode="replicate").reshape(1, count * channels, height + 2 * half, -1)
    stacked = conv2d(stacked, kernel, groups=count * channels)
    stacked = conv2d(stacked, kernel.transpose(2, 3), groups=count * channels)
    return stacked.reshape(count, channels, height, width)


def _loss(output: JudgeOutput, targets: dict[str, Tensor]) -> Tensor:
    total = torch.zeros(())
    for name, target in targets.items():
        total = total + cross_entropy(output.logits[name], target)
    return total


def accuracy(judge: Judge, known: Knowledge, tested: Shown) -> dict[str, float]:
    """Return the share of right answers by factor, of right modes, and of images above the gate."""
    output = judge(tested.images)
    shares = {name: _share(output.logits[name].argmax(1) == tested.labels[name]) for name in known.factors}
    mode, confident = modes(output, known.mode_factors)
    true = torch.zeros_like(mode)
    for name in known.mode_factors:
        true = true * len(known.factors[name]) + tested.labels[name]
    shares |= {"mode": _share(mode == true), "confident": _share(confident)}
    shares["confident and right"] = _share((mode == true) & confident)
    shares["mean confidence"] = float(confidence(output, known.mode_factors).mean())
    return shares


def _share(right: Tensor) -> float:
    return float(right.float().mean())


def main() -> None:
    """Train a judge, write its weights, and say how good they are on held-out images."""
    parser = argparse.ArgumentParser(prog="python -m bench.data.judge.training", description=main.__doc__)
    parser.add_argument("source", choices=KNOWN, help="which judge")
    parser.add_argument("--images", type=Path, help="where the images lie, unless they are drawn")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where they are prepared [data]")
    parser.add_argument("--out", type=Path, help="where to write the weights [SOURCE.safetensors]")
    parser.add_argument("--steps", type=int, help="how many batches to train on [faces 4000, fashion-mnist 6000]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    started = time.perf_counter()
    known, tested = KNOWN[options.source], []
    if options.source == "faces":
        training = drawn(FACES_SEED, 0, FACES_COUNT, progress=_print_progress)
        tested = [drawn(0, faces.HELDOUT_START, 2_000, resolution) for resolution in (64, 32)]
    else:
        path = None if options.images is None else str(options.images)
        request = DataRequest(source=options.source, path=path, labels=tuple(known.factors))
        data = prepare(request, options.data)
        training, tested = photographed(data.train), [photographed(data.heldout)]
    steps = options.steps or STEPS[options.source]
    content = weights(train(training, known, steps, progress=_print_progress))
    out = options.out or Path(known.weights.name)
    write_atomic(out, content)
    digest = hashlib.sha256(content).hexdigest()
    print(f"\n{out}: {len(content):,} bytes, {time.perf_counter() - started:.0f} s, SHA-256 {digest}")
    print("These are the shipped weights." if digest == known.sha256 else "The shipped weights are others.")
    judge = judge_from(content, known)
    for each in tested:
        shares = accuracy(judge, known, each)
        told = ", ".join(f"{name} {share:.4f}" for name, share in shares.items())
        print(f"{len(each):,} held-out images of {each.images.shape[2]} pixels: {told}")


def _print_progress(what: str, done: int, total: int) -> None:
    if done == total or done % 500 == 0:
        print(f"{what}: {done:,} of {total:,}", flush=True)


if __name__ == "__main__":
    main()
