"""The verb that says what a study's runs are and what they would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.hints import with_typed_options
from bench.cli.shared import (
    Roots,
    asked_for,
    device_options,
    json_option,
    label_argument,
    selection_options,
    source_option,
    study_option,
)
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, BenchError
from bench.formatting import format_duration, plural

if TYPE_CHECKING:
    from bench.cli.shared import Asked
    from bench.execution.unmeasured import Unmeasured
    from bench.runs.cost import Cost
    from bench.runs.plan import Plan, PlanState, RunSpec
    from bench.statistics import AfterLoss
    from bench.statistics.shipped import StudyTables


PROOFS = {
    "proved": "proved unchanged: the present code gives the same bits",
    "differs": "stale: the present code gives other bits",
    "another machine": "stale: its fingerprint was made on another kind of machine",
    "no fingerprint": "stale: it has no fingerprint that this version can repeat",
    "failed": "stale: its fingerprint could not be repeated",
}


@dataclass(frozen=True)
class PlannedRun:
    """A run with its state and its cost; `reason` says why it is in that state."""

    spec: RunSpec
    state: PlanState
    cost: Cost
    reason: str | None
    added: bool

    @property
    def missing(self) -> bool:
        return self.state not in ("done", "diverged", "running")


@click.command()
@label_argument()
@study_option
@selection_options(adds=True)
@device_options
@click.option("--resolve", metavar="A,B", help="Say how many more seeds would decide between two entries, instead.")
@source_option
@click.option("--calibrate", is_flag=True, help="Time a few steps of every kind first, for a better estimate.")
@click.option(
    "--prove",
    is_flag=True,
    help="Repeat the fingerprints of stale rows first: the same bits make their runs valid again.",
)
@json_option
@click.pass_obj
def plan(
    roots: Roots,
    /,
    names: tuple[str, ...],
    study: str | None,
    resolve: str | None,
    source: Path | None,
    calibrate: bool,
    prove: bool,
    devices: str,
    per_device: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show a study's runs, and what the missing ones would cost.

    A run is planned, running, interrupted, done, diverged, failed or stale (by other code or on other images). NAME is
    an entry's label, a glob such as 'wgan*', or the path of your own objective's file; none means all. Nothing is
    written: what `bench run` would add is shown as if it were there.
    """
    if resolve is not None:
        return _show_seeds_needed(roots.study_tables(study, source), resolve, as_json=as_json)
    if source is not None:
        raise BenchError("--from names a report, which says no more than --resolve asks", hint="Add --resolve A,B.")
    from bench.config.models import names_on_backbones
    from bench.data import check_conditions_of
    from bench.execution.devices import choose_slots, device_type
    from bench.runs.cautions import cautions
    from bench.statistics import deciding

    asked = asked_for(roots, study, names, adds=True, **options)
    planned, runs = asked.plan, asked.runs()
    check_conditions_of(planned.study.data, roots.data)
    slots = choose_slots(devices, per_device, planned.study.training.threads)
    if len(kinds := list(dict.fromkeys(map(device_type, slots)))) > 1:
        raise BenchError(f"A plan counts on one kind of device, not on {' and '.join(kinds)}", hint="Name one of them.")
    if prove:
        _prove(runs, roots)
    if calibrate:
        calibrate_steps(runs, roots, slots)
    rows = planned_runs(planned, runs, roots, slots)
    lacking = _unmeasured(rows, roots)
    losses = _lost_verdicts(planned)
    if as_json:
        _print_as_json(asked, rows, slots, missing_seconds(rows, slots), losses, lacking)
    else:
        _print_as_table(planned, rows, slots)
        if lacking.images:
            say(with_typed_options(lacking.in_words(len(slots)), click.get_current_context()))
        if others := names_on_backbones(planned.study):
            say(f"`bench run` trains it on other backbones too, planned by name: {', '.join(others.values())}")
        for row in planned.dangling():
            told = f"{row} was given seeds by hand, and is no row of the study any more (`bench remove` takes it out)."
            say(with_typed_options(told, click.get_current_context()))
        for line in [*deciding.lost_verdicts_in_words(losses), *map(str, cautions(planned))]:
            say(line)
    return EXIT_DONE


def planned_runs(plan: Plan, runs: list[RunSpec], roots: Roots, slots: list[str]) -> list[PlannedRun]:
    """Return runs of a plan with their states, and what they will cost on these slots."""
    from bench.data import present_images
    from bench.execution.calibrating import machine_of
    from bench.execution.devices import device_type
    from bench.execution.running import states_of
    from bench.runs.cost import Estimates, read_calibration

    estimate = Estimates(roots.runs, device_type(slots[0]), read_calibration(roots.runs, machine_of(slots)))
    images = present_images(plan.study.data, roots.data)
    states = states_of(runs, roots.runs, images)
    rows = []
    for run in runs:
        state = states[run.folder]
        added = plan.is_added(run)
        reasons = [*(["added by hand"] if added else []), _reason(run, state, roots.runs, images)]
        rows.append(PlannedRun(run, state, estimate(run), "; ".join(filter(None, reasons)) or None, added))
    return rows


def _reason(run: RunSpec, state: PlanState, runs_root: Path, images: Mapping[str, str] | None) -> str | None:
    """Return why a run is in its state: what was asked otherwise, other images or code, its failure, or its proof."""
    from bench.execution.running import folder_of
    from bench.runs.differences import other_code, other_settings
    from bench.runs.folder import OTHER_IMAGES

    folder = folder_of(run, runs_root)
    if state == "planned":
        return other_settings(run, runs_root)
    if folder.saw_others_than(images):
        return OTHER_IMAGES
    if state == "stale":
        return f"trained by other code ({other_code(run, folder)})"
    accepted = {"fingerprint": "proved unchanged", "name": "code accepted by name", None: None}
    return folder.status().reason or accepted[folder.accepted_code(run.code)]


def _unmeasured(rows: list[PlannedRun], roots: Roots) -> Unmeasured:
    from bench.execution.running import folder_of
    from bench.execution.unmeasured import unmeasured
    from bench.runs.portable import imported_from

    trained = [folder_of(row.spec, roots.runs) for row in rows if row.state in ("done", "diverged")]
    own = [folder for folder in trained if imported_from(folder.path) is None]  # others are never measured here
    return unmeasured(own, rows[0].spec.evaluation)


def _lost_verdicts(the_plan: Plan) -> dict[str, AfterLoss]:
    """Return in which protocols of the whole study one lost run would cost a verdict.

    Of rows with unlike numbers of seeds the one with the fewest counts.
    """
    from bench.statistics import deciding

    entries = [entry for entry in the_plan.entries if not entry.same_as]
    seeds = Counter((the_plan.label_of(run), run.protocol) for run in the_plan.runs)
    fewest = min(seeds[entry.label, entry.protocol] for entry in entries)
    rows = Counter(str(entry.protocol) for entry in entries)
    return deciding.lost_verdicts(rows, fewest, the_plan.study.primary_metric)


def _prove(runs: list[RunSpec], roots: Roots) -> None:
    from bench.execution.proving import prove, stale

    for proof in prove(stale(runs, roots.runs), roots.runs, roots.data, lambda text: say(text, err=True)):
        reason = f": {proof.reason}" if proof.reason else ""
        say(f"{proof.run.name}: {PROOFS[proof.verdict]}{reason}", err=True)


def calibrate_steps(runs: list[RunSpec], roots: Roots, slots: list[str]) -> None:
    """Time a few steps of every kind among these runs, and keep what they take."""
    from bench.execution.calibrating import calibrate

    def tell(name: str, seconds: float) -> None:
        say(f"timed {name}: {1000 * seconds:.0f} ms a generator step", err=True)

    say(f"Timing every kind of step, {len(slots)} at a time ...", err=True)
    calibrate(runs, roots.runs, slots, tell)


def _print_as_json(
    asked: Asked,
    rows: list[PlannedRun],
    slots: list[str],
    seconds: float,
    losses: dict[str, AfterLoss],
    lacking: Unmeasured,
) -> None:
    from bench.execution.devices import device_type
    from bench.execution.running import folder_of
    from bench.runs.cautions import too_short, training_floor

    plan, roots = asked.plan, click.get_current_context().obj
    floor, needed = training_floor(plan), lacking.seconds()
    print_json(
        {
            "study": plan.study.name,
            "device": device_type(slots[0]),
            "at_a_time": len(slots),
            "missing_seconds": round(seconds),
            "after_a_loss": {protocol: asdict(loss) for protocol, loss in losses.items()},
            "training_floor": asdict(floor) if floor else None,
            "too_short": [asdict(row) for row in too_short(plan)],
            "adds": list(asked.new),
            "unmeasured": {
                "runs": len(lacking.images),
                "images": sum(lacking.images.values()),
                "changed": list(lacking.changed),
                "seconds": None if needed is None else round(needed, 1),
            },
            "runs": [
                {
                    "label": plan.label_of(row.spec),
                    "protocol": row.spec.protocol,
                    "seed": row.spec.training.seed,
                    "id": row.spec.id,
                    "state": row.state,
                    "reason": row.reason,
                    "added": row.added,
                    "lacks_metrics": folder_of(row.spec, roots.runs).path in lacking.images,
                    "seconds": round(row.cost.seconds, 1),
                    "measured": row.cost.measured,
                }
                for row in rows
            ],
        }
    )


def _print_as_table(plan: Plan, rows: list[PlannedRun], slots: list[str]) -> None:
    from bench.cli.console import Console, plain_table

    headings = ("label", "protocol", "seed", "id", "state", "cost", "why")
    lines = [
        (
            plan.label_of(row.spec),
            row.spec.protocol,
            row.spec.training.seed,
            row.spec.id,
            row.state,
            ("" if row.cost.measured else "~") + format_duration(row.cost.seconds),
            row.reason or "",
        )
        for row in rows
    ]
    console = Console()
    console.print(f"{plan.study.title}\n")
    console.print(plain_table(headings, lines, width=console.width))
    console.print(f"\n{cost_in_words(rows, slots)}")


def missing_seconds(rows: list[PlannedRun], slots: list[str]) -> float:
    """Return how long these slots train what is missing."""
    return sum(row.cost.seconds for row in rows if row.missing) / len(slots)


def cost_in_words(rows: list[PlannedRun], slots: list[str]) -> str:
    """Return how many of the runs are to train, and what that and their evaluation will take."""
    from bench.execution.devices import device_type

    missing = [row for row in rows if row.missing]
    rough = any(not row.cost.measured for row in missing)
    how = "a rough guess from the number of operations; --calibrate times a few steps" if rough else "measured"
    return (
        f"{len(missing)} of {plural(len(rows), 'run')} to train, {len(slots)} at a time on {device_type(slots[0])}: "
        f"about {format_duration(missing_seconds(rows, slots))} of training ({how}){_evaluating(rows, slots)}."
    )


def _evaluating(rows: list[PlannedRun], slots: list[str]) -> str:
    """Return what evaluation adds, from runs that were evaluated here: the cost of a step does not predict it."""
    from bench.execution.devices import evaluation_slots

    known = [row.cost.evaluation_seconds for row in rows if row.cost.evaluation_seconds is not None]
    if not known:
        return ", evaluation not counted"
    beside = evaluation_slots(slots, rows[0].spec.training.training.threads)
    seconds = sum(row.missing for row in rows) * sum(known) / len(known) / len(beside or slots)
    return f" and {format_duration(seconds)} of evaluation{' beside it' if beside else ''} (as in finished runs)"


def _show_seeds_needed(study: StudyTables, pair: str, *, as_json: bool) -> int:
    from bench.statistics import deciding

    answers = deciding.answers(study, pair)
    if as_json:
        print_json([deciding.as_json(answer) for answer in answers])
        return EXIT_DONE
    for answer in answers:
        say("\n".join(deciding.in_words(answer)))
    return EXIT_DONE
