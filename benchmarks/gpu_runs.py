"""The stages of benchmarks/gpu.py that type `bench`: runs cut off and repeated, and the example. They need no torch.

A function takes the script's options and lists a stage's tasks. Studies and runs lie below `--place`, which goes when
the call ends: images do not leave the machine but as what `bench export` and `bench report` make of a study, numbers
and generated pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gpu import Row, Task, rows_of

MOST_BYTES = 16 * 2**20  # of a file that comes back
TERMINATED = 143  # `bench run` after SIGTERM
AT_A_TIME = 3
EXAMPLE = ("nsgan", "lsgan", "wgan-gp", "r3gan", "began")
SEEDS = 3
SAVE_SECONDS = 12.0  # for runs to save and end when they are cut off
NOTING_SECONDS = 1.0  # between the last moment of a command and that of its stage
# An objective that `steps` does not time, as another one that it does, times a factor.
LIKE = {"lsgan": ("nsgan", 1.0), "r3gan": ("r1", 1.5)}
# Where nothing was measured: seconds of a step, and of a run beside its steps.
STEP_SECONDS, BESIDE_SECONDS = 0.012, 25.0
# Of the time that is left. What is over goes to turns that do not come out even.
PLANNED_SHARE = 0.8


def runs(options: argparse.Namespace) -> list[Task]:
    """Cut three runs of drawn faces off, take them up, repeat one bit for bit, and report."""
    place = Path(options.place) / "runs"
    study: dict[str, Any] = {
        "title": "Runs on a device",
        "objectives": ["nsgan", "wgan-gp", "ebgan"],
        "data": {"source": "faces", "train_count": 1000, "heldout_count": 500},
        "budget": {"generator_steps": 150},
        "training": {"log_every": 5, "snapshots": 1},
        "evaluation": {"extractors": ["judge", "lite0"], "samples": 400, "generators": ["raw"]},
    }
    if options.quick:
        study["objectives"] = ["nsgan", "wgan-gp"]
        study["data"] = {"source": "faces", "train_count": 60, "heldout_count": 50}
        study["evaluation"] = {"extractors": ["judge", "lite0"], "samples": 50, "generators": ["raw"]}
    write_study(place, "runs", study, options.quick)
    command = ("run", "--all", "--devices", options.device, "--per-device", str(AT_A_TIME))

    def logged() -> bool:
        return any(file.stat().st_size for file in place.glob("runs/runs/nsgan-*/seed-0-*/log.jsonl"))

    def cut_off() -> list[Row]:
        found = bench(options, place, *command, stop=logged, expected=TERMINATED)
        states = states_of(place, "runs")
        halfway = sum(0 < state["steps"] < 150 for state in states)
        return [{**found, "cut off in training": halfway}, *states]

    def taken_up() -> list[Row]:
        return [bench(options, place, *command), *states_of(place, "runs", all_done=True)]

    return [
        ({"what": "bench run, SIGTERM"}, cut_off),
        ({"what": "bench run, again"}, taken_up),
        *(
            ({"what": f"bench {' '.join(words)}"}, partial(bench, options, place, *words))
            for words in (("replay", "nsgan/0", "--devices", options.device), ("report",))
        ),
    ]


def example(options: argparse.Namespace) -> list[Task]:
    """Train five objectives with three seeds each on a part of CelebA, for as long as there is time."""
    place = Path(options.place) / "example"

    def train() -> list[Row]:
        planned = plan(rows_of(options.out / "results.jsonl", "capture"), measured(options), options)
        write_example(place, options, planned)
        command = ("run", "--all", "--devices", options.device, "--per-device", str(AT_A_TIME))
        ends = options.until - SAVE_SECONDS
        found = bench(options, place, *command, stop=lambda: time.time() > ends, expected=(0, TERMINATED))
        return [{**found, **planned}, *states_of(place, "gpu-example")]

    write_example(place, options, {"steps": 1, "precision": "fp32", "engine": "auto"})  # the same images
    prepare = partial(bench, options, place, "data", "prepare")
    return [({"what": "bench data prepare"}, prepare), ({"what": "bench run"}, train)]


def report(options: argparse.Namespace) -> list[Task]:
    """Report and export what there is of the example, and lay both where they are brought back from."""
    place = Path(options.place) / "example"

    def reported() -> list[Row]:
        found = bench(options, place, "report")
        shutil.make_archive(str(place / "report"), "zip", place / "reports" / "gpu-example")
        return [found, brought(place / "report.zip", options.out / "gpu-example-report.zip")]

    def exported() -> list[Row]:
        found = bench(options, place, "export", "gpu-example")
        return [found, brought(place / "gpu-example.zip", options.out / "gpu-example.zip")]

    return [({"what": "bench report"}, reported), ({"what": "bench export"}, exported)]


def plan(captures: list[Row], known: dict[str, Any], options: argparse.Namespace) -> Row:
    """Choose the example's precision, engine and number of steps from what the stages before have found.

    bf16 where its captured iterations agreed with eager ones, for all five objectives. `known` has the seconds of a
    step by precision and objective, and those that a run took beside its steps.
    """
    mine = [row for row in captures if row.get("objective") in EXAMPLE and not row.get("recipe")]
    agree = {row["objective"] for row in mine if row["precision"] == "bf16" and row.get("agrees")}
    precision = "bf16" if agree == set(EXAMPLE) else "fp32"
    captured = bool(mine) and all(row.get("captured") for row in mine)
    engine = options.engine or ("auto" if captured else "eager")
    seconds = known.get(precision, {})
    steps = {}
    for objective in EXAMPLE:
        other, factor = LIKE.get(objective, (objective, 1.0))
        steps[objective] = factor * seconds.get(other, STEP_SECONDS)
    # The runs go in turns. In each, a run trains for what is left beside the rest (starting, being measured), and is
    # slowed by those that train at the same time: at worst they share the device out among them.
    turn = PLANNED_SHARE * (options.until - time.time() - SAVE_SECONDS) * AT_A_TIME / (len(EXAMPLE) * SEEDS)
    training = max(turn - known.get("beside", BESIDE_SECONDS), 0.0)
    alone = training / (1 + (AT_A_TIME - 1) * training / turn)
    fit = alone / (sum(steps.values()) / len(steps))
    chosen = 20 if options.quick else max(200, int(fit) // 100 * 100)
    return {"steps": chosen, "precision": precision, "engine": engine}


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `plan` wants to know: seconds of a step by precision and objective, and of a run beside them."""
    found: dict[str, Any] = {"fp32": {}, "bf16": {}}
    for row in rows_of(options.out / "results.jsonl", "steps"):
        if row.get("contestant") in ("bench fp32", "bench bf16"):
            found[row["contestant"].split()[1]][row["objective"]] = row["ms a step"] / 1000
    rows = rows_of(options.out / "results.jsonl", "runs")
    for row in rows:
        if row["what"] == "bench run, again" and "exit" in row and "failed" not in row:
            # Three runs at once, with a quarter of the example's samples and two extractors.
            measuring = max((one["measuring, s"] for one in rows if "measuring, s" in one), default=0.0)
            found["beside"] = row["seconds"] + measuring
    return found


def write_example(place: Path, options: argparse.Namespace, planned: Row) -> None:
    """Write the example's study. Its number of steps, precision and engine are `planned`'s."""
    zip_file = options.celeba.resolve() if options.celeba else place / "faces.zip"
    study: dict[str, Any] = {
        "title": "Five objectives on a part of CelebA, in minutes of one GPU",
        "notice": "Minutes of training on a few thousand images: what one GPU does in this time, not what the"
        " objectives reach.",
        "objectives": list(EXAMPLE),
        "seeds": f"0-{SEEDS - 1}",
        "data": {"source": "celeba", "path": str(zip_file), "partial": True, "heldout_count": 1600},
        "budget": {"generator_steps": planned["steps"]},
        "training": {
            "log_every": 50,
            "snapshots": 3,
            "precision": planned["precision"],
            "engine": planned["engine"],
            "threads": 4,
        },
        "evaluation": {
            "extractors": ["lite0"],
            "samples": 1500,
            "snapshot_samples": 500,
            "generators": ["raw"],
        },
    }
    if options.quick:
        study |= {"objectives": ["nsgan", "wgan-gp"], "seeds": "0"}
        study["data"] |= {"heldout_count": 60}
        study["training"] |= {"log_every": 10, "snapshots": 1, "threads": 1}
        study["evaluation"] = {"extractors": ["lite0"], "samples": 50, "generators": ["raw"]}
        place.mkdir(parents=True, exist_ok=True)
        if not zip_file.exists():
            draw_stand_ins(zip_file)
    write_study(place, "gpu-example", study, options.quick)


def write_study(place: Path, name: str, study: dict[str, Any], quick: bool) -> None:
    """Write bench.toml with one study; what its tables leave open is the same in both studies."""
    size = {"resolution": 32, "width": 4, "batch": 8} if quick else {"resolution": 64, "width": 64, "batch": 64}
    resolution = size["resolution"] if study["data"]["source"] == "faces" else 64  # CelebA's recipes scale to 64
    tables = {
        "seeds": "0",
        "secondary_metrics": ["coverage_lite0", "recall_lite0", "precision_lite0"],
        "backbone": {"width": size["width"]},
        "recipe": {"learning_rate": 2e-4, "norm": "layer"},
        **study,
        "data": {"resolution": resolution, **study["data"]},
        "budget": {"batch": size["batch"], "halve_every": 100_000, **study["budget"]},
        "evaluation": {"snapshot_samples": 50, "kid_subset_size": 50, **study["evaluation"]},
    }
    place.mkdir(parents=True, exist_ok=True)
    lines = [f'default_study = "{name}"', f"[study.{name}]", *(f"{key} = {toml(tables[key])}" for key in tables)]
    (place / "bench.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)  # strings, numbers, booleans and lists of them are written alike


def bench(
    options: argparse.Namespace,
    place: Path,
    *words: str,
    stop: Callable[[], bool] | None = None,
    expected: int | tuple[int, ...] = 0,
) -> Row:
    """Type `bench` in the folder; once `stop` says so, send one SIGTERM. Another exit code than `expected` fails."""
    began, told = time.time(), False
    command = [sys.executable, "-m", "bench", *words]
    with (place / "said.txt").open("w+b") as said:
        child = subprocess.Popen(command, cwd=place, stdout=said, stderr=subprocess.STDOUT, env=os.environ)
        try:
            while child.poll() is None and time.time() < options.until - NOTING_SECONDS:
                if stop is not None and not told and stop():
                    child.send_signal(signal.SIGTERM)
                    told = True
                time.sleep(0.02)
        finally:
            if child.poll() is None:  # its workers end by themselves once it is gone
                child.kill()
                child.wait()
        said.seek(0)
        text = said.read().decode(errors="replace")
    print(f"$ bench {' '.join(words)}\n{text}", flush=True)
    row: Row = {"exit": child.returncode, "seconds": round(time.time() - began, 1)}
    if child.returncode not in ((expected,) if isinstance(expected, int) else expected):
        row["failed"] = " ".join(text.strip().splitlines()[-2:])
    return row


def states_of(place: Path, study: str, *, all_done: bool = False) -> list[Row]:
    """Return how far each of the study's runs is; with `all_done`, one that is not done fails."""
    rows = []
    for file in sorted((place / "runs" / study).glob("*/seed-*/status.json")):
        status = json.loads(file.read_text(encoding="utf-8"))
        row = {
            "run": file.parent.relative_to(place / "runs" / study).as_posix().rpartition("-")[0],
            "state": status["state"],
            "steps": status["generator_steps"],
            "training, s": status["device_seconds"],
            "measuring, s": status["evaluation_seconds"],
            "steps/s": status["steps_per_second"],
            "engine": status["engine"],
        }
        wrong = all_done and status["state"] != "done"
        rows.append({**row, "failed": status["reason"] or "not done"} if wrong else row)
    return rows


def brought(archive: Path, target: Path) -> Row:
    """Copy a zip to where it is brought back from; of one too large, the smallest members, and say what is left out."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as kept:
        left_out, total = [], 0
        for member in sorted(source.infolist(), key=lambda one: one.compress_size):
            total += member.compress_size + 2 * len(member.filename) + 200  # with its two headers
            if total > 0.98 * MOST_BYTES:
                left_out.append(member.filename)
            else:
                kept.writestr(member.filename, source.read(member))
    row: Row = {"file": target.name, "MB": target.stat().st_size / 1e6}
    return {**row, "left out": f"{len(left_out)} files: {', '.join(left_out[-5:])}"} if left_out else row


def draw_stand_ins(file: Path) -> None:
    """Draw what stands in for CelebA's images in a rehearsal, in the official sizes and under official names."""
    import io

    from PIL import Image

    from bench.data.faces import draw_faces

    with zipfile.ZipFile(file, "w") as archive:
        for index, face in enumerate(draw_faces(0, range(140), 64)):
            number = index + 1 if index < 70 else 182_638 + index
            encoded = io.BytesIO()
            Image.fromarray(face.transpose(1, 2, 0)).resize((178, 218)).save(encoded, "JPEG")
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", encoded.getvalue())
