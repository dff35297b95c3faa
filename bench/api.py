"""What a notebook reads of a study: images, results, statistics, report. `bench/__init__.py` exports it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.config.models import Study
from bench.data import PreparedData, prepare
from bench.report import ReportOptions, ReportPaths, documents_beside, render, shown_folders
from bench.runs.folder import read_plan
from bench.statistics import study_statistics
from bench.statistics.backbones import write_backbones
from bench.statistics.results import collect


def prepare_data(study: Study, *, data: str | Path = "data") -> PreparedData:
    """Prepare a study's images, or open them where that was done before: `bench data prepare`.

    study  the Study
    data   the folder that they are prepared in

    `train` and `heldout` each have a `count`, a `sha256` and `images()`, a mapped array (N, 3, R, R) of uint8.
    Raises BenchError where the images are missing or cannot be used, or the disk is full.

        bench.prepare_data(study).heldout.images().shape          # (2000, 3, 32, 32)
    """
    return prepare(study.data, Path(data))


def read_results(study: str | Study, *, runs: str | Path = "runs") -> pd.DataFrame:
    """Return a study's tidy table: a line for each run, snapshot, generator, sample seed and metric.

    study  its name, or the Study
    runs   the folder of the runs

    docs/results.md says what every column means. A run without any metric has one line, with an empty `value`.
    Raises BenchError where the study has no plan in that folder, or its runs did not all see the same images.

        table = bench.read_results("quick")
        table[table["final"] & (table["metric"] == "fd_lite0")].groupby("label")["value"].mean()
    """
    return collect(Path(runs), _name(study))


def read_statistics(study: str | Study, *, runs: str | Path = "runs") -> dict[str, pd.DataFrame]:
    """Return every statistic of a study as the tables that a report writes, by name.

    study, runs  as for `read_results`; raises BenchError as it does

    "summary" (means and intervals), "comparisons" (verdicts against the baseline), "pairs", "standings" (tie groups and
    ranks), "stability", "resolution", "limits" and "mixtures"; docs/statistics.md explains them. Runs that diverged or
    failed count as the worst results, planned runs that are missing withhold the verdicts they belong to.

        bench.read_statistics("faces")["comparisons"][["protocol", "label", "difference", "verdict"]]
    """
    name = _name(study)
    return study_statistics(collect(Path(runs), name), read_plan(Path(runs), name)).frames()


def render_report(
    study: str | Study,
    out: str | Path | None = None,
    *,
    runs: str | Path = "runs",
    data: str | Path = "data",
    show_training_images: bool = False,
) -> ReportPaths:
    """Write a study's report and return where its pages and tables lie: `bench report`.

    study, runs           as for `read_results`
    out                   the folder to write into [reports/<study>]
    data                  the folder of prepared images, which is read for `show_training_images` alone
    show_training_images  show the training images nearest to generated ones also where they are photographs, maybe of
                          real people who did not agree to be published; runs that lack them get them first

    An unfinished study has a report too, which says what is missing. Raises BenchError where the study has no plan.

        paths = bench.render_report("quick", "reports/quick")
        paths.html, paths.markdown
    """
    root, name = Path(runs), _name(study)
    if show_training_images:
        from bench.execution.photographs import draw_training_images  # imports torch

        draw_training_images(shown_folders(root, name), Path(data))
    write_backbones(root, name)
    place = Path("reports", name) if out is None else Path(out)
    options = ReportOptions(show_training_images=show_training_images, documents=documents_beside(place))
    return render(root, name, place, options)


def _name(study: str | Study) -> str:
    return study if isinstance(study, str) else study.name
