"""How a step's time and memory grow with width, batch and resolution, and how well bench.runs.cost follows.

    python benchmarks/growth.py [--device cuda] [--objective nsgan] --out FILE      measure
    python benchmarks/growth.py --page FILE [FILE...]                               write docs/cost.md and its figures

--page also takes the results.jsonl of benchmarks/gpu.py, with its stages "start" and "cost".

One quantity moves at a time, the others stay at the centre. Time is bench.training.timing.seconds_per_step, as
`bench plan --calibrate` takes it. Memory on CUDA is the most that torch had allocated; on a CPU it is by how much a
process of its own grew beyond what it takes to load torch and bench. The model is bench.runs.cost.multiply_adds, scaled
to the centre's time.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import Row, Setting, add_common_options, prepared, publish
from gpu import rows_of
from tables import markdown

from bench.files import read_json, write_atomic
from bench.runs.cost import multiply_adds
from bench.training.environment import prepare_process
from bench.training.timing import seconds_per_step

GRID = {"width": (16, 32, 64, 128), "batch": (16, 32, 64, 128), "resolution": (32, 64, 128)}
PLURAL = {"width": "widths", "batch": "batches", "resolution": "resolutions"}
DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description="Step time and memory against width, batch and resolution.")
    parser.add_argument("--objective", default="nsgan")
    for name, centre in (("width", 64), ("batch", 64), ("resolution", 64)):
        parser.add_argument(f"--{name}", type=int, default=centre, help=f"the centre's [{centre}]")
        values = " ".join(map(str, GRID[name]))
        parser.add_argument(f"--{PLURAL[name]}", type=int, nargs="+", default=list(GRID[name]), help=f"[{values}]")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--seconds", type=float, default=5.0, help="of timing for each point [5]")
    parser.add_argument("--page", type=Path, nargs="+", metavar="FILE", help="write docs/cost.md from these, and stop")
    parser.add_argument("--docs", type=Path, default=DOCS, help=argparse.SUPPRESS)
    add_common_options(parser)
    options = parser.parse_args()
    if options.page:
        write_page(options.page, options.docs)
        return
    device = prepared(options)
    centre = Setting(
        options.objective, options.resolution, options.width, options.batch, options.precision, norm="layer"
    )
    grid = {name: getattr(options, PLURAL[name]) for name in GRID}
    rows = list(measure(centre, grid, device, options.seconds))
    publish("How a step's cost grows", rows, options, device)


def measure(centre: Setting, grid: dict[str, Any], device: torch.device, seconds: float) -> Iterator[Row]:
    """Yield a row for every point, the centre first; each point is measured once."""
    at_centre = measured(centre, device, seconds)
    scale = at_centre["seconds"] / multiply_adds(centre.spec())
    for name, values in grid.items():
        for value in sorted({*values, getattr(centre, name)}):
            setting = replace(centre, **{name: value})
            found = at_centre if setting == centre else measured(setting, device, seconds)
            model = scale * multiply_adds(setting.spec())
            yield {
                "moves": name,
                "value": value,
                "ms a step": 1000 * found["seconds"],
                "model, ms": 1000 * model,
                "model off by": model / found["seconds"] - 1,
                "memory, MB": found["bytes"] / 1e6,
            }


def measured(setting: Setting, device: torch.device, seconds: float) -> dict[str, float]:
    """Return a step's seconds and bytes of memory."""
    if device.type == "cuda":
        return _on_cuda(setting, device, seconds)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_on_cpu, setting, torch.get_num_threads(), seconds).result()


def _on_cuda(setting: Setting, device: torch.device, seconds: float) -> dict[str, float]:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    found = seconds_per_step(setting.spec(), device, seconds)
    return {"seconds": found, "bytes": float(torch.cuda.max_memory_allocated(device) - before)}


def _on_cpu(setting: Setting, threads: int, seconds: float) -> dict[str, float]:
    prepare_process(threads)
    before = _peak_bytes()
    found = seconds_per_step(setting.spec(), torch.device("cpu"), seconds)
    return {"seconds": found, "bytes": float(_peak_bytes() - before)}


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def write_page(measurements: list[Path], docs: Path) -> None:
    """Write cost.md below `docs` with a section and a figure, images/cost-<device type>.svg, for each measurement."""
    parts = [
        "# What a step costs\n\n"
        "Made by `python benchmarks/growth.py --page` from what the same script measured: one generator step with its "
        "discriminator step, one quantity moved at a time. The model is the convolutions' arithmetic, scaled to the "
        "centre; `bench plan` uses it for kinds of step that no run or calibration has timed."
    ]
    for path in measurements:
        content = content_of(path)
        image = f"images/cost-{content['environment']['device_type']}.svg"
        write_atomic(docs / image, figure(content))
        parts.append(section(content, image))
    write_atomic(docs / "cost.md", "\n\n".join(parts) + "\n")
    print(f"written: {docs / 'cost.md'}")


def content_of(path: Path) -> dict[str, Any]:
    """Return environment, settings and rows, from a file of this script or from gpu.py's results.jsonl."""
    if path.suffix != ".jsonl":
        content: dict[str, Any] = read_json(path)
        return content
    rows = {stage: rows_of(path, stage) for stage in ("start", "cost")}
    known = {row["what"]: row["value"] for row in rows["start"] if "what" in row}
    settings = [row["settings"] for row in rows["cost"] if "settings" in row]
    about_the_call = ("stage", "task", "took")
    points = [
        {key: value for key, value in row.items() if key not in about_the_call}
        for row in rows["cost"]
        if "moves" in row
    ]
    if not (known and settings and points):
        raise SystemExit(f"{path}: its stages start and cost, which the page needs, did not both come to an end")
    return {"environment": known | {"packages": known}, "settings": settings[0], "rows": points}


def section(content: dict[str, Any], image: str) -> str:
    """Return the page's part on one measurement."""
    environment, settings, rows = content["environment"], content["settings"], content["rows"]
    beside = [row for row in rows if row["value"] != settings[row["moves"]]]  # at the centre the model is right
    worst = max(beside, key=lambda row: abs(row["model off by"]))
    within = sum(abs(row["model off by"]) <= 0.25 for row in beside)
    centre = ", ".join(f"{name} {settings[name]}" for name in GRID)
    on_cpu = environment["device_type"] == "cpu"
    return "\n\n".join(
        [
            f"## {environment['device']}",
            f"{settings['objective']}, {settings['precision']}; centre: {centre}; {environment['capability']}, "
            f"torch {environment['packages']['torch']}" + (f", threads: {environment['threads']}." if on_cpu else "."),
            f"![Step time and memory against width, batch and resolution]({image})",
            f"The model is within 25 % at {within} of {len(beside)} points beside the centre, and furthest off at "
            f"{worst['moves']} {worst['value']}: {worst['model off by']:+.0%}.",
            markdown([{**row, "model off by": f"{row['model off by']:+.0%}"} for row in rows]),
        ]
    )


def figure(content: dict[str, Any]) -> str:
    """Return the curves as SVG: time above, memory below, a column for each quantity that moves."""
    # matplotlib takes a second to import, and a machine that only measures may lack it.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    from bench.report.figures.palette import PALETTE
    from bench.report.figures.plots import style, svg_of

    units = {"width": "width (channels)", "batch": "batch (images)", "resolution": "resolution (pixels)"}
    with style():
        canvas = Figure(figsize=(6.8, 4.2), layout="constrained", facecolor="white")
        grid = canvas.subplots(2, len(units), sharex="col", sharey="row")
        for column, (name, label) in enumerate(units.items()):
            points = [row for row in content["rows"] if row["moves"] == name]
            values = [row["value"] for row in points]
            above, below = grid[0, column], grid[1, column]
            above.plot(values, [row["ms a step"] for row in points], marker="o", color=PALETTE[0], label="measured")
            above.plot(values, [row["model, ms"] for row in points], "--", marker="s", color=PALETTE[1], label="model")
            below.plot(values, [row["memory, MB"] for row in points], marker="o", color=PALETTE[0])
            for axes in (above, below):
                axes.set(xscale="log", yscale="log")
                axes.set_xticks(values)
                axes.xaxis.set_minor_locator(NullLocator())
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_minor_formatter(NullFormatter())
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            below.set_xlabel(label)
        grid[0, 0].set_ylabel("time (ms a step)")
        grid[1, 0].set_ylabel("memory (MB)")
        grid[0, 0].legend()
        return svg_of(canvas)


if __name__ == "__main__":
    main()
