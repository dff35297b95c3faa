"""The page of claims: verdicts first, then each claim with its numbers, as HTML, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.config.arms import ArmName, arms_by_study
from bench.config.models import Config
from bench.errors import BenchError
from bench.files import write_atomic
from bench.formatting import format_interval, format_number, joined, plural
from bench.networks.switches import network_title
from bench.report.claimed.figure import claims_figure
from bench.report.claimed.words import METHOD, arm_mean, outcome, question, refutation, runs_of, tally
from bench.report.figures.svg import on_white
from bench.report.metric_text import describe_metric
from bench.report.model import (
    FIGURES,
    Cell,
    Commands,
    Group,
    Heading,
    Page,
    Prose,
    ReportOptions,
    Row,
    Section,
    Table,
)
from bench.report.render.html import render_html
from bench.report.render.markdown import render_markdown
from bench.runs.differences import study_changes
from bench.runs.folder import PLAN_FILE, read_plan
from bench.statistics.arms import Arm
from bench.statistics.claims import ClaimResult, Compared
from bench.statistics.results import collect, matching
from bench.statistics.summary import run_scores
from bench.version import __version__


@dataclass(frozen=True)
class ClaimsPaths:
    """Where the page of claims lies."""

    html: Path
    markdown: Path
    table: Path


def write_claims(results: Sequence[ClaimResult], config: Config, runs_root: Path, folder: Path) -> ClaimsPaths:
    """Write claims.html, claims.md, claims.csv and the figure into `folder`; the same runs give the same bytes."""
    page = compose_claims(results, config, runs_root)
    paths = ClaimsPaths(folder / "claims.html", folder / "claims.md", folder / "claims.csv")
    for figure in page.drawn:
        write_atomic(folder / FIGURES / f"{figure.name}.svg", on_white(figure.wide))
        write_atomic(folder / FIGURES / f"{figure.name}.png", figure.png)
        write_atomic(folder / FIGURES / f"{figure.name}.csv", figure.data.to_csv(index=False, lineterminator="\n"))
    write_atomic(paths.table, claims_frame(results).to_csv(index=False, lineterminator="\n"))
    write_atomic(paths.markdown, render_markdown(page))
    write_atomic(paths.html, render_html(page, ReportOptions()))
    return paths


def compose_claims(results: Sequence[ClaimResult], config: Config, runs_root: Path) -> Page:
    """Return the page of all claims of a file."""
    drawn = claims_figure(results)
    sections = (
        Section(
            "minute",
            "In one minute",
            "minute",
            (
                Prose(tally([*results]), "lead"),
                *(Prose(text, "alert") for text in asked_otherwise(config, runs_root)),
                *map(Prose, _caveat(results, config, runs_root)),
                _verdicts(results),
            ),
            "Verdicts",
        ),
        Section("results", "Each claim", "ten", (*((drawn,) if drawn else ()), *map(_claim, results))),
        Section("method", "How verdicts are reached", "hour", tuple(map(Prose, (*METHOD, *_correlations(results))))),
        Section("arms", "The arms", "hour", (_studies(config),)),
        Section("repeat", "To repeat it", "hour", (Commands(("bench claims run", "bench claims report")),)),
    )
    return Page(config.default_study, "What is said of GANs, put to the test", None, sections, __version__)


def asked_otherwise(config: Config, runs_root: Path) -> list[str]:
    """Say where the file now asks for other runs than those that were trained."""
    told = []
    for name in arms_by_study(config, config.claims):
        if not (runs_root / name / PLAN_FILE).is_file():
            continue
        if changed := study_changes(read_plan(runs_root, name), config.study(name)):
            told.append(f"The file asks otherwise than the runs of {name} did: {', '.join(changed)}.")
    return told


def claims_frame(results: Sequence[ClaimResult]) -> pd.DataFrame:
    """Return a line for each comparison of each claim."""
    rows = [
        {
            "claim": result.claim.id,
            "verdict": result.verdict,
            "measure": result.measure.name,
            "direction": result.claim.direction,
            "of": one.first.label,
            "than": result.claim.than,
            "level": result.claim.level,
            "step": result.claim.step,
            "difference": one.difference,
            "low": one.low,
            "high": one.high,
            "tolerance": one.tolerance,
            "spread": one.spread,
            "correlation": one.correlation,
            "test": one.test,
            "p_support": one.p_support,
            "p_refute": one.p_refute,
            "p_holm": result.p_holm,
            "seeds": result.seeds,
            "lost": result.lost,
            "open_because": one.open_because,
        }
        for result in results
        for one in result.compared
    ]
    return pd.DataFrame(rows)


def _verdicts(results: Sequence[ClaimResult]) -> Table:
    heads = ("claim", "verdict", "what is said", "difference", "p", "seeds", "runs lost")
    rows = []
    for result in results:
        one = result.deciding
        rows.append(
            Row(
                (
                    Cell(result.claim.id),
                    Cell(result.verdict, result.open_because),
                    Cell(result.claim.text),
                    Cell(
                        format_number(one.difference, sign=True),
                        format_interval(one.low, one.high, sign=True),
                        numeric=True,
                    ),
                    Cell(format_number(result.p_holm), numeric=True),
                    Cell(str(result.seeds), numeric=True),
                    Cell(str(result.lost), numeric=True),
                )
            )
        )
    return Table(
        "verdicts",
        "The verdicts. The difference is of the measure that the claim is tested by, with its 95 % interval; of "
        "several arms the one on which the verdict hangs. p is corrected over all claims.",
        tuple(Heading(head, numeric=place > 2) for place, head in enumerate(heads)),
        tuple(rows),
    )


def _claim(result: ClaimResult) -> Group:
    claim = result.claim
    return Group(
        claim.text,
        (
            Prose(outcome(result)),
            Prose(f"Said by: {claim.source}. Tested: {question(result)}. {refutation(result)}"),
            _arms(result),
        ),
    )


def _arms(result: ClaimResult) -> Table:
    rows: dict[ArmName, Row] = {}
    for one in result.compared:
        rows[one.of] = _arm_row(result, one.first.label, one.first, one)
    last = result.compared[-1]
    if last.than is not None and last.second is not None:
        rows[last.than] = _arm_row(result, str(result.claim.than), last.second, None)
    heads = ("arm", "mean", "difference", "runs")
    return Table(
        f"claim-{result.claim.id}",
        f"{result.measure.title[:1].upper()}{result.measure.title[1:]}, with 95 % intervals.",
        tuple(Heading(head, numeric=place > 0) for place, head in enumerate(heads)),
        tuple(rows.values()),
    )


def _arm_row(result: ClaimResult, name: str, arm: Arm, one: Compared | None) -> Row:
    mean, bounds = arm_mean(result, arm)
    gap = Cell("", numeric=True)
    if one is not None:
        gap = Cell(
            format_number(one.difference, sign=True), format_interval(one.low, one.high, sign=True), numeric=True
        )
    return Row((Cell(name), Cell(mean, bounds, numeric=True), gap, Cell(runs_of(arm), numeric=True)))


def _caveat(results: Sequence[ClaimResult], config: Config, runs_root: Path) -> Iterator[str]:
    """Say on what all this was measured, in words of the studies."""
    studies = [config.study(name) for name in arms_by_study(config, config.claims)]
    data = {f"{study.data.title} at {study.data.resolution}×{study.data.resolution}" for study in studies}
    networks = {network_title(study.backbone.model_dump()) for study in studies[:1]}
    budgets = {
        f"{plural(study.budget.generator_steps, 'generator step')} of {study.budget.batch} images" for study in studies
    }
    arms = sum(map(len, arms_by_study(config, config.claims).values()))
    seeds = sorted({result.seeds for result in results})
    others = f" (and {len(studies) - 1} further studies with other images or networks)" if len(studies) > 1 else ""
    yield (
        f"Measured on {joined(sorted(data))}, {joined(sorted(networks))}{others}, "
        f"{joined(sorted(budgets))}; {plural(arms, 'arm')}, {joined([str(count) for count in seeds])} seeds each. "
        f"{_so_far(config, runs_root)}A verdict is about these images, networks and budgets; it says nothing of others."
    )


def _so_far(config: Config, runs_root: Path) -> str:
    """Say how far the arm that most others are held against gets; "" before it was measured."""
    study = config.study(None)
    try:
        results = collect(runs_root, study.name)
    except BenchError:  # never planned
        return ""
    final = run_scores(results, study.generator)
    mine = matching(final, label=study.baseline, metric=study.primary_metric)
    if mine.empty:
        return ""
    title, score = describe_metric(study.primary_metric).title, format_number(float(mine["score"].mean()))
    return f"{title} of {study.baseline} is {score} at the end, of real images {format_number(mine['floor'].mean())}. "


def _correlations(results: Sequence[ClaimResult]) -> Iterator[str]:
    found = [one.correlation for result in results for one in result.compared if one.correlation is not None]
    if found:
        yield (
            f"Over {plural(len(found), 'pair')} of arms, the values of one seed correlate by "
            f"{format_number(float(np.mean(found)), 2)} on average: what comparing within seeds gains."
        )


def _studies(config: Config) -> Table:
    rows: list[Row] = []
    for name, labels in arms_by_study(config, config.claims).items():
        study = config.study(name)
        own = {entry.label: entry for entry in study.objectives}
        for label in labels:
            recipe = own[label].recipe if label in own else None
            said = recipe.model_dump(exclude_none=True, exclude_unset=True) if recipe is not None else {}
            said |= own[label].settings if label in own else {}
            changes = ", ".join(f"{key} {value}" for key, value in said.items())
            rows.append(
                Row(
                    (
                        Cell(label),
                        Cell(name, code=True),
                        Cell(Path(own[label].objective).stem if label in own else label),  # maybe a file of one's own
                        Cell(changes),
                        Cell(network_title(study.backbone.model_dump())),
                        Cell(f"{study.data.title}, {study.data.train_count or 0:,}"),
                    )
                )
            )
    heads = ("arm", "study", "objective", "set for it", "networks", "training images")
    return Table(
        "arms", "Each arm is a row of a study, with a report of its own.", tuple(map(Heading, heads)), tuple(rows)
    )
