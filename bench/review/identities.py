"""Is every number of the row, the seed and the settings that it stands under? Ids are computed, never read.

A run's id is a hash of everything that decides its weights, and all of that stands in plan.json. So a plan whose rows,
seeds, width, batch or rates were changed names runs that it does not give. Never imports torch.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError
from bench.files import is_summed, read_json, read_jsonl
from bench.images import UnusableImageError, open_image
from bench.objectives import names
from bench.runs.folder import RunFolder, run_folder
from bench.runs.portable import training_id, without_places
from bench.runs.snapshots import check_snapshot, generator_width
from bench.statistics.results import matching, whole_records

# An objective may not take these from its study.
_FITTED = {
    "packing",
    "instance_noise",
    "lazy_penalty",
    "latent_law",
    "conditioning",
    "generator_steps_per_iteration",
}
_SUMMED = ("spec.json", "status.json", "log.jsonl", "metrics.jsonl")


def planned_training(plan: Mapping[str, Any], entry: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return what spec.json has as `training` for a row of the plan and a seed, but for paths."""
    backbone = {key: value for key, value in plan["backbone"].items() if key != "resolution"}
    if law := entry["recipe"].get("latent_law"):
        backbone["latent_law"] = law
    return {
        "objective": {
            "name": entry["objective"],
            "source_sha256": entry.get("source_sha256"),
            "settings": entry["settings"],
        },
        "data": plan["data"],
        "backbone": backbone,
        "recipe": entry["recipe"],
        "budget": {key: value for key, value in plan["schedule"].items() if key != "learning_rate"},
        "training": plan["training"],
        "seed": seed,
    }


def plan_problems(plan: Mapping[str, Any]) -> Iterator[str]:
    """Name what a plan says of itself that cannot be: rows of another name, seeds left out, other settings."""
    entries = {(entry["label"], entry["protocol"]): entry for entry in plan["entries"]}
    if len(entries) < len(plan["entries"]):
        yield "two of its rows have one label and protocol"
    for what, key in (("path", lambda run: run["path"]), ("label, protocol and seed", _row)):
        for value, times in Counter(map(key, plan["runs"])).items():
            if times > 1:
                yield f"{times} runs have the {what} {value}"
    seeds: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for run in plan["runs"]:
        row = (run["label"], run["protocol"])
        if not run.get("added"):
            seeds[row].add(run["seed"])
        elif run["seed"] in plan["seeds"]:
            yield f"{run['path']} is marked as added, and its seed is one of the study's"
        if row not in entries:
            yield f"{run['path']} is of no row: {' '.join(row)}"
            continue
        yield from _run_problems(plan, entries[row], run)
    for row, entry in entries.items():
        if not entry.get("same_as") and seeds[row] != set(plan["seeds"]):
            yield f"{' '.join(row)} has the seeds {_listed(seeds[row])}, the study {_listed(plan['seeds'])}"
    schedule, shared = plan["schedule"], plan["recipe"]
    for name, value, other in (
        ("final_step", plan["final_step"], schedule["generator_steps"]),
        ("backbone.resolution", plan["backbone"]["resolution"], plan["data"]["resolution"]),
        ("schedule.learning_rate", schedule["learning_rate"], shared["learning_rate_generator"]),
    ):
        if value != other:
            yield f"its {name} is {value}, and elsewhere in it {other}"
    for row, entry in entries.items():
        own = {key for key, value in entry["recipe"].items() if shared.get(key) != value} - _FITTED
        if own and entry["protocol"] == "controlled":
            yield f"{' '.join(row)} has not the {', '.join(sorted(own))} that its protocol shares"


def _run_problems(plan: Mapping[str, Any], entry: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[str]:
    if run["objective"] != entry["objective"]:
        yield f"{run['path']} is of {run['objective']}, its row of {entry['objective']}"
    folder = f"{entry.get('same_as', run['label'])}-{run['protocol']}/seed-{run['seed']}-{run['id']}"
    if run["path"] != folder:
        yield f"{run['path']} is not the folder of its label, seed and id, {folder}"
    if is_computable(entry) and run["id"] not in _ids(planned_training(plan, entry, run["seed"])):
        yield f"{run['path']}: its row, seed and the study's settings give the id {_given(plan, entry, run)}"


def is_computable(entry: Mapping[str, Any]) -> bool:
    """Tell whether a row's ids follow from the plan: of a user's own objective an older plan left the file's hash."""
    return "source_sha256" in entry or entry["objective"] in names()


def _given(plan: Mapping[str, Any], entry: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    return training_id(planned_training(plan, entry, run["seed"]))


def _ids(training: dict[str, Any]) -> set[str]:
    """Return the run's id, and the one of an objective that has a law for its latents, which the plan does not tell."""
    laws = {training["backbone"]["latent_law"], "normal", "uniform", "unit"}
    return {training_id(training | {"backbone": training["backbone"] | {"latent_law": law}}) for law in laws}


def result_problems(plan: Mapping[str, Any], results: pd.DataFrame) -> Iterator[str]:
    """Name what results.csv puts under another row, seed or number of samples than the plan does, and equal runs."""
    columns = ["run", "label", "objective", "protocol", "seed"]
    held = {tuple(map(str, row)) for row in results[columns].itertuples(index=False)}
    planned = {tuple(str(run[key]) for key in ("path", *columns[1:])) for run in plan["runs"]}
    for row in sorted(held - planned):
        yield f"results.csv: the plan has no run {' '.join(row)}"
    for row in sorted(planned - held):
        yield f"results.csv has no row of the run {' '.join(row)}"
    measured = results[results["metric"].notna()]
    allowed = {plan["evaluation"]["samples"], plan["evaluation"]["snapshot_samples"]}
    for count in sorted(set(map(int, measured["samples"])) - allowed):
        yield f"results.csv: values of {count:,} samples, the plan says {_listed(allowed)}"
    if set(results["study"]) - {plan["study"]}:
        yield f"results.csv is of another study than {plan['study']}"
    # Two seeds never give the same images, unless both give but one: then nothing can be told from their values.
    final = matching(measured, final=True, generator=plan["generator"])
    final = final[~final["collapsed"].fillna(False).astype(bool)]
    seen: dict[tuple[Any, ...], tuple[str, int]] = {}
    for path, rows in final.groupby("run", sort=False):
        seed = int(rows["seed"].iloc[0])
        bits = tuple(sorted(zip(rows["sample_seed"], rows["metric"], rows["value"], strict=True)))
        twin, other = seen.setdefault(bits, (str(path), seed))
        if other != seed:
            yield f"results.csv: {path} has every value of {twin}, to the last bit: they are one run"


def run_problems(study: Path, plan: Mapping[str, Any]) -> Iterator[str]:
    """Name what the folders of runs hold that is not of the run that the plan says, or is not whole."""
    logs: dict[str, tuple[str, int]] = {}
    for run in plan["runs"]:
        folder = run_folder(study, run["path"])
        if not folder.spec_file.is_file():
            continue
        try:
            spec, log = read_json(folder.spec_file), read_jsonl(folder.log_file)
            yield from (f"{run['path']}: {text}" for text in _spec_problems(spec, run, plan))
            yield from (f"{run['path']}: {text}" for text in _record_problems(folder, spec, log, plan))
        except BenchError as error:
            yield error.message.replace(f"{study}/", "")
            continue
        terms = [[line["discriminator"], line["generator"]] for line in log]
        twin, seed = logs.setdefault(json.dumps(terms), (run["path"], run["seed"])) if terms else ("", run["seed"])
        if seed != run["seed"]:
            yield f"{run['path']} has every logged loss of {twin}, to the last bit: they are one run"


def _spec_problems(spec: Mapping[str, Any], run: Mapping[str, Any], plan: Mapping[str, Any]) -> Iterator[str]:
    """Hold spec.json against the run's id, the plan's run, and the row it stands in."""
    identity = training_id(spec["training"])
    if identity != run["id"] or spec["id"] != identity:
        yield f"spec.json asks for {identity}, and it stands as {run['id']}"
    entry = next(e for e in plan["entries"] if (e["label"], e["protocol"]) == (run["label"], run["protocol"]))
    named = (spec["label"], spec["protocol"], spec["training"]["seed"], spec["training"]["objective"]["name"])
    if named != (entry.get("same_as", run["label"]), run["protocol"], run["seed"], entry["objective"]):
        yield f"spec.json is of {' '.join(map(str, named))}"
    asked, planned = spec["training"], planned_training(plan, entry, run["seed"])
    for name in ("objective", "data", "backbone", "recipe", "budget", "training"):
        for key, value in asked[name].items():
            known = key in planned[name] and key not in ("path", "file", "source_sha256", "latent_law")
            if known and planned[name][key] != value:
                yield f"spec.json has {name}.{key} = {value}, the plan {planned[name][key]}"
    asked_for, planned_for = (without_places(one["evaluation"]) | {"inception_weights": None} for one in (spec, plan))
    if asked_for != planned_for:
        yield "spec.json has other evaluation settings than the plan"


def _record_problems(
    folder: RunFolder, spec: Mapping[str, Any], log: list[dict[str, Any]], plan: Mapping[str, Any]
) -> Iterator[str]:
    """Hold log, status, metrics and snapshots against what the run was asked for; look for damaged pictures."""
    training, status = spec["training"], folder.status()
    budget, recipe = training["budget"], training["recipe"]
    if status.state == "done" and status.generator_steps != budget["generator_steps"]:
        yield f"it is done after {status.generator_steps:,} of {budget['generator_steps']:,} generator steps"
    whole_records(folder, status)  # raises where lines are lost
    for line in log:
        steps = line["generator_steps"]
        if line["images_seen"] != budget["batch"] * (line["discriminator_steps"] or steps):
            yield f"log.jsonl, step {steps:,}: {line['images_seen']:,} images are not batches of {budget['batch']}"
            break
        rate = recipe["learning_rate_generator"] * 0.5 ** ((steps - 1) // budget["halve_every"])
        if not math.isclose(line.get("learning_rate", {}).get("generator", rate), rate, rel_tol=1e-6):
            yield f"log.jsonl, step {steps:,}: the learning rate is not the recipe's {rate:g}"
            break
    lines = [line for line in read_jsonl(folder.metrics_file) if line["evaluation_id"] == plan["evaluation_id"]]
    keys = Counter((line["generator_steps"], line["generator"], line["sample_seed"], line["metric"]) for line in lines)
    for key in (key for key, times in keys.items() if times > 1):
        yield f"metrics.jsonl has {' '.join(map(str, key))} more than once"
    for step in folder.snapshot_steps():
        file = folder.snapshot_file(step)
        check_snapshot(file)
        width = training["backbone"].get("generator_width") or training["backbone"]["width"]
        if generator_width(file) != width:
            yield f"{file.name} is of width {generator_width(file)}, spec.json says {width}"
    for picture in sorted(folder.samples.glob("*.png")):
        try:
            with open_image(picture, formats=("PNG",)) as image:
                image.verify()  # every chunk of a PNG carries a checksum
        except (UnusableImageError, OSError, SyntaxError, ValueError) as error:
            yield f"{picture.relative_to(folder.path).as_posix()} is damaged: {error}"


def unsummed(study: Path, plan: Mapping[str, Any]) -> list[str]:
    """Return the runs' records that carry no checksums, as those of older versions do not."""
    files = (study / run["path"] / name for run in plan["runs"] for name in _SUMMED)
    return [file.relative_to(study).as_posix() for file in files if file.is_file() and not is_summed(file)]


def _row(run: Mapping[str, Any]) -> str:
    return f"{run['label']} {run['protocol']} {run['seed']}"


def _listed(values: Any) -> str:
    return ", ".join(map(str, sorted(values))) or "none"
