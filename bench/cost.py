"""What a run is likely to cost, before it has run.

Measured where a like run has finished; else computed from the convolutions' arithmetic and a rate that is only a guess
of the machine. Import-free of torch, so that it can be asked anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.plan import RunSpec
from bench.runs import RunFolder

# Multiply-adds a second that training reaches on one core and on a data-centre GPU, in fp32. Rough on purpose.
GUESSED_RATE = {"cpu": 2.0e10, "cuda": 5.0e12, "mps": 5.0e11}
START_SECONDS = 6.0


@dataclass(frozen=True)
class Cost:
    """An estimate of a run's training in seconds on one device, and whether a like run was measured."""

    seconds: float
    measured: bool


def estimate(run: RunSpec, runs_root: Path, device_type: str) -> Cost:
    """Return what training `run` will take: by a finished run of the same shape in the study, else by arithmetic."""
    steps = run.training.budget.generator_steps
    for folder in sorted((runs_root / run.study / f"{run.label}-{run.protocol}").glob("seed-*")):
        seconds_per_step = _measured(RunFolder(folder), run, device_type)
        if seconds_per_step is not None:
            return Cost(START_SECONDS + steps * seconds_per_step, measured=True)
    return Cost(START_SECONDS + steps * multiply_adds(run) / GUESSED_RATE[device_type], measured=False)


def multiply_adds(run: RunSpec) -> float:
    """Return the multiply-adds of one iteration: every discriminator step and the generator step.

    A backward pass counts twice a forward one, half of that where no weight gradient is needed.
    """
    training = run.training
    generator = _decoder_multiply_adds(training.data.resolution, training.backbone.width, training.backbone.latent)
    trunk = _trunk_multiply_adds(training.data.resolution, training.backbone.width)
    autoencoding = training.objective.name in ("ebgan", "began")
    discriminator = trunk + (generator if autoencoding else 0.0)
    batch = training.budget.batch
    if training.objective.name == "vae":
        return 3 * batch * (generator + trunk)
    penalty = 6 * discriminator if training.objective.name == "wgan-gp" else 0.0
    steps = training.recipe.discriminator_steps
    return batch * (steps * (generator + 6 * discriminator + penalty) + 3 * generator + 2 * discriminator)


def _measured(folder: RunFolder, run: RunSpec, device_type: str) -> float | None:
    try:
        status = folder.status()
        if status.state != "done" or not status.device or not status.device.startswith(device_type):
            return None
        other = RunSpec.read(folder.spec_file)
    except BenchError:
        return None
    same = {"recipe", "backbone", "objective"}
    alike = other.training.model_dump(include=same) == run.training.model_dump(include=same)
    alike = alike and other.training.budget.batch == run.training.budget.batch
    alike = alike and other.training.data.resolution == run.training.data.resolution
    return status.device_seconds / max(status.generator_steps, 1) if alike else None


def _trunk_multiply_adds(resolution: int, width: int) -> float:
    total, channels, side, following = 0.0, 3, resolution, width
    while side > 4:
        side //= 2
        total += side * side * 16 * channels * following
        channels, following = following, following * 2
    return total


def _decoder_multiply_adds(resolution: int, width: int, latent: int) -> float:
    first = width * resolution // 8
    return _trunk_multiply_adds(resolution, width) + 16 * latent * first
