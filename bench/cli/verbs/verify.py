"""The verb that checks a report's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED
from bench.formatting import plural

if TYPE_CHECKING:
    from bench.review.measuring import Measure


@click.command()
@click.argument("report", required=False, type=click.Path(path_type=Path))
@study_option
@click.option(
    "--metrics", is_flag=True, help="Measure every run's snapshots again too, which takes as long as evaluating them."
)
@click.option(
    "--run-its-code",
    is_flag=True,
    help="With --metrics: load the files of code, own extractors and metrics, that the runs name.",
)
@json_option
@click.pass_obj
def verify(
    roots: Roots, report: Path | None, study: str | None, metrics: bool, run_its_code: bool, as_json: bool
) -> int:
    """Recompute a report's numbers, and say which hold.

    REPORT is a folder that `bench report` wrote [the study's], or an archive that `bench export` wrote. Its files and
    statistics are always checked. Where its runs are here, in the runs folder or in the archive, the report is also
    checked against them. `bench replay` checks the training.
    """
    from bench.review.findings import is_sound, reached
    from bench.review.measuring import verify_metrics
    from bench.review.verify import verify as verify_report

    folder = report or roots.reports / roots.planned_study(study)
    measure = _measure_again(roots.data, run_its_code) if metrics else None
    if folder.is_file():
        from bench.cli.console import progress_bar
        from bench.review.archive import verify_archive

        with progress_bar() as progress:
            findings = verify_archive(folder, measure, progress)
    else:
        findings = verify_report(folder, roots.runs, roots.data)
        if measure is not None:
            findings += verify_metrics(folder, roots.runs, measure)
    failed = sum(finding.outcome == "FAILS" for finding in findings)
    sound = is_sound(findings)
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        say(f"{reached(findings)}\n")
        for finding in findings:
            say(f"{finding.outcome:<12}{finding.level:<12}{finding.what}")
        left_open = sum(finding.outcome == "not checked" for finding in findings)
        unproven = sum(finding.outcome == "UNPROVEN" for finding in findings)
        held = "what was checked holds" if sound or unproven else "nothing was checked"
        verdict = f"{plural(failed, 'finding')} failed" if failed else held
        verdict += f"; {plural(unproven, 'finding')} unproven" if unproven else ""
        say(f"\n{folder}: {verdict}" + (f"; {left_open} not checked, see above." if left_open else "."))
    return EXIT_DONE if sound else EXIT_RUNS_FAILED


def _measure_again(data_root: Path, run_code: bool) -> Measure:
    from bench.execution.evaluating import measure_again

    return lambda run: measure_again(run, data_root, run_code)
