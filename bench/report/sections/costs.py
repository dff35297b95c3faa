"""What each entry cost, and the command that makes each row's numbers again."""

from __future__ import annotations

import shlex

import numpy as np

from bench.formatting import NOTHING, format_count, format_duration, plural
from bench.report.model import Cell, Heading, Row, Table
from bench.report.sections.together import without_constants
from bench.report.study import Entry, Study


def cost_table(study: Study) -> Table:
    """Return device seconds, speed and images seen of every entry; evaluation is not counted."""
    table = Table(
        "costs",
        "What training cost, evaluation not counted: means over the runs that are done, and the sum over all runs that "
        "took a step, lost ones included. Seconds are of each run’s own device.",
        (
            Heading("objective"),
            Heading("protocol"),
            Heading("device time per run", numeric=True),
            Heading("generator steps per device second", numeric=True),
            Heading("discriminator steps", numeric=True),
            Heading("images seen", numeric=True),
            Heading("device time in all", numeric=True),
        ),
        tuple(_cost_row(entry) for entry in study.all_entries),
    )
    return without_constants(table, ("protocol", "discriminator steps", "images seen"))


def repeat_table(study: Study) -> Table:
    """Return, per entry, the command that trains its median run again and compares, and the one that shows it."""
    study_name = shlex.quote(study.plan["study"])
    rows = []
    for entry in study.all_entries:
        seed = study.summary(entry, study.primary).median_seed()
        shown = entry.runs[0].seed if seed is None and entry.runs else seed
        run = f"{shlex.quote(f'{entry.label}-{entry.protocol}/{shown}')} --study {study_name}"
        commands = (Cell(f"bench {verb} {run}", code=True) for verb in ("replay", "show"))
        rows.append(Row((Cell(entry.label), Cell(entry.protocol), *commands)))
    return Table(
        "repeat-rows",
        "How to repeat each row’s numbers. The first command trains and measures the row’s median run again (its first "
        "where none has a score), apart from the study’s runs, and says whether the same bits come out; with --seed, "
        "whether another seed scores as these predict. The second prints what is known of that run. For another run "
        "write its seed after the slash. bench verify recomputes every table and this report from the runs, and with "
        "--metrics measures their snapshots again.",
        tuple(map(Heading, ("objective", "protocol", "trains again and compares", "shows"))),
        tuple(rows),
    )


def _cost_row(entry: Entry) -> Row:
    done = [run.status for run in entry.runs if run.state == "done"]
    seconds = [status.device_seconds for status in done]
    spent = sum(run.status.device_seconds for run in entry.runs)
    begun = sum(run.status.generator_steps > 0 for run in entry.runs)
    per_run = Cell(NOTHING, numeric=True)
    if seconds:
        bounds = f"{format_duration(min(seconds))} to {format_duration(max(seconds))}" if len(seconds) > 1 else ""
        per_run = Cell(format_duration(float(np.mean(seconds))), bounds, numeric=True, sort=float(np.mean(seconds)))
    speed = sum(status.generator_steps for status in done) / sum(seconds) if sum(seconds) else None
    means = [
        Cell(
            format_count(round(float(np.mean([getattr(status, name) for status in done])))) if done else NOTHING,
            numeric=True,
        )
        for name in ("discriminator_steps", "images_seen")
    ]
    return Row(
        (
            Cell(entry.label),
            Cell(entry.protocol),
            per_run,
            Cell(NOTHING if speed is None else f"{speed:.3g}", numeric=True),
            *means,
            Cell(format_duration(spent), plural(begun, "run") if begun else "", numeric=True, sort=spent),
        )
    )
