"""Stacked digits: the images, the classifier that reads them, and a run on our backbone at 16 pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from bench.data.sampler import Sampler
from bench.errors import BenchError
from bench.files import write_atomic, write_json
from bench.networks.backbone import build_networks
from bench.networks.conditioning import Batch
from bench.networks.sampling import latent_blocks, recalibrated
from bench.validation.modes.counting import ModeCount, count_triples
from bench.validation.modes.jobs import Job, reader_files
from bench.validation.modes.tasks import DIGITS_LATENT, DIGITS_WIDTH, RESOLUTION, STACKED, generator_of
from bench.validation.modes.training import Trained, latent_law, load_objective, play, with_count

HELD_OUT = 360  # digits that the classifier is not trained on
LIKELY = 0.99
CHUNK = 3_000


@dataclass(frozen=True)
class Digits:
    """The digits of scikit-learn: `images` float32 N x 16 x 16 in [-1, 1], `labels` int64 (N,)."""

    images: Tensor
    labels: Tensor


@cache
def digits() -> Digits:
    """Return the 1,797 digits, enlarged bilinearly from 8 x 8. Raises BenchError when scikit-learn is not installed."""
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as error:
        raise BenchError(
            "The task stacked takes its digits from scikit-learn, which is not installed",
            hint="Type: pip install 'ganbench[modes]'",
        ) from error
    known = load_digits()
    small = torch.from_numpy(known.images).float()[:, None] / 8 - 1
    large = interpolate(small, size=(RESOLUTION, RESOLUTION), mode="bilinear", align_corners=False)
    return Digits(large[:, 0], torch.from_numpy(known.target).long())


def stacked_triples(seed: int | str) -> Tensor:
    """Return which digit stands in which channel, int64 128,000 x 3: each drawn independently from all of them."""
    chosen = generator_of("stacked", "training", seed).integers(
        len(digits().labels), size=(STACKED.training_samples, 3)
    )
    return torch.from_numpy(chosen)


class Reader(nn.Module):
    """Reads one channel: images N x 16 x 16 in [-1, 1] to the ten digits' logits, N x 10."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 24, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 48, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images[:, None])
        return logits


def split() -> tuple[Tensor, Tensor]:
    """Return the indices of the digits that the reader is trained on, and of those held out from it."""
    order = torch.from_numpy(generator_of("stacked", "split").permutation(len(digits().labels)))
    return order[HELD_OUT:], order[:HELD_OUT]


def train_reader(steps: int = 800, batch: int = 100) -> Reader:
    """Train a reader on digits moved by up to two pixels; a few seconds on one core."""
    data, (training, _) = digits(), split()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reader = Reader()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    random = generator_of("stacked", "reader")
    for _ in range(steps):
        chosen = training[torch.from_numpy(random.integers(len(training), size=batch))]
        images = data.images[chosen]
        dx, dy = (int(move) for move in random.integers(-2, 3, size=2))
        images = torch.roll(images, (dy, dx), dims=(1, 2))
        loss = cross_entropy(reader(images), data.labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return reader.eval()


@torch.no_grad()
def held_out_accuracy(reader: Reader) -> float:
    """Return the share of held-out digits that the reader reads rightly."""
    data, (_, held_out) = digits(), split()
    return float((reader(data.images[held_out]).argmax(1) == data.labels[held_out]).double().mean())


def cached_reader(folder: Path) -> Reader:
    """Return the reader, trained once and kept in `folder`; runs side by side wait for the first one's.

    Beside it lies what the tables say of it: its accuracy on held-out digits, and what real stacks are counted as.
    """
    weights, described = reader_files(folder)
    reader = Reader()
    with FileLock(weights.with_suffix(".lock")):
        if not described.exists():
            write_atomic(weights, save(train_reader().state_dict()))
        reader.load_state_dict(load(weights.read_bytes()))
        reader.eval().requires_grad_(False)
        if not described.exists():
            real = digits().images[stacked_triples("ceiling")[: STACKED.samples]]
            count = asdict(count_images(reader, real))
            write_json(described, {"held_out": HELD_OUT, "accuracy": held_out_accuracy(reader), "ceiling": count})
    return reader


@torch.no_grad()
def count_images(reader: Reader, images: Tensor) -> ModeCount:
    """Count the triples in images N x 3 x 16 x 16 in [-1, 1]; of high quality are those with three likely digits."""
    channels = images.reshape(-1, RESOLUTION, RESOLUTION)
    reach = likely_distance()
    parts = [channels[start : start + CHUNK] for start in range(0, len(channels), CHUNK)]
    read = torch.cat([reader(part).argmax(1) for part in parts]).reshape(-1, 3)
    likely = torch.cat([distance_to_digits(part, digits().images) <= reach for part in parts]).reshape(-1, 3).all(1)
    return count_triples(read.numpy(), likely.numpy())


def distance_to_digits(images: Tensor, known: Tensor) -> Tensor:
    """Return each image's Euclidean distance to the nearest of some digits, N x 16 x 16 to (N,)."""
    return torch.cdist(images.flatten(1), known.flatten(1)).min(1).values


@cache
def likely_distance() -> float:
    """Return the distance within which 99 % of held-out digits have a neighbour among the others."""
    training, held_out = split()
    images = digits().images
    return float(distance_to_digits(images[held_out], images[training]).quantile(LIKELY))


def train_stacked(job: Job, folder: Path) -> Trained:
    """Train one run on stacked digits with the backbone at 16 pixels, and count the triples that it makes."""
    objective = load_objective(job)
    G, D = build_networks(
        resolution=RESOLUTION,
        width=DIGITS_WIDTH,
        latent=DIGITS_LATENT,
        head=objective.head,
        norm=job.recipe.norm,
        seed=job.seed,
        packing=job.recipe.packing,
    )
    images, triples = digits().images, stacked_triples(job.seed)
    sampler = Sampler(len(triples), job.batch, job.seed)

    def batches(step: int) -> Batch:
        stacked = images[triples[torch.from_numpy(sampler.batch_indices(step))]]
        return Batch(stacked.contiguous(memory_format=torch.channels_last))

    trained = play(job, objective, G, D, DIGITS_LATENT, batches)
    if trained.diverged:
        return trained
    law = latent_law(job, objective)
    sampling = recalibrated(G, law, DIGITS_LATENT, torch.device("cpu"))
    with torch.no_grad():
        made = torch.cat([sampling(z) for z in latent_blocks(law, STACKED.samples, DIGITS_LATENT, job.seed, "modes")])
    return with_count(trained, count_images(cached_reader(folder), made))
