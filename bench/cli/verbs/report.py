"""The verb that writes the report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.shared import Roots, json_option, source_option, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, BenchError

if TYPE_CHECKING:
    from bench.statistics.shipped import StudyTables


@click.command()
@study_option
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write into [reports/<study>].")
@click.option(
    "--show-training-images",
    is_flag=True,
    help="Show the training images nearest to generated ones, and of pairs inputs and targets. Only drawn images are "
    "shown without this option: others may be photographs of real people who did not agree to be published. Runs that "
    "lack them get them first.",
)
@click.option("--compare", metavar="A,B", help="Say which of two rows is better, and how sure that is, instead.")
@source_option
@json_option
@click.pass_obj
def report(
    roots: Roots,
    study: str | None,
    out: Path | None,
    show_training_images: bool,
    compare: str | None,
    source: Path | None,
    as_json: bool,
) -> int:
    """Write a study's report, or answer one question from it.

    A report is report.html, report.md, LaTeX tables, figures, CSV tables and manifest.json. An unfinished study has a
    report too, which says what is missing.
    """
    if compare is not None:
        return _compare(roots.study_tables(study, source), compare, as_json=as_json)
    if source is not None:
        raise BenchError("--from goes with --compare", hint="For example: --compare nsgan,wgan-gp")
    from bench.api import render_report

    name = roots.planned_study(study)
    paths = render_report(
        name,
        out or roots.reports / name,
        runs=roots.runs,
        data=roots.data,
        show_training_images=show_training_images,
    )
    if as_json:
        places = ("html", "markdown", "results", "summary", "manifest")
        print_json({place: str(getattr(paths, place)) for place in places})
        return EXIT_DONE
    say(f"HTML      {paths.html}")
    say(f"Markdown  {paths.markdown}")
    say(f"Results   {paths.results}")
    return EXIT_DONE


def _compare(study: StudyTables, pair: str, *, as_json: bool) -> int:
    """Answer a pair, protocol by protocol."""
    from bench.report.metric_text import describe_metric
    from bench.report.sections.pairs import sentence
    from bench.statistics import answers_for
    from bench.statistics.deciding import read_pair

    first, second = read_pair(pair, "--compare")
    answers = answers_for(study.statistics, study.plan, first, second)
    if as_json:
        print_json([asdict(answer) | {"sentence": sentence(answer)} for answer in answers])
        return EXIT_DONE
    title = describe_metric(answers[0].metric).title
    say(f"{first} and {second}, by {title} ({answers[0].better} is better)")
    for answer in answers:
        say(f"\n{answer.protocol}: {sentence(answer)}")
    return EXIT_DONE
