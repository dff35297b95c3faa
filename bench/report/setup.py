"""The tables of what was done: what was held equal, each entry's recipe, parameters, environments, every run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Entry, Run, Study
from bench.report.words import NOTHING, count, describe_metric, number, plain, plural, rate, readable
from bench.wording import duration

_PARAMETERS = ("generator", "discriminator", "trunk", "norm", "head", "decoder")


def equal_table(study: Study) -> Table:
    """Return what every row shares, from plan.json."""
    plan = study.plan
    data, backbone, schedule, settings = plan["data"], plan["backbone"], plan["schedule"], study.settings
    digests = next((run.status.data_sha256 for run in study.runs if run.status.data_sha256), None)
    resolution = backbone["resolution"]
    recipe = "" if data["recipe"] == "none" else f", recipe {data['recipe']}"
    rows = [
        (
            "backbone",
            f"DCGAN at {resolution}×{resolution}, width {backbone['width']}, latent {backbone['latent']} "
            f"({backbone['latent_law']}); the same initial generator for a seed in every row",
        ),
        (
            "data",
            f"{data['source']} at {resolution}×{resolution}{recipe}{_counts_of(data)}"
            + (f"; sha256 {digests['train'][:12]} (train), {digests['heldout'][:12]} (held out)" if digests else ""),
        ),
        (
            "budget",
            f"{schedule['generator_steps']:,} generator steps, batch {schedule['batch']}; discriminator steps, images "
            "and seconds are recorded per run",
        ),
        ("learning-rate schedule", f"halved every {schedule['halve_every']:,} generator steps"),
        ("controlled recipe", recipe_text(plan.get("recipe", {}))),
        ("seeds", _seeds_text(study)),
        (
            "arithmetic",
            f"{plan['training']['precision']}, {plural(plan['training']['threads'], 'thread')}, deterministic "
            f"algorithms; EMA decay {plan['training']['ema_decay']:g}"
            if "training" in plan
            else NOTHING,
        ),
        (
            "evaluation",
            f"{settings.samples:,} samples at the final step, {settings.snapshot_samples:,} at snapshots; "
            f"{plural(settings.sample_seeds, 'sample seed')}; extractors {', '.join(settings.extractors)}; held-out "
            "reference; batch statistics recomputed before sampling",
        ),
        (
            "declared before running",
            f"primary metric {describe_metric(study.primary).title} ({study.primary}) of the {plan['generator']} "
            f"generator at the final step; baseline {plan['baseline']}",
        ),
        (
            "a run has collapsed when",
            "at the final step, "
            + (
                f"coverage is below {100 * settings.collapse_coverage:g}\u00a0% of real images’, or "
                if settings.collapse_coverage > 0
                else ""
            )
            + f"the effective unique share is below {100 * settings.collapse_unique:g}\u00a0%",
        ),
    ]
    return Table(
        "equal",
        "What every row of this study shares.",
        (Heading("what"), Heading("value")),
        tuple(Row((Cell(what), Cell(value))) for what, value in rows),
    )


def _seeds_text(study: Study) -> str:
    told = f"{', '.join(map(str, study.seeds))}: the same data order and latents in every row"
    for label in dict.fromkeys(entry.label for entry in study.twins):
        again = dict.fromkeys(run.seed for entry in study.twins for run in entry.runs if entry.label == label)
        told += f"; {', '.join(map(str, again))}: {label}, the baseline once more for an A/A comparison"
    return told


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Write a recipe in a line, with only what its optimiser reads."""
    if not recipe:
        return NOTHING
    d, g = recipe["learning_rate_discriminator"], recipe["learning_rate_generator"]
    rates = f"learning rate {rate(g)}" if d == g else f"learning rate {rate(d)} (D), {rate(g)} (G)"
    return (
        f"{_optimizer(recipe)}, {rates}, {plural(recipe['discriminator_steps'], 'discriminator step')} per generator "
        f"step, D norm {recipe['norm']}"
    )


def recipes_table(study: Study) -> Table:
    """Return how each entry was trained under each protocol; what all share is said once, in the caption."""
    headings = (
        Heading("objective"),
        Heading("protocol"),
        Heading("optimiser"),
        Heading("learning rate D / G", numeric=True),
        Heading("D steps", numeric=True),
        Heading("D norm"),
        Heading("warm-up"),
        Heading("settings"),
        Heading("differs from controlled"),
    )
    rows = [_recipe_cells(entry) for entry in study.entries]
    shared = [column for column in range(1, 7) if len({row[column].text for row in rows}) == 1]
    told = "; ".join(f"{headings[column].text} {rows[0][column].text}" for column in shared)
    empty = [column for column in (7, 8) if all(row[column].text in ("none", "nothing") for row in rows)]
    kept = [column for column in range(len(headings)) if column not in (*shared, *empty)]
    return Table(
        "recipes",
        "How each entry was trained." + (f" In every row: {told}." if told else ""),
        tuple(headings[column] for column in kept),
        tuple(Row(tuple(row[column] for column in kept)) for row in rows),
    )


def _recipe_cells(entry: Entry) -> tuple[Cell, ...]:
    recipe = entry.recipe
    settings = ", ".join(f"{name} {plain(value)}" for name, value in entry.settings.items())
    rates = [recipe.get(f"learning_rate_{player}") for player in ("discriminator", "generator")]
    return (
        Cell(entry.label),
        Cell(entry.protocol),
        Cell(_optimizer(recipe) if recipe else NOTHING),
        Cell(" / ".join(rate(value) if value else NOTHING for value in rates), numeric=True),
        Cell(str(recipe.get("discriminator_steps", NOTHING)), numeric=True),
        Cell(str(recipe.get("norm", NOTHING))),
        Cell(plain(recipe.get("warm_up"))),
        Cell(settings or "none"),
        Cell(readable(entry.deviations) or "nothing"),
    )


def parameters_table(study: Study) -> Table:
    """Return each entry's parameter counts and backbone hash."""
    rows = []
    for entry in study.entries:
        found = next((run.architecture for run in entry.runs if run.architecture), None)
        parameters = found["parameters"] if found else {}
        counts = [
            Cell(count(parameters[part]) if part in parameters else NOTHING, numeric=True) for part in _PARAMETERS
        ]
        digest = str(found["backbone_hash"]) if found else NOTHING
        rows.append(Row((Cell(entry.label), Cell(entry.protocol), *counts, Cell(digest, code=found is not None))))
    return Table(
        "parameters",
        "Trainable parameters. The hash covers name, shape, stride and padding of every convolution of the generator "
        "and of the discriminator’s trunk; it must be equal in every row.",
        (
            Heading("objective"),
            Heading("protocol"),
            *(Heading(part, numeric=True) for part in _PARAMETERS),
            Heading("backbone hash"),
        ),
        tuple(rows),
    )


def backbone_alert(study: Study) -> str | None:
    """Return a warning when rows do not share one backbone, naming which."""
    groups: dict[str, set[str]] = defaultdict(set)
    for run in study.runs:
        if run.architecture:
            groups[str(run.architecture["backbone_hash"])].add(f"{run.label} ({run.protocol})")
    if len(groups) <= 1:
        return None
    told = "; ".join(f"{digest}: {', '.join(sorted(names))}" for digest, names in sorted(groups.items()))
    return f"The backbones are not equal: these rows do not compare objectives alone. Hashes: {told}."


def code_alert(study: Study) -> str | None:
    """Return a warning when the runs were trained by different versions of the code."""
    training = {run.code["training"] for run in study.runs if "training" in run.code}
    objectives: dict[str, set[str]] = defaultdict(set)
    for run in study.runs:
        if "objective" in run.code:
            objectives[run.objective].add(run.code["objective"])
    changed = sorted(name for name, versions in objectives.items() if len(versions) > 1)
    if len(training) > 1:
        versions = f"{len(training)} versions of the training code"
        return f"The runs were trained by {versions}; `bench plan` says which are stale."
    if changed:
        return f"Runs of {', '.join(changed)} were trained by different versions of the objective’s file."
    return None


def environments_table(study: Study) -> Table:
    """Return the environments that runs were computed in, each with how many runs it made."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in study.runs:
        if run.environment:
            groups[json.dumps(run.environment, sort_keys=True)].append(run)
    rows = []
    for text, runs in groups.items():
        found = json.loads(text)
        packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version)
        rows.append(
            Row(
                (
                    Cell(plural(len(runs), "run")),
                    Cell(f"{found['device']} ({found['capability']}), {plural(found['threads'], 'thread')}"),
                    Cell(f"{found['system']}, Python {found['python']}"),
                    Cell(f"bench {found['bench']}, {packages}"),
                    Cell(found["commit"] or "not a checkout", code=bool(found["commit"])),
                )
            )
        )
    return Table(
        "environments",
        "Where the runs were computed.",
        tuple(map(Heading, ("runs", "device", "system", "versions", "commit"))),
        tuple(rows),
    )


def troubles_table(study: Study) -> Table | None:
    """Return every run that gives no value, and every collapsed one, with the reason; None when there is none."""
    rows = []
    for entry in study.all_entries:
        scored = dict(study.summary(entry, study.primary).values)
        for run in entry.runs:
            state, reason = _trouble(study, run, run.seed in scored)
            if state:
                steps = f"{run.status.generator_steps:,} of {study.plan['final_step']:,}"
                name = (Cell(run.label), Cell(run.protocol), Cell(str(run.seed), numeric=True))
                rows.append(Row((*name, Cell("", badges=(state,)), Cell(steps, numeric=True), Cell(reason))))
    if not rows:
        return None
    return Table(
        "troubles",
        "Runs that ended otherwise than planned, or have not ended.",
        (
            Heading("objective"),
            Heading("protocol"),
            Heading("seed", numeric=True),
            Heading("state"),
            Heading("generator steps", numeric=True),
            Heading("reason"),
        ),
        tuple(rows),
    )


def moved_table(study: Study) -> Table | None:
    """Return the runs that were continued on another kind of machine than they began on; None when there is none."""
    rows = [
        Row(
            (
                Cell(run.label),
                Cell(run.protocol),
                Cell(str(run.seed), numeric=True),
                Cell("; ".join(run.status.continued_on)),
            )
        )
        for run in study.runs
        if run.status.continued_on
    ]
    if not rows:
        return None
    return Table(
        "moved",
        "Runs continued on another kind of machine: they cannot be repeated bit for bit.",
        (Heading("objective"), Heading("protocol"), Heading("seed", numeric=True), Heading("continued on")),
        tuple(rows),
    )


def runs_table(study: Study) -> Table:
    """Return every planned run with what it spent and its score."""
    rows = []
    for entry in study.all_entries:
        scores = dict(study.summary(entry, study.primary).values)
        for run in entry.runs:
            status = run.status
            rows.append(
                Row(
                    (
                        Cell(run.path, code=True),
                        Cell(run.state),
                        Cell(count(status.generator_steps), numeric=True),
                        Cell(count(status.discriminator_steps), numeric=True),
                        Cell(count(status.images_seen), numeric=True),
                        Cell(duration(status.device_seconds), numeric=True),
                        Cell(number(scores.get(run.seed)), numeric=True),
                    )
                )
            )
    return Table(
        "runs",
        "Every planned run.",
        (
            Heading("run"),
            Heading("state"),
            Heading("generator steps", numeric=True),
            Heading("discriminator steps", numeric=True),
            Heading("images seen", numeric=True),
            Heading("training time", numeric=True),
            Heading(describe_metric(study.primary).title, study.primary, numeric=True),
        ),
        tuple(rows),
    )


def repeat_commands(study: Study) -> tuple[str, ...]:
    """Return the commands that make this report, and one of its cells, again."""
    name, first = study.plan["study"], study.labels[0]
    return (
        f"bench run --all --study {name}",
        f"bench replay {first}/{study.seeds[0]} --study {name}",
        f"bench report --study {name}",
        f"bench verify --metrics --study {name}",
    )


def _trouble(study: Study, run: Run, scored: bool) -> tuple[str, str]:
    """Return a run's trouble and its reason, or two empty strings."""
    if run.state in ("diverged", "failed"):
        return run.state, run.status.reason or "no reason was recorded"
    if run.state == "interrupted":
        return "interrupted", "its process ended before it did; bench run --all goes on from its last checkpoint"
    if run.state == "running":
        return "running", run.status.phase or ""
    if run.state == "planned":
        return "not begun", ""
    if not scored:
        return "not evaluated", f"trained, but without {study.primary} at the final step; type bench evaluate"
    if run.collapsed:
        return "collapsed", "its samples cover too little of the data, or repeat too few images; counted in the mean"
    return "", ""


def _optimizer(recipe: Mapping[str, Any]) -> str:
    if recipe["optimizer"] == "adam":
        beta1, beta2 = recipe["betas"]
        return f"Adam ({beta1:g}, {beta2:g})"
    return f"RMSProp ({recipe['alpha']:g})" if "alpha" in recipe else "RMSProp"


def _counts_of(data: Mapping[str, Any]) -> str:
    counts = [
        f"{data[key]:,} {word}"
        for key, word in (("train_count", "for training"), ("heldout_count", "held out"))
        if data.get(key)
    ]
    return f", {', '.join(counts)}" if counts else ""
