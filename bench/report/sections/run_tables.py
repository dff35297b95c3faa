"""The tables of runs: which ended otherwise than planned, which moved, what each spent; and how to repeat them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from bench.formatting import format_count, format_duration, format_number
from bench.report.metric_text import describe_metric
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.collapse import collapse_reason
from bench.report.study import Entry, Run, Study
from bench.runs.folder import LOST


def troubles_table(study: Study) -> Table | None:
    """Return every run that gives no value, and every collapsed one, with the reason; None when there is none.

    Runs that have not begun share a line per entry.
    """
    rows = tuple(row for entry in study.all_entries for row in _trouble_rows(study, entry))
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
        rows,
    )


def _trouble_rows(study: Study, entry: Entry) -> Iterator[Row]:
    scored = dict(study.summary(entry, study.primary).values)
    final = f"{study.plan['final_step']:,}"
    for run in _begun(entry):
        state, reason = _trouble(study, run, run.seed in scored)
        if state:
            steps = f"{run.status.generator_steps:,} of {final}"
            yield _trouble_row(entry, str(run.seed), state, steps, reason)
    if seeds := _seeds_not_begun(entry):
        yield _trouble_row(entry, seeds, "not begun", f"0 of {final}", "")


def _trouble_row(entry: Entry, seeds: str, state: str, steps: str, reason: str) -> Row:
    name = (Cell(entry.label), Cell(entry.protocol), Cell(seeds, numeric=True))
    return Row((*name, Cell("", badges=(state,)), Cell(steps, numeric=True), Cell(reason)))


def _trouble(study: Study, run: Run, scored: bool) -> tuple[str, str]:
    """Return the trouble of a run that has begun and its reason, or two empty strings."""
    if run.state in LOST:
        return run.state, run.status.reason or "no reason was recorded"
    if run.state == "interrupted":
        why = run.status.reason or "its process ended before it did"
        return "interrupted", f"{why}; bench run --all goes on from its last checkpoint"
    if run.state == "running":
        return "running", run.status.phase or ""
    if not scored:
        return "not evaluated", f"trained, but without {study.primary} at the final step; type bench evaluate"
    if run.collapsed:
        return "collapsed", f"{collapse_reason(study, run)}; counted in the mean"
    return "", ""


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
    """Return every planned run with what it spent and its score; those not begun share a line per entry."""
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
        tuple(row for entry in study.all_entries for row in _run_rows(study, entry)),
    )


def _run_rows(study: Study, entry: Entry) -> Iterator[Row]:
    scores = dict(study.summary(entry, study.primary).values)
    for run in _begun(entry):
        status = run.status
        spent = (status.generator_steps, status.discriminator_steps, status.images_seen)
        cells = (*map(format_count, spent), format_duration(status.device_seconds), format_number(scores.get(run.seed)))
        yield Row((Cell(run.path, code=True), Cell(run.state), *(Cell(text, numeric=True) for text in cells)))
    if seeds := _seeds_not_begun(entry):
        name = Cell(f"{entry.label}, {entry.protocol}: {'seeds' if '–' in seeds or ',' in seeds else 'seed'} {seeds}")
        yield Row((name, Cell("not begun"), *(Cell("", numeric=True),) * 5))


def repeat_commands(study: Study) -> tuple[str, ...]:
    """Return the commands that make this report, and one of its cells, again.

    The run is named with its protocol, since a label alone means one run of each; it is one that can come out bit for
    bit, where there is one.
    """
    name = shlex.quote(study.plan["study"])
    whole = (run for run in study.runs if run.state == "done" and not run.status.continued_on)
    run = next(whole, study.runs[0])
    asked = shlex.quote(f"{run.label}-{run.protocol}/{run.seed}")
    return (
        f"bench run --all --study {name}",
        f"bench replay {asked} --study {name}",
        f"bench report --study {name}",
        f"bench verify --metrics --study {name}",
    )


def seed_ranges(seeds: Iterable[int]) -> str:
    """Write seeds in order, with at least three neighbours as a range: "0–4, 7, 8"."""
    groups: list[list[int]] = []
    for seed in sorted(seeds):
        if groups and seed == groups[-1][-1] + 1:
            groups[-1].append(seed)
        else:
            groups.append([seed])
    told = (f"{group[0]}–{group[-1]}" if len(group) > 2 else ", ".join(map(str, group)) for group in groups)
    return ", ".join(told)


def _begun(entry: Entry) -> list[Run]:
    return [run for run in entry.runs if run.state != "planned"]


def _seeds_not_begun(entry: Entry) -> str:
    return seed_ranges(run.seed for run in entry.runs if run.state == "planned")
