"""The verbs that only look: they never change a run, and all but `list` and `doctor` do without torch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bench.cli.shared import Roots, json_option, print_json, study_option
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED
from bench.formatting import duration
from bench.runs.folder import RunFolder, read_plan
from bench.runs.portable import imported_from

KINDS = ("objectives", "studies", "datasets", "metrics")


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--objectives", is_flag=True, help="The same as `bench list objectives`.")
@json_option
@click.pass_obj
def list_(roots: Roots, kind: str | None, objectives: bool, as_json: bool) -> int:
    """List objectives, studies, datasets and metrics, or only one KIND of them."""
    from bench.cli.listing import listing

    kind = "objectives" if objectives else kind
    config = roots.read_config()
    found = {name: listing(name, config) for name in ([kind] if kind else KINDS)}
    if as_json:
        print_json(found)
        return EXIT_DONE
    console = Console(highlight=False)
    for name, rows in found.items():
        table = Table(box=None, pad_edge=False, header_style="dim", title=name, title_justify="left")
        for key in rows[0] if rows else ():
            table.add_column(key.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        console.print(table)
        console.print()
    return EXIT_DONE


@click.command()
@study_option
@click.option("--watch", is_flag=True, help="Stay and show it anew every two seconds, until Ctrl-C.")
@json_option
@click.pass_obj
def status(roots: Roots, study: str | None, watch: bool, as_json: bool) -> int:
    """Show how far every run of a study is."""
    name = roots.planned_study(study)
    if as_json:
        print_json([row | {"path": str(row["path"])} for row in _status_rows(roots.runs, name)])
        return EXIT_DONE
    console = Console(highlight=False)
    if not watch:
        console.print(_status_table(_status_rows(roots.runs, name)))
        return EXIT_DONE
    with Live(console=console, auto_refresh=False) as live:
        while True:
            rows = _status_rows(roots.runs, name)
            live.update(_status_table(rows), refresh=True)
            if all(row["state"] in ("done", "diverged", "failed") and row["phase"] is None for row in rows):
                return EXIT_DONE
            time.sleep(2)


@click.command()
@click.argument("run")
@study_option
@json_option
@click.pass_obj
def show(roots: Roots, run: str, study: str | None, as_json: bool) -> int:
    """Show one run: what was asked, how far it is, its last terms and metrics.

    RUN is a run's folder, its id or the beginning of it, or label/seed such as nsgan/0.
    """
    from bench.cli.showing import describe_run, find_run

    folder = find_run(Path(run), roots.runs, roots.planned_study(study))
    values = describe_run(folder)
    if as_json:
        print_json(values)
        return EXIT_DONE
    console = Console(highlight=False)
    console.print(f"{folder.path}\n", markup=False)
    for heading, content in values.items():
        if not content:
            continue
        table = Table(box=None, pad_edge=False, show_header=False, title=heading, title_justify="left")
        for key, value in content.items():
            table.add_row(key, str(value))
        console.print(table)
        console.print()
    return EXIT_DONE


@click.command()
@study_option
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it [reports/<study>].")
@click.option(
    "--show-training-images",
    is_flag=True,
    help="Show the training images nearest to generated ones, which only drawn data get by itself: others may be "
    "photographs of real people, who did not agree to be published. Draws them first where a run lacks them.",
)
@click.pass_obj
def report(roots: Roots, study: str | None, out: Path | None, show_training_images: bool) -> int:
    """Write a study's report: report.html, report.md, LaTeX tables, figures, CSV tables and manifest.json.

    Works on an unfinished study too, and says what is missing.
    """
    from bench.report import ReportOptions, render, shown_folders

    name = roots.planned_study(study)
    if show_training_images:
        from bench.execution.photographs import draw_training_images

        draw_training_images(shown_folders(roots.runs, name), roots.data)
    options = ReportOptions(show_training_images=show_training_images)
    paths = render(roots.runs, name, out or roots.reports / name, options)
    click.echo(f"HTML      {paths.html}")
    click.echo(f"Markdown  {paths.markdown}")
    click.echo(f"Results   {paths.results}")
    return EXIT_DONE


@click.command()
@json_option
@click.pass_obj
def doctor(roots: Roots, as_json: bool) -> int:
    """Say what this machine has, what is missing, and what to type."""
    from bench.cli.doctor import examine

    findings = examine(roots.config, roots.data)
    if as_json:
        print_json([finding.__dict__ for finding in findings])
    else:
        console = Console(highlight=False)
        for finding in findings:
            mark = {"ok": "[green]ok     [/]", "note": "[yellow]note   [/]", "missing": "[red]missing[/]"}[
                finding.level
            ]
            console.print(f"{mark} {finding.what}")
            if finding.advice:
                console.print(f"        {finding.advice}", style="dim", markup=False)
    return EXIT_RUNS_FAILED if any(finding.level == "missing" for finding in findings) else EXIT_DONE


def _status_rows(runs_root: Path, study: str) -> list[dict[str, Any]]:
    rows = []
    for planned in read_plan(runs_root, study)["runs"]:
        folder = RunFolder(runs_root / study / planned["path"])
        status = folder.status()
        left = None
        state = folder.effective_state()
        if state == "running" and status.steps_per_second > 0:
            left = (status.total_generator_steps - status.generator_steps) / status.steps_per_second
        rows.append(
            {
                "run": f"{planned['label']}-{planned['protocol']}/seed-{planned['seed']}",
                "state": state,
                "phase": status.phase if state in ("running", "done", "diverged") else None,
                "generator_steps": status.generator_steps,
                "total_generator_steps": status.total_generator_steps,
                "device_seconds": round(status.device_seconds, 1),
                "seconds_left": None if left is None else round(left),
                "device": status.device,
                "reason": status.reason,
                "imported": imported_from(folder.path) is not None,
                "path": folder.path,
            }
        )
    return rows


def _status_table(rows: list[dict[str, Any]]) -> Table:
    states = [row["state"] for row in rows]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    table = Table(box=None, pad_edge=False, header_style="dim", caption=counted, caption_justify="left")
    for heading, justify in (("run", "left"), ("state", "left"), ("steps", "right"), ("trained", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("left", justify="right")
    table.add_column("why", overflow="fold")
    for row in rows:
        total = row["total_generator_steps"]
        table.add_row(
            row["run"],
            row["phase"] or row["state"],
            f"{row['generator_steps']:,} / {total:,}" if total else "",
            duration(row["device_seconds"]) if row["device_seconds"] else "",
            "" if row["seconds_left"] is None else duration(row["seconds_left"]),
            ", ".join([*(["imported"] if row["imported"] else []), *([row["reason"]] if row["reason"] else [])]),
        )
    return table
