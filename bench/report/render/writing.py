"""Writes a report: HTML, Markdown, LaTeX, figures, and the tables behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.errors import BenchError
from bench.files import read_json, sha256_file, write_atomic, write_record
from bench.report.figures.svg import on_white
from bench.report.model import FIGURES, Page, ReportOptions, ReportPaths
from bench.report.page import compose
from bench.report.render.html import render_html
from bench.report.render.latex import latex_tables
from bench.report.render.manifest import MANIFEST, manifest
from bench.report.render.markdown import render_markdown, variant_stem
from bench.report.render.naming import file_stem
from bench.report.sections.external import external_frame
from bench.report.sections.forgives import forgives_frame
from bench.report.sections.published import published_frames
from bench.report.study import Study, load_study
from bench.runs.folder import PLAN_FILE
from bench.statistics.backbones import backbone_frames


def render(runs_root: Path, study: str, out_dir: Path, options: ReportOptions | None = None) -> ReportPaths:
    """Write the report of runs_root/<study> into `out_dir`, finished or not; the same runs give the same bytes.

    Raises BenchError when the study was never planned, or when its runs saw different images.
    """
    chosen = options or ReportOptions()
    loaded = load_study(runs_root, study)
    plan_file = (runs_root / study / PLAN_FILE).read_bytes()
    page = compose(loaded, chosen)
    digests: dict[str, str] = {}
    earlier = _earlier(out_dir)
    for name, content in _files(loaded, page, chosen, plan_file):
        digests[name] = hashlib.sha256(content).hexdigest()
        path = out_dir / name
        if not path.exists() or path.read_bytes() != content:
            write_atomic(path, content)
    for name in earlier.keys() - digests.keys():
        if (out_dir / name).is_file() and sha256_file(out_dir / name) == earlier[name]:
            (out_dir / name).unlink()
    write_record(out_dir / MANIFEST, manifest(loaded, plan_file, digests, chosen))
    figures = [name for name in digests if name.startswith(f"{FIGURES}/")]
    return ReportPaths(
        html=out_dir / "report.html",
        markdown=out_dir / "report.md",
        results=out_dir / "results.csv",
        summary=out_dir / "summary.csv",
        manifest=out_dir / MANIFEST,
        figures=tuple(out_dir / name for name in sorted(figures)),
    )


def _files(study: Study, page: Page, options: ReportOptions, plan_file: bytes) -> Iterator[tuple[str, bytes]]:
    """Return every file of the report by its name in the folder."""
    yield PLAN_FILE, plan_file
    yield "results.csv", study.results.to_csv(index=False, lineterminator="\n").encode()
    for name, frame in (study.statistics.frames() | published_frames(study)).items():
        yield f"{name}.csv", frame.to_csv(index=False, lineterminator="\n").encode()
    for name, beside in (("forgives", forgives_frame(study)), ("external", external_frame(study))):
        if beside is not None:
            yield f"{name}.csv", beside.to_csv(index=False, lineterminator="\n").encode()
    for name, frame in backbone_frames(study.backbones).items() if study.backbones else ():
        yield f"{name}.csv", frame.to_csv(index=False, lineterminator="\n").encode()
    for name, table in latex_tables(study).items():
        yield f"latex/{name}", table.encode()
    for name, content in _figure_files(page):
        yield f"{FIGURES}/{name}", content
    yield "report.md", render_markdown(page).encode()
    yield "report.html", render_html(page, options).encode()


def _earlier(out_dir: Path) -> Mapping[str, str]:
    """Return what an earlier report there consists of, by the SHA-256 of each file, as its manifest says.

    Names that lead out of the folder are left out: anybody may have written them.
    """
    try:
        files = read_json(out_dir / MANIFEST)["files"]
        return {name: digest for name, digest in files.items() if _is_inside(Path(name))}
    except (BenchError, LookupError, TypeError, AttributeError):
        return {}


def _is_inside(name: Path) -> bool:
    return not name.is_absolute() and ".." not in name.parts


def _figure_files(page: Page) -> Iterator[tuple[str, bytes]]:
    for figure in page.drawn:
        stem = file_stem(figure.name)
        yield f"{stem}.svg", on_white(figure.wide).encode()
        yield f"{stem}.png", figure.png
        for axis, wide, _ in figure.variants:
            yield f"{variant_stem(figure, axis)}.svg", on_white(wide).encode()
        yield f"{stem}.csv", figure.data.to_csv(index=False, lineterminator="\n").encode()
    for picture in page.pictures:
        yield Path(picture.file).name, picture.evidence
