"""How fast this processor computes each convolution of the backbone, by each algorithm of bench.networks.convolution.

    python benchmarks/layers.py [--width 64] [--resolution 64] [--batch 64] [--out FILE]

A row is one layer, one of its three tensors and one algorithm. `small` is the forward pass of a halving layer and the
input gradient of a doubling one, `large` the other way round, `kernel` the weight gradient of both. Milliseconds are
CPU time, the best and the median of `--rounds` in which all algorithms of a layer take turns; GFLOP/s count the direct
sum's arithmetic whatever the algorithm, so that a higher one is faster. "chosen" marks what bench takes on this
processor. The layers onto and from one pixel (`head`, `first`) are timed forward and backward together.

A new processor takes a minute of this on a quiet core: where another algorithm is clearly faster, change `choose`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from common import Row, add_common_options, prepared, publish
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d

from bench.networks.convolution import ALGORITHMS, Choice, choose, from_pixel, onto_pixel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description="Convolutions of the backbone by every algorithm there is for them.")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precisions", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    parser.add_argument("--rounds", type=int, default=5)
    add_common_options(parser)
    options = parser.parse_args()
    device = prepared(options)
    if device.type != "cpu":
        parser.error("the choice of algorithms is for CPUs; --device must be cpu")
    rows = [
        row
        for precision in options.precisions
        for row in measure(options.width, options.resolution, options.batch, precision, options.rounds)
    ]
    publish("Convolutions by algorithm", rows, options, device)


def measure(width: int, resolution: int, batch: int, precision: str, rounds: int) -> list[Row]:
    """Return a row for each layer, tensor and algorithm."""
    rows: list[Row] = []
    channels, side = 3, resolution // 2
    while side >= 4:
        following = width if channels == 3 else 2 * channels
        rows += layer(channels, following, side, batch, precision, rounds)
        channels, side = following, side // 2
    return rows + pixel_layers(channels, batch, precision, rounds)


def layer(large: int, small: int, side: int, batch: int, precision: str, rounds: int) -> list[Row]:
    """Return the rows of one layer."""
    dtype = DTYPES[precision]
    tensors = {
        "large": _random((batch, large, 2 * side, 2 * side), dtype),
        "small": _random((batch, small, side, side), dtype),
        "kernel": _random((small, large, 4, 4), dtype),
    }
    chosen = choose(torch.backends.cpu.get_cpu_capability(), dtype, large, small, side) or Choice()
    operations = 2 * 16 * batch * large * small * side * side
    rows: list[Row] = []
    for wanted, algorithms in ALGORITHMS.items():
        one, other = (value for name, value in tensors.items() if name != wanted)
        timed = in_turns({name: partial(way, one, other) for name, way in algorithms.items()}, rounds)
        name = f"{large} x {2 * side}² - {small} x {side}²"
        rows += _rows(precision, name, wanted, timed, operations, getattr(chosen, wanted))
    return rows


def pixel_layers(channels: int, batch: int, precision: str, rounds: int, latent: int = 100) -> list[Row]:
    """Return the rows of D's head and G's first layer."""
    dtype = DTYPES[precision]
    rows: list[Row] = []
    for name, images, kernel, torchs, ours in (
        ("head", _random((batch, channels, 4, 4), dtype), _random((1, channels, 4, 4), dtype), conv2d, onto_pixel),
        (
            "first",
            _random((batch, latent, 1, 1), dtype),
            _random((latent, channels, 4, 4), dtype),
            conv_transpose2d,
            from_pixel,
        ),
    ):
        ways = {"direct": _both_ways(torchs, images, kernel)}
        if ours(images, kernel) is not None:
            ways["product"] = _both_ways(ours, images, kernel)
        operations = 3 * 2 * 16 * batch * channels * (latent if name == "first" else 1)
        with torch.enable_grad():
            timed = in_turns(ways, rounds)
        rows += _rows(precision, name, "all", timed, operations, list(ways)[-1])
    return rows


def in_turns(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return each one's CPU seconds, round by round; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            began = time.process_time()
            way()
            seconds[name].append(time.process_time() - began)
    return {name: values[1:] for name, values in seconds.items()}


def _both_ways(forward: Callable[..., Any], images: Tensor, kernel: Tensor) -> Callable[[], Any]:
    images, kernel = images.clone().requires_grad_(), kernel.clone().requires_grad_()

    def work() -> Any:
        out = forward(images, kernel)
        return torch.autograd.grad(out, [images, kernel], out.detach())

    return work


def _rows(
    precision: str, layer: str, wanted: str, timed: Mapping[str, list[float]], operations: int, chosen: str
) -> list[Row]:
    return [
        {
            "precision": precision,
            "layer": layer,
            "tensor": wanted,
            "algorithm": name,
            "ms": 1000 * min(seconds),
            "median ms": 1000 * statistics.median(seconds),
            "GFLOP/s": operations / min(seconds) / 1e9,
            "chosen": "yes" if name == chosen else "",
        }
        for name, seconds in timed.items()
    ]


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype).to(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
