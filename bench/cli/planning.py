"""The verb that says what a study's runs are and what they would cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from bench.cli.shared import (
    Roots,
    device_options,
    json_option,
    override_options,
    overrides,
    print_json,
    runs_per_device,
    study_option,
)
from bench.errors import EXIT_DONE, BenchError
from bench.formatting import duration

if TYPE_CHECKING:
    from bench.runs.cost import Cost
    from bench.runs.plan import Plan, PlanState, RunSpec
    from bench.statistics import AfterLoss


@dataclass(frozen=True)
class _Row:
    spec: RunSpec
    state: PlanState
    cost: Cost
    reason: str | None

    @property
    def missing(self) -> bool:
        return self.state not in ("done", "diverged", "running")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@study_option
@override_options
@device_options
@click.option("--resolve", metavar="A,B", help="Say instead how many more seeds would decide between two entries.")
@click.option("--calibrate", is_flag=True, help="Time a few steps of every kind first, for an estimate worth having.")
@json_option
@click.pass_obj
def plan(
    roots: Roots,
    /,
    names: tuple[str, ...],
    study: str | None,
    resolve: str | None,
    calibrate: bool,
    devices: str,
    per_device: int | None,
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show the runs of a study: what is done, stale, missing or failed, and what the rest would cost.

    NAME is an entry's label or a glob such as 'wgan*'; none means all.
    """
    if resolve is not None:
        return _say_how_many_seeds(roots, roots.planned_study(study), resolve, as_json=as_json)
    from bench.execution.devices import choose_slots, device_type
    from bench.runs.plan import make_plan
    from bench.statistics import deciding

    the_plan = make_plan(roots.read_study(study, overrides(**options)))
    slots = choose_slots(devices, runs_per_device(per_device, workers), the_plan.study.training.threads)
    if len(kinds := list(dict.fromkeys(map(device_type, slots)))) > 1:
        raise BenchError(f"A plan counts on one kind of device, not on {' and '.join(kinds)}", hint="Name one of them.")
    if calibrate:
        _calibrate(the_plan.select(names), roots, slots)
    rows = _rows(the_plan.select(names), roots, slots)
    losses = _lost_verdicts(the_plan)
    seconds = sum(row.cost.seconds for row in rows if row.missing) / len(slots)
    if as_json:
        _print_as_json(the_plan, rows, slots, seconds, losses)
    else:
        _print_as_table(the_plan, rows, slots, seconds)
        for line in deciding.lost_verdicts_in_words(losses):
            click.echo(line)
    return EXIT_DONE


def _rows(runs: list[RunSpec], roots: Roots, slots: list[str]) -> list[_Row]:
    from bench.execution.calibrating import machine_of
    from bench.execution.devices import device_type
    from bench.execution.running import folder_of, state_of
    from bench.runs.cost import estimate, read_calibration

    calibration = read_calibration(roots.runs, machine_of(slots))
    return [
        _Row(
            run,
            state_of(run, roots.runs),
            estimate(run, roots.runs, device_type(slots[0]), calibration),
            folder_of(run, roots.runs).status().reason,
        )
        for run in runs
    ]


def _lost_verdicts(the_plan: Plan) -> dict[str, AfterLoss]:
    """Return in which protocols of the whole study one lost run would cost a verdict."""
    from bench.statistics import deciding

    study = the_plan.study
    rows: Counter[str] = Counter(entry.protocol for entry in the_plan.entries if not entry.same_as)
    return deciding.lost_verdicts(rows, len(study.seeds), study.primary_metric)


def _calibrate(runs: list[RunSpec], roots: Roots, slots: list[str]) -> None:
    from bench.execution.calibrating import calibrate

    def tell(name: str, seconds: float) -> None:
        click.echo(f"timed {name}: {1000 * seconds:.0f} ms a generator step", err=True)

    click.echo(f"Timing every kind of step, {len(slots)} at a time ...", err=True)
    calibrate(runs, roots.runs, slots, tell)


def _print_as_json(
    the_plan: Plan, rows: list[_Row], slots: list[str], seconds: float, losses: dict[str, AfterLoss]
) -> None:
    from bench.execution.devices import device_type

    print_json(
        {
            "study": the_plan.study.name,
            "device": device_type(slots[0]),
            "at_a_time": len(slots),
            "missing_seconds": round(seconds),
            "after_a_loss": {protocol: asdict(loss) for protocol, loss in losses.items()},
            "runs": [
                {
                    "label": the_plan.label_of(row.spec),
                    "protocol": row.spec.protocol,
                    "seed": row.spec.training.seed,
                    "id": row.spec.id,
                    "state": row.state,
                    "reason": row.reason,
                    "seconds": round(row.cost.seconds, 1),
                    "measured": row.cost.measured,
                }
                for row in rows
            ],
        }
    )


def _print_as_table(the_plan: Plan, rows: list[_Row], slots: list[str], seconds: float) -> None:
    from bench.execution.devices import device_type

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("label", "protocol", "seed", "id", "state", "cost", "why"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        spec, text = row.spec, duration(row.cost.seconds)
        table.add_row(
            the_plan.label_of(spec),
            spec.protocol,
            str(spec.training.seed),
            spec.id,
            row.state,
            text if row.cost.measured else f"~{text}",
            row.reason or "",
        )
    console = Console(highlight=False)
    console.print(f"{the_plan.study.title}\n", markup=False)
    console.print(table)
    missing = [row for row in rows if row.missing]
    rough = any(not row.cost.measured for row in missing)
    how = "a rough guess from the arithmetic: --calibrate times a few steps" if rough else "measured"
    console.print(
        f"\n{len(missing)} of {len(rows)} runs to train, {len(slots)} at a time on {device_type(slots[0])}: "
        f"about {duration(seconds)} of training ({how}){_evaluating(rows, slots)}.",
        markup=False,
    )


def _evaluating(rows: list[_Row], slots: list[str]) -> str:
    """Return what evaluating adds, by the runs that were evaluated here: what a step costs says nothing of it."""
    from bench.execution.devices import evaluation_slots

    known = [row.cost.evaluation_seconds for row in rows if row.cost.evaluation_seconds is not None]
    if not known:
        return ", evaluation not counted"
    beside = evaluation_slots(slots, rows[0].spec.training.training.threads)
    seconds = sum(row.missing for row in rows) * sum(known) / len(known) / len(beside or slots)
    return f" and {duration(seconds)} of evaluation{' beside it' if beside else ''} (as in finished runs)"


def _say_how_many_seeds(roots: Roots, study: str, pair: str, *, as_json: bool) -> int:
    from bench.statistics import deciding

    found = deciding.answers(roots.runs, study, pair)
    if as_json:
        print_json([deciding.as_json(answer) for answer in found])
        return EXIT_DONE
    for answer in found:
        click.echo("\n".join(deciding.in_words(answer)))
    return EXIT_DONE
