"""The verbs that put claims to the test: what they cost, their arms' training, and the page of verdicts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import completing
from bench.cli.hints import command_line
from bench.cli.shared import Roots, device_options, json_option, read_seeds
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_RUNS_FAILED, BenchError, suggest
from bench.formatting import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from bench.cli.verbs.plan import PlannedRun
    from bench.config.models import Config
    from bench.runs.plan import Plan, RunSpec

ids_argument = click.argument("names", nargs=-1, metavar="[CLAIM]...", shell_complete=completing.claims)
seeds_option = click.option("--only-seeds", metavar="SEEDS", help='Only these of the studies\' seeds, such as "0-4".')


@click.group()
def claims() -> None:
    """Put what is said of GANs to the test.

    A file of studies, by default ./claims.toml or the packaged one (--config names another), also holds claims about
    its rows. `run` trains the rows that they need as ordinary studies, `report` says what the runs decide.
    """


@claims.command()
@ids_argument
@seeds_option
@device_options
@click.option("--calibrate", is_flag=True, help="Time a few steps of every kind first, for a better estimate.")
@json_option
@click.pass_obj
def plan(
    roots: Roots,
    names: tuple[str, ...],
    only_seeds: str | None,
    devices: str,
    per_device: int | None,
    calibrate: bool,
    as_json: bool,
) -> int:
    """Show which runs claims need, and what the missing ones would cost.

    CLAIM is a claim's id; none means all. Nothing is written but, with --calibrate, what was timed.
    """
    from bench.cli.verbs.plan import calibrate_steps, planned_runs
    from bench.execution.devices import choose_slots

    chosen = [*_plans(_config(roots), names, only_seeds)]
    slots = choose_slots(devices, per_device, chosen[0].plan.study.training.threads)
    if calibrate:
        calibrate_steps([run for one in chosen for run in one.runs], roots, slots)
    rows = {one.plan.study.name: planned_runs(one.plan, one.runs, roots, slots) for one in chosen}
    (_print_plan_as_json if as_json else _print_plan)(rows, slots)
    return EXIT_DONE


@claims.command()
@ids_argument
@seeds_option
@device_options
@click.pass_obj
def run(roots: Roots, names: tuple[str, ...], only_seeds: str | None, devices: str, per_device: int | None) -> int:
    """Train and evaluate what claims lack.

    CLAIM is a claim's id; none means all. An arm that several claims share is trained once. Finished work is not
    repeated, and an interrupted run continues: the runs are those of ordinary studies.
    """
    from bench.cli.console import Console
    from bench.cli.launch import counts_in_words, ended_early
    from bench.execution.running import joined_outcomes
    from bench.execution.study import run_study

    console = Console()
    parts = []
    for one in _plans(_config(roots), names, only_seeds):
        parts.append(
            run_study(
                one.plan,
                one.labels,
                seeds=one.seeds,
                runs=roots.runs,
                data=roots.data,
                devices=devices,
                per_device=per_device,
                console=console,
            )
        )
        if not parts[-1].complete:
            console.print("\nStopped. Type the same command again to continue.")
            return parts[-1].stopped_with or EXIT_INTERRUPTED
    outcomes = joined_outcomes(parts)
    console.print(f"\n{counts_in_words(outcomes)}. The runs are in {roots.runs}.")
    for job in outcomes.jobs:
        if job.outcome == "failed":
            console.print(f"failed   {job.spec.study}, {job.spec.name}: {job.reason}")
    console.print(f"Next: {command_line('claims', 'report')}", soft_wrap=True)
    return EXIT_RUNS_FAILED if outcomes.failed or ended_early(outcomes) else EXIT_DONE


@claims.command()
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write into [reports/claims].")
@json_option
@click.pass_obj
def report(roots: Roots, out: Path | None, as_json: bool) -> int:
    """Say what the runs decide of every claim, and write the page.

    That is claims.html, claims.md, claims.csv and a figure. All claims of the file take part: what is decided of one
    depends on how many are asked. Claims whose runs are missing are undecided, and say so.
    """
    from bench.report.claimed.page import asked_otherwise, claims_frame, write_claims
    from bench.statistics.claims import judge_claims

    config = _config(roots)
    results = judge_claims(config, roots.runs)
    paths = write_claims(results, config, roots.runs, out or roots.reports / "claims")
    if as_json:
        verdicts = [
            {"id": one.claim.id, "verdict": one.verdict, "p_holm": one.p_holm, "open_because": one.open_because}
            for one in results
        ]
        compared = json.loads(claims_frame(results).to_json(orient="records"))
        places = {name: str(getattr(paths, name)) for name in ("html", "markdown", "table")}
        print_json({"claims": verdicts, "comparisons": compared, **places})
        return EXIT_DONE
    for one in results:
        say(f"{one.verdict:<11} {one.claim.id}" + (f": {one.open_because}" if one.open_because else ""))
    for text in asked_otherwise(config, roots.runs):
        say(text)
    say(f"\nHTML      {paths.html}")
    say(f"Markdown  {paths.markdown}")
    say(f"Table     {paths.table}")
    return EXIT_DONE


@dataclass(frozen=True)
class _Chosen:
    """A study that claims need: which of its rows and seeds."""

    plan: Plan
    labels: tuple[str, ...]
    seeds: tuple[int, ...] | None

    @property
    def runs(self) -> list[RunSpec]:
        return self.plan.select(self.labels, self.seeds)


def _config(roots: Roots) -> Config:
    from bench.config.reading import load_claims

    return load_claims(roots.config)


def _plans(config: Config, names: Collection[str], only_seeds: str | None) -> Iterator[_Chosen]:
    """Yield the studies that these claims need, with their rows and A/A arms."""
    from bench.config.arms import arms_by_study
    from bench.runs.plan import make_plan

    known = {claim.id: claim for claim in config.claims}
    if unknown := next((name for name in names if name not in known), None):
        raise BenchError(
            f'{config.path} has no claim "{unknown}"{suggest(unknown, known)}',
            hint=f"It has: {', '.join(known)}.",
        )
    claims = [known[name] for name in names] if names else config.claims
    seeds = None if only_seeds is None else read_seeds(only_seeds, "--only-seeds")
    for name, labels in arms_by_study(config, claims).items():
        study = config.study(name)
        twin = (study.twin_label,) if study.twin_seeds and study.baseline in labels else ()
        yield _Chosen(make_plan(study), (*labels, *twin), seeds)


def _print_plan(rows: dict[str, list[PlannedRun]], slots: list[str]) -> None:
    from bench.cli.console import Console, plain_table
    from bench.cli.verbs.plan import cost_in_words

    lines = [
        (
            study,
            len({(row.spec.label, row.spec.protocol) for row in runs}),
            len(runs),
            sum(row.missing for row in runs),
            format_duration(sum(row.cost.seconds for row in runs if row.missing)),
        )
        for study, runs in rows.items()
    ]
    heads = ("study", "arms", "runs", "to train", "training, on one core")
    console = Console()
    console.print(plain_table(heads, lines, width=console.width))
    console.print(f"\n{cost_in_words([row for runs in rows.values() for row in runs], slots)}")


def _print_plan_as_json(rows: dict[str, list[PlannedRun]], slots: list[str]) -> None:
    from bench.cli.verbs.plan import missing_seconds

    print_json(
        {
            "at_a_time": len(slots),
            "missing_seconds": round(missing_seconds([row for runs in rows.values() for row in runs], slots)),
            "studies": {
                study: {
                    "arms": sorted({row.spec.label for row in runs}),
                    "runs": len(runs),
                    "missing": sum(row.missing for row in runs),
                }
                for study, runs in rows.items()
            },
        }
    )
