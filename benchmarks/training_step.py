"""How many images a second the training step reaches, against the usual tutorial loop on the same networks.

    python benchmarks/training_step.py [--width 64] [--batch 64] [--threads 2] [--rounds 5]

The tutorial loop is the one that most DCGAN codes copy: contiguous fp32, three separate backward passes, D's gradients
computed in the generator step too, Adam that is not fused. Both see the same batches, already in memory. Rounds
alternate, so that a busy machine slows both alike; the ratio of the medians is what counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.config import Study
from bench.plan import TrainingSpec, make_plan
from bench.training.environment import describe_environment
from bench.training.loop import build_players


def main() -> None:
    parser = argparse.ArgumentParser(description="Images per second of the training step against the tutorial loop.")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps per round")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    device = torch.device(options.device)
    spec = training_spec(options)
    images = torch.rand(options.batch, 3, options.resolution, options.resolution, device=device) * 2 - 1
    loops = {"tutorial loop": tutorial_loop(spec, images, device), "bench": our_step(spec, images, device)}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds + 1):  # the first round warms up
        for name, step in loops.items():
            began = time.perf_counter()
            for _ in range(options.steps):
                step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append((time.perf_counter() - began) / options.steps)
    counts = [sum(p.numel() for p in network.parameters()) for network in tutorial_networks(spec)]
    ours = build_players(spec, torch.device("cpu"))
    assert counts == [sum(p.numel() for p in network.parameters()) for network in (ours.G, ours.D)]
    environment = describe_environment(device)
    print(f"{environment['device']}, {environment['capability']}, torch {environment['packages']['torch']}")
    print(
        f"nsgan, fp32, {options.resolution} px, width {options.width}, batch {options.batch}, {options.threads} threads"
    )
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:14} {1000 * median:8.1f} ms a step  {options.batch / median:8.1f} images/s")
    print(f"ratio          {medians['tutorial loop'] / medians['bench']:8.2f}")


def training_spec(options: argparse.Namespace) -> TrainingSpec:
    """Return nsgan with batch norm, as the tutorial has it."""
    study = Study.model_validate(
        {
            "name": "benchmark",
            "title": "benchmark",
            "objectives": ({"objective": "nsgan", "label": "nsgan"},),
            "seeds": (0,),
            "data": {"source": "faces", "resolution": options.resolution},
            "backbone": {"width": options.width},
            "recipe": {"norm": "batch", "learning_rate": 2e-4},
            "budget": {"generator_steps": 1000, "batch": options.batch, "halve_every": 1000},
        }
    )
    return make_plan(study).runs[0].training


def our_step(spec: TrainingSpec, images: Tensor, device: torch.device) -> Callable[[], None]:
    players = build_players(spec, device)
    batch = images.to(memory_format=torch.channels_last)
    taken = iter(range(1_000_000))
    return lambda: players.iterate(next(taken), lambda step: batch)


def tutorial_networks(spec: TrainingSpec) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the same two networks from torch's own layers."""
    width, latent = spec.backbone.width, spec.backbone.latent
    widths = [width * 2**index for index in range(spec.data.resolution.bit_length() - 3)]
    G, D = nn.Sequential(nn.Unflatten(1, (latent, 1, 1))), nn.Sequential()
    channels, stride, padding = latent, 1, 0
    for following in reversed(widths):
        G.append(nn.ConvTranspose2d(channels, following, 4, stride, padding, bias=False))
        G.append(nn.BatchNorm2d(following)).append(nn.ReLU(True))
        channels, stride, padding = following, 2, 1
    G.append(nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False)).append(nn.Tanh())
    channels = 3
    for index, following in enumerate(widths):
        D.append(nn.Conv2d(channels, following, 4, 2, 1, bias=False))
        if index > 0:
            D.append(nn.BatchNorm2d(following))
        D.append(nn.LeakyReLU(0.2, True))
        channels = following
    D.append(nn.Conv2d(channels, 1, 4, 1, 0, bias=False)).append(nn.Flatten(0))
    return G, D


def tutorial_loop(spec: TrainingSpec, images: Tensor, device: torch.device) -> Callable[[], None]:
    G, D = (network.to(device) for network in tutorial_networks(spec))
    optimizer_G, optimizer_D = (torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (G, D))
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(len(images), device=device), torch.zeros(len(images), device=device)

    def step() -> None:
        D.zero_grad()
        criterion(D(images), ones).backward()
        fake = G(torch.randn(len(images), spec.backbone.latent, device=device))
        criterion(D(fake.detach()), zeros).backward()
        optimizer_D.step()
        G.zero_grad()
        criterion(D(fake), ones).backward()
        optimizer_G.step()

    return step


if __name__ == "__main__":
    main()
