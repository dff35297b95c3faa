"""The verb that writes the report."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE


@click.command()
@study_option
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write into [reports/<study>].")
@click.option(
    "--show-training-images",
    is_flag=True,
    help="Show the training images nearest to generated ones. Only drawn images are shown without this option: others "
    "may be photographs of real people who did not agree to be published. Runs that lack them get them first.",
)
@json_option
@click.pass_obj
def report(roots: Roots, study: str | None, out: Path | None, show_training_images: bool, as_json: bool) -> int:
    """Write a study's report.

    That is report.html, report.md, LaTeX tables, figures, CSV tables and manifest.json. An unfinished study has a
    report too, which says what is missing.
    """
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
