"""What the verbs take that look at every run of a study, in CPU seconds, on finished runs that are made up.

    python benchmarks/verbs.py [--seeds 10 100]

25 rows x 2 protocols, five snapshots each; every verb in a process of its own, so its start is counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tables import markdown

from bench.config.reading import load_study
from bench.evaluation.units import required_units
from bench.files import append_jsonl
from bench.objectives import names
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import make_plan

STEPS = (50, 100, 200, 400, 800)
ROWS = 25
METRICS = 19  # of the final step; a snapshot has one
EMPTY_SNAPSHOT = (8).to_bytes(8, "little") + b"{}      "
VERBS = (("status",), ("plan", "--devices", "cpu"), ("run", "--all", "--dry-run", "--devices", "cpu"), ("clean",))


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU seconds of verbs that look at every run.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 100])
    rows = []
    for seeds in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory() as folder:
            make_up(Path(folder), seeds)
            rows += [{"runs": ROWS * 2 * seeds} | measured(Path(folder), verb) for verb in VERBS]
    print(markdown(rows))


def measured(folder: Path, verb: tuple[str, ...]) -> dict[str, object]:
    """Return what a verb takes on the study in `folder`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "bench", *verb]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "verb": " ".join(verb).removesuffix(" --devices cpu"),
        "CPU s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def make_up(folder: Path, seeds: int) -> None:
    """Write bench.toml and the folders of its runs, as finished and measured ones leave them."""
    objectives = names()[:8]
    rows = [f'{{objective = "{objectives[row % 8]}", label = "row-{row}"}}' for row in range(ROWS)]
    (folder / "bench.toml").write_text(
        f"""default_study = "many"
[study.many]
title = "Many runs"
objectives = [{", ".join(rows)}]
baseline = "row-0"
protocols = ["controlled", "published"]
seeds = "0-{seeds - 1}"
data = {{source = "faces", resolution = 32, train_count = 60, heldout_count = 2000}}
backbone = {{width = 4, latent = 8}}
budget = {{generator_steps = {STEPS[-1]}, batch = 8, halve_every = 600}}
evaluation = {{extractors = ["lite0"], samples = 1000, snapshot_samples = 500}}
""",
        encoding="utf-8",
    )
    study = load_study(config=folder / "bench.toml")
    plan = make_plan(study)
    plan.write(folder / "runs")
    lines = [
        {
            "evaluation_id": study.evaluation.id(),
            "generator_steps": unit.generator_steps,
            "generator": unit.generator,
            "sample_seed": unit.sample_seed,
            "metric": f"metric-{number}",
            "value": 1.0,
            "samples": study.evaluation.samples if unit.final else study.evaluation.snapshot_samples,
            "final": unit.final,
            "unit_lines": METRICS if unit.final else 1,
            "extractor": "lite0",
            "extractor_sha256": "0" * 64,
            "data_sha256": "0" * 64,
        }
        for unit in required_units(STEPS, STEPS[-1], study.evaluation)
        for number in range(METRICS if unit.final else 1)
    ]
    append_jsonl(folder / "metrics.jsonl", lines)
    metrics = (folder / "metrics.jsonl").read_bytes()
    done = Status("done", STEPS[-1], STEPS[-1], device_seconds=60.0, evaluation_seconds=10.0, device="cpu")
    for run in plan.runs:
        run_folder = RunFolder(folder / "runs" / run.study / run.folder)
        run.write(run_folder.spec_file)
        run_folder.snapshots.mkdir()
        run_folder.samples.mkdir()
        for step in STEPS:
            run_folder.snapshot_file(step).write_bytes(EMPTY_SNAPSHOT)
        for picture in ("interpolations.png", "nearest.png"):
            (run_folder.samples / picture).touch()
        run_folder.metrics_file.write_bytes(metrics)
        run_folder.write_status(done)


if __name__ == "__main__":
    main()
