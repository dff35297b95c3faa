"""What surrounds the arithmetic: the sampler and data path, the random draws, and checkpoints.

    python benchmarks/paths.py [--device cuda] [--batch 64] [--out FILE]

data        images/s of the sampler with the gather from a prepared set of drawn faces, onto the device, as floats
draws       milliseconds for one iteration's latents, and for wgan-gp's weights too, from the CPU onto the device
checkpoint  seconds to save one of nsgan's at --width, and their share of a run at the default interval; below 2 % is
            the aim. On CUDA it includes the copy to the host.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from common import OurStep, Row, Setting, add_common_options, prepared, publish, random_images, time_steps, wait

from bench.data import DataRequest, prepare
from bench.data.sampler import Sampler, gather, load_to_device
from bench.training.checkpoint import save_checkpoint
from bench.training.loop import Pace
from bench.training.rng import StepRNG

MOST_SHARE = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description="The data path, the draws and checkpoints, each alone.")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--images", type=int, default=2000, help="drawn faces in the prepared set [2000]")
    parser.add_argument("--rounds", type=int, default=5)
    add_common_options(parser)
    options = parser.parse_args()
    device = prepared(options)
    setting = Setting(resolution=options.resolution, width=options.width, batch=options.batch)
    rows = measure(setting, device, images=options.images, rounds=options.rounds)
    publish("Around the step", rows, options, device)


def measure(setting: Setting, device: torch.device, *, images: int, rounds: int) -> list[Row]:
    """Return a row each for the data path, the draws and checkpoints; medians over `rounds`."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            *data_path(setting, device, images, rounds, Path(folder)),
            *draws(setting, device, rounds),
            *checkpoints(setting, device, rounds, Path(folder)),
        ]


def data_path(setting: Setting, device: torch.device, count: int, rounds: int, folder: Path) -> list[Row]:
    request = DataRequest(source="faces", resolution=setting.resolution, train_count=count, heldout_count=1)
    train = prepare(request, folder).train
    stored = load_to_device(train.images(), device, 2**34)
    sampler = Sampler(train.count, setting.batch, 0)
    taken = iter(range(10**9))

    def next_batch() -> None:
        gather(stored, sampler.batch_indices(next(taken)), device)

    epochs = 2 * (train.count // setting.batch)  # so that shuffling counts
    seconds = statistics.median([time_steps(next_batch, epochs, device) for _ in range(rounds + 1)][1:])
    return [_row("data", f"a batch of {setting.batch}, set on {stored.device.type}", seconds, setting.batch)]


def draws(setting: Setting, device: torch.device, rounds: int) -> list[Row]:
    drawn = StepRNG(0, device, {})
    taken = iter(range(10**9))

    def latents() -> None:
        drawn.seek(next(taken))
        drawn.begin("discriminator")
        drawn.latents("normal", setting.batch, 100)

    def with_weights() -> None:
        latents()
        drawn.uniform("interpolation", (setting.batch, 1, 1, 1))

    rows = []
    for what, work in (("latents", latents), ("latents and interpolation weights", with_weights)):
        seconds = statistics.median([time_steps(work, 200, device) for _ in range(rounds + 1)][1:])
        rows.append(_row("draws", what, seconds, setting.batch))
    return rows


def checkpoints(setting: Setting, device: torch.device, rounds: int, folder: Path) -> list[Row]:
    step = OurStep(setting, random_images(8 * setting.batch, setting.resolution), device)
    step()  # optimisers make their state
    wait(device)
    taken = iter(range(10**9))

    def save() -> None:
        save_checkpoint(folder, next(taken), step.state.state_dict() | {"device_seconds": 0.0})

    seconds = statistics.median([time_steps(save, 1, device) for _ in range(rounds + 1)][1:])
    size = max(path.stat().st_size for path in folder.glob("*.ckpt")) / 1e6
    interval = Pace().checkpoint_seconds
    share = seconds / (interval + seconds)
    verdict = "below" if share < MOST_SHARE else "NOT below"
    row = _row("checkpoint", f"width {setting.width}, {size:.0f} MB, every {interval:.0f} s", seconds)
    return [{**row, "share of a run": share, "aim": f"{verdict} {MOST_SHARE:.0%}"}]


def _row(path: str, what: str, seconds: float, images: int | None = None) -> Row:
    row = {"path": path, "what": what, "ms": 1000 * seconds}
    return row if images is None else {**row, "images/s": images / seconds}


if __name__ == "__main__":
    main()
