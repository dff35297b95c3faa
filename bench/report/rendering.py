"""Writes a report: HTML, Markdown, figures, and the tables behind them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.files import read_json, write_atomic, write_json
from bench.report.html import render_html
from bench.report.markdown import render_markdown
from bench.report.model import Page, Picture, ReportOptions, ReportPaths
from bench.report.naming import file_stem
from bench.report.page import compose
from bench.report.study import load_study
from bench.report.svg import on_white
from bench.statistics import write_summary

_INDEX = "index.json"


def render(runs_root: Path, study: str, out_dir: Path, options: ReportOptions | None = None) -> ReportPaths:
    """Write the report of runs_root/<study> into `out_dir`, finished or not; the same runs give the same bytes.

    Raises BenchError when the study was never planned, or when its runs saw different images.
    """
    chosen = options or ReportOptions()
    loaded = load_study(runs_root, study)
    page = compose(loaded, chosen)
    paths = ReportPaths(
        html=out_dir / "report.html",
        markdown=out_dir / "report.md",
        results=out_dir / "results.csv",
        summary=out_dir / "summary.csv",
        figures=_write_figures(page, out_dir / "figures"),
    )
    write_atomic(paths.results, loaded.results.to_csv(index=False, lineterminator="\n"))
    write_summary(loaded.summaries, paths.summary)
    write_atomic(paths.markdown, render_markdown(page))
    write_atomic(paths.html, render_html(page, chosen))
    return paths


def _write_figures(page: Page, folder: Path) -> tuple[Path, ...]:
    """Write every figure, and remove those of an earlier report that this one no longer has."""
    index = folder / _INDEX
    earlier = set(read_json(index)) if index.exists() else set()
    written = dict(_figure_files(page))
    for name, content in written.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content)
    for name in earlier - set(written):
        if Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
    write_json(index, sorted(written))
    return tuple(folder / name for name in sorted(written))


def _figure_files(page: Page) -> Iterator[tuple[str, bytes]]:
    drawn = [section.figure for section in page.protocols if section.figure]
    drawn += [*page.curves, *(figure for section in page.losses for figure in section.figures)]
    for figure in drawn:
        stem = file_stem(figure.name)
        yield f"{stem}.svg", on_white(figure.wide).encode()
        yield f"{stem}.png", figure.png
        yield f"{stem}.csv", figure.data.to_csv(index=False, lineterminator="\n").encode()
    sets = [found for section in page.samples for found in section.sets]
    for picture in (picture for found in sets for picture in (found.wall, found.progress)):
        if isinstance(picture, Picture):
            yield f"{file_stem(picture.name)}.png", picture.evidence
