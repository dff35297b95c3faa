"""The tables of how it was done: what was held equal, recipes, parameters, environments; warnings where they differ."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.formatting import NOTHING, format_count, format_deviations, format_rate, format_setting, joined, plural
from bench.networks.switches import network_title
from bench.report.metric_text import describe_metric
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.collapse import collapse_rule
from bench.report.sections.run_tables import seed_ranges
from bench.report.sections.tables import floor_images
from bench.report.sections.together import without_constants
from bench.report.study import Entry, Run, Study
from bench.statistics.results import evaluation_codes

_PARAMETERS = ("generator", "discriminator", "trunk", "norm", "head", "decoder")


def equal_table(study: Study) -> Table:
    """Return what the rows share, from plan.json; a line that holds for some of them says for which."""
    rows = [(*line, "") for line in _shared_by_all(study)]
    if "controlled" in study.protocols:
        scope = "" if study.protocols == ["controlled"] else "controlled rows only"
        rows.append(("recipe", _controlled_recipe(study), scope))
    for label in dict.fromkeys(entry.label for entry in study.twins):
        again = dict.fromkeys(run.seed for entry in study.twins for run in entry.runs if entry.label == label)
        seeds = f"{seed_ranges(again)}: the baseline once more for an A/A comparison, in everything else as above"
        rows.append(("seeds", seeds, f"{label} only"))
    return Table(
        "equal",
        "What the rows of this study share: all of them, where a line does not say which.",
        (Heading("what"), Heading("value")),
        tuple(Row((Cell(what, detail=scope), Cell(value))) for what, value, scope in rows),
        facts=True,
    )


def _shared_by_all(study: Study) -> Iterator[tuple[str, str]]:
    plan = study.plan
    data, backbone, schedule, settings = plan["data"], plan["backbone"], plan["schedule"], study.settings
    digests = next((run.status.data_sha256 for run in study.runs if run.status.data_sha256), None)
    resolution = backbone["resolution"]
    recipe = "" if data["recipe"] == "none" else f", recipe {data['recipe']}"
    told = f"; both networks are told {', '.join(data['labels'])}" if data.get("labels") else ""
    told += f"; both networks are given each image’s input ({data['input']})" if data.get("input") else ""
    network, _, how = network_title(backbone).partition(", ")
    yield (
        "backbone",
        f"{network} at {resolution}×{resolution}, {how}, latent {backbone['latent']} "
        f"({backbone['latent_law']}){_codes_of(backbone)}; the same initial generator for a seed in every row",
    )
    yield (
        "data",
        f"{study.data_title} at {resolution}×{resolution}{recipe}{_counts_of(data)}{told}"
        + (f"; sha256 {digests['train'][:12]} (train), {digests['heldout'][:12]} (held out)" if digests else ""),
    )
    yield (
        "budget",
        f"{schedule['generator_steps']:,} generator steps, batch {schedule['batch']}; discriminator steps, images "
        "and seconds are recorded per run",
    )
    yield "learning-rate schedule", f"halved every {schedule['halve_every']:,} generator steps"
    yield "seeds", f"{seed_ranges(study.seeds)}: for each the same data order and latents in every row"
    yield (
        "arithmetic",
        f"{plan['training']['precision']}, {plural(plan['training']['threads'], 'thread')}, deterministic "
        f"algorithms; EMA decay {plan['training']['ema_decay']:g}"
        if "training" in plan
        else NOTHING,
    )
    yield (
        "evaluation",
        f"{settings.samples:,} samples at the final step, {settings.snapshot_samples:,} at snapshots; "
        f"{plural(settings.sample_seeds, 'sample seed')}; extractors {', '.join(settings.labels)}; held-out "
        f"reference{_floors(study)}; batch statistics recomputed before sampling",
    )
    yield (
        "declared in the plan",
        f"primary metric {describe_metric(study.primary).title} ({study.primary}) of the {plan['generator']} "
        f"generator at the final step; baseline {plan['baseline']}",
    )
    yield "a run has collapsed when", collapse_rule(study)


def _floors(study: Study) -> str:
    images = floor_images(study, study.primary)
    return f", floors (real against real) of {images}" if images else ""


def _controlled_recipe(study: Study) -> str:
    recipe = study.plan.get("recipe", {})
    differs = any(entry.recipe != recipe for entry in study.entries_of("controlled"))
    return recipe_text(recipe) + ("; rows that differ stand under Recipes" if differs else "")


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Write a recipe in a line, with only what its optimiser reads."""
    if not recipe:
        return NOTHING
    d, g = recipe["learning_rate_discriminator"], recipe["learning_rate_generator"]
    rates = f"learning rate {format_rate(g)}" if d == g else f"learning rate {format_rate(d)} (D), {format_rate(g)} (G)"
    per = recipe.get("generator_steps_per_iteration", 1)
    every = "generator step" if per == 1 else f"{per} generator steps"
    return (
        f"{_optimizer(recipe)}, {rates}, {plural(recipe['discriminator_steps'], 'discriminator step')} per {every}, "
        f"D norm {recipe['norm']}"
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
    settings = ", ".join(f"{name} {format_setting(value)}" for name, value in entry.settings.items())
    rates = [recipe.get(f"learning_rate_{player}") for player in ("discriminator", "generator")]
    return (
        Cell(entry.label),
        Cell(entry.protocol),
        Cell(_optimizer(recipe) if recipe else NOTHING),
        Cell(" / ".join(format_rate(value) if value else NOTHING for value in rates), numeric=True),
        Cell(str(recipe.get("discriminator_steps", NOTHING)), numeric=True),
        Cell(str(recipe.get("norm", NOTHING))),
        Cell(format_setting(recipe.get("warm_up"))),
        Cell(settings or "none"),
        Cell(format_deviations(entry.deviations) or "nothing"),
    )


def parameters_table(study: Study) -> Table:
    """Return each entry's parameter counts and backbone hash."""
    rows = []
    for entry in study.entries:
        architecture = next((run.architecture for run in entry.runs if run.architecture), None)
        parameters = architecture["parameters"] if architecture else {}
        counts = [
            Cell(format_count(parameters[part]) if part in parameters else NOTHING, numeric=True)
            for part in _PARAMETERS
        ]
        digest = str(architecture["backbone_hash"]) if architecture else NOTHING
        rows.append(
            Row((Cell(entry.label), Cell(entry.protocol), *counts, Cell(digest, code=architecture is not None)))
        )
    table = Table(
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
    return without_constants(table, ("protocol", *_PARAMETERS, "backbone hash"))


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
    """Return a warning when the runs were trained by different versions of the code.

    Code that was proved to give a run's bits counts as what trained it.
    """
    known = [run for run in study.runs if "training" in run.code]
    if _unlike(known, "training"):
        versions = f"{len({run.code['training'] for run in known})} versions of the training code"
        return f"The runs were trained by {versions}; `bench plan` says which are stale."
    changed = [label for label in study.labels if _unlike([run for run in known if run.label == label], "objective")]
    if changed:
        return f"Runs of {', '.join(changed)} were trained by different versions of the objective’s file."
    return None


def _unlike(runs: Sequence[Run], part: str) -> bool:
    """Tell whether no version of a part of the code gives the bits of all these runs."""
    versions = [{code[part] for code in (run.code, *run.proved) if part in code} for run in runs]
    return bool(versions) and not set.intersection(*versions)


def evaluation_alert(study: Study) -> str | None:
    """Return a warning when the scores were measured by different versions of the code."""
    versions = evaluation_codes((run.folder for run in study.runs), study.settings.id())
    if len(versions) <= 1:
        return None
    return (
        f"The scores were measured by {len(versions)} versions of the evaluation’s code: "
        f"`bench evaluate --again --study {study.plan['study']}` measures all of them by the present one."
    )


def _of_gpu(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run on a GPU was computed with, by the names that tables give it; empty for other runs."""
    found = environment.get("gpu", {})
    names = {"cuda": "CUDA", "cudnn": "cuDNN", "nccl": "NCCL", "driver": "driver"}
    return {told: found.get(name) for name, told in names.items()}


def environments_table(study: Study) -> Table:
    """Return the environments that runs were computed in, each with its runs and the commits of their checkouts."""
    groups: dict[str, list[str]] = defaultdict(list)
    for run in study.runs:
        if run.environment:
            but_commit = {name: value for name, value in run.environment.items() if name != "commit"}
            groups[json.dumps(but_commit, sort_keys=True)].append(run.environment["commit"] or "not a checkout")
    rows = []
    for text, commits in groups.items():
        environment = json.loads(text)
        threads = plural(environment["threads"], "thread")
        versions = environment["packages"] | _of_gpu(environment)
        packages = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        rows.append(
            Row(
                (
                    Cell(plural(len(commits), "run")),
                    Cell(f"{environment['device']} ({environment['capability']}), {threads}"),
                    Cell(f"{environment['system']}, Python {environment['python']}"),
                    Cell(f"bench {environment['bench']}, {packages}"),
                    Cell(_commits(commits), code=len(set(commits)) == 1),
                )
            )
        )
    several = len({commit for commits in groups.values() for commit in commits}) > 1
    return Table(
        "environments",
        f"Where the runs were computed.{_same_code(study) if several else ''}",
        tuple(map(Heading, ("runs", "device", "system", "versions", "commit"))),
        tuple(rows),
    )


def _commits(commits: list[str]) -> str:
    """Return the commits, in the order of the runs, with how many runs each made where there are several."""
    runs_by_commit = Counter(commits)
    if len(runs_by_commit) == 1:
        return commits[0]
    return ", ".join(f"{commit} ({plural(runs, 'run')})" for commit, runs in runs_by_commit.items())


def _same_code(study: Study) -> str:
    """Return whether runs of different commits were trained by the same code, where their hashes tell."""
    begun = [run for run in study.runs if run.environment]
    if code_alert(study):
        return " Commits differ, and so does code that trains: see the warning above."
    if all({"training", "objective"} <= run.code.keys() for run in begun):
        if any(run.proved for run in begun):
            return " Commits differ; where the training code does too, it was proved to give the same bits."
        return (
            " Commits differ; by their hashes the training code and every objective’s file were the same in all runs."
        )
    return " Commits differ; not every run says by which code it was trained."


def _optimizer(recipe: Mapping[str, Any]) -> str:
    if recipe["optimizer"] == "sgd":
        return f"SGD (momentum {recipe['momentum']:g})" if recipe.get("momentum") else "SGD"
    if recipe["optimizer"] == "adam":
        beta1, beta2 = recipe["betas"]
        return f"Adam ({beta1:g}, {beta2:g})"
    return f"RMSProp ({recipe['alpha']:g})" if "alpha" in recipe else "RMSProp"


def _codes_of(backbone: Mapping[str, Any]) -> str:
    """Return what codes G is given beside its latents; "" where there are none."""
    codes = backbone.get("codes")
    if not codes:
        return ""
    sizes = [str(size) for size in codes["categorical"]]
    kinds = [f"{joined(sizes)} values"] if sizes else []
    kinds += [plural(codes["continuous"], "number")] if codes["continuous"] else []
    return f" and codes of {joined(kinds)}"


def _counts_of(data: Mapping[str, Any]) -> str:
    counts = [
        f"{data[key]:,} {word}"
        for key, word in (("train_count", "for training"), ("heldout_count", "held out"))
        if data.get(key)
    ]
    return f", {', '.join(counts)}" if counts else ""
