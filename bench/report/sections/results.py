"""Results for a reader with ten minutes: one short table a protocol, and in how large a family its verdicts stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.formatting import (
    NOTHING,
    PERCENT_95,
    decimals,
    format_interval,
    format_number,
    format_percents,
    joined,
    plural,
)
from bench.report.metric_text import describe_metric, format_mean, metric_heading, protocol_title
from bench.report.model import Block, Cell, Heading, Prose, Row, Table
from bench.report.sections import paired
from bench.report.sections.coded import USED, used_cell, used_metric, used_words
from bench.report.sections.labelled import accuracy_cell, accuracy_metric, accuracy_words
from bench.report.sections.tables import (
    Notes,
    floor_cell,
    floor_detail,
    of_training_images,
    ordered,
    ranked_by_words,
    row_kind,
    samples_text,
    states,
    value_cell,
    why_not_ranked,
)
from bench.report.sections.together import together
from bench.report.sections.verdicts import rank_cell
from bench.report.study import Entry, Study
from bench.report.subject import Subject
from bench.statistics import SEEDS_FOR_VERDICT, Mixture, Summary


def results(subject: Subject) -> tuple[Block, ...]:
    """Return the short tables of all protocols beside each other, and what their verdicts hold over."""
    study = subject.study
    told = accuracy_words(study), used_words(study), paired.beside_words(study)
    words = " ".join(part for part in (*told, family_words(study), two_kinds_words(study)) if part)
    return (*together(subject.each(results_table), beside=True), *((Prose(words, "small"),) if words else ()))


@dataclass(frozen=True)
class _Shown:
    """Which columns a table needs: those that cannot differ are left out."""

    beside: str  # what stands beside the score where it may ignore labels or codes: a metric
    rank: bool
    coverage: str
    failures: bool
    verdict: bool
    by_default: bool


def results_table(study: Study, protocol: str) -> Table:
    """Return the comparison under one protocol in its fewest columns: score, rank, coverage, failures, verdict.

    Of a study with labels also the label accuracy, with codes the share of them that is used, of pairs what is kept of
    the input, beside the score.
    """
    rows, notes = ordered(study, protocol), Notes()
    shown = _shown(study, rows)
    headings = [Heading("objective"), Heading(metric_heading(study.primary), study.primary, numeric=True)]
    headings += [Heading(metric_heading(shown.beside), shown.beside, numeric=True)] if shown.beside else []
    headings += [Heading("rank")] if shown.rank else []
    headings += [Heading(metric_heading(shown.coverage), shown.coverage, numeric=True)] if shown.coverage else []
    headings += [Heading("failures")] if shown.failures else []
    headings += [Heading("collapsed by the default rule", numeric=True)] if shown.by_default else []
    headings += [Heading(f"against {study.plan['baseline']}")] if shown.verdict else []
    body = [Row(tuple(_cells(study, entry, s, shown, notes)), row_kind(study, entry)) for entry, s in rows]
    floor = floor_cell(study, protocol, study.primary)
    if floor.text != NOTHING:
        cells = [Cell("real against real", floor_detail(study, study.primary)), floor]
        cells += [floor_cell(study, protocol, shown.beside)] if shown.beside else []
        cells += [Cell("")] if shown.rank else []
        cells += [floor_cell(study, protocol, shown.coverage)] if shown.coverage else []
        cells += [Cell("")] * (shown.failures + shown.by_default + shown.verdict)
        body.append(Row(tuple(cells), "floor"))
    caption = _caption(study, protocol, shown)
    return Table(f"short-{protocol}", caption, tuple(headings), tuple(body), tuple(notes.texts))


def _shown(study: Study, rows: list[tuple[Entry, Summary]]) -> _Shown:
    by_default = {study.collapse_counts.of(entry.protocol, entry.label).by_default for entry, _ in rows}
    return _Shown(
        beside=accuracy_metric(study) or used_metric(study) or paired.beside_metric(study),
        rank=any(summary.rank is not None for _, summary in rows),
        coverage=coverage_metric(study),
        failures=any(states(summary) for _, summary in rows),
        verdict=any((found := study.comparison(entry)) is not None and not found.unjudged for entry, _ in rows),
        by_default=study.collapse_counts.changed and len(by_default) > 1,
    )


def coverage_metric(study: Study) -> str:
    """Return the coverage among the headline metrics; "" where there is none, or where it is the primary metric."""
    return next((metric for metric in study.headline_metrics()[1:] if metric.startswith("coverage_")), "")


def _cells(study: Study, entry: Entry, summary: Summary, shown: _Shown, notes: Notes) -> Iterator[Cell]:
    yield Cell(entry.label, notes=notes.of(entry, deviations=False))
    yield score_cell(study, entry, summary)
    if shown.beside:
        others = {USED: used_cell, **dict.fromkeys((paired.KEPT, paired.NEAR), paired.beside_cell)}
        yield others.get(shown.beside, accuracy_cell)(study, entry)
    if shown.rank:
        yield rank_cell(study.standing(entry), summary.rank)
    if shown.coverage:
        yield value_cell(study.summary(entry, shown.coverage), middle=False)
    if shown.failures:
        yield Cell(", ".join(states(summary)) or NOTHING)
    if shown.by_default:
        runs = study.collapse_counts.of(entry.protocol, entry.label)
        yield Cell(f"{runs.by_default} of {runs.judged}", numeric=True, sort=float(runs.by_default))
    if shown.verdict:
        yield Cell(verdict_word(study, entry))


def verdict_word(study: Study, entry: Entry) -> str:
    """Return a row's verdict against the baseline in a word or two."""
    comparison = study.comparison(entry)
    if comparison is None:
        return "baseline" if entry.label == study.plan["baseline"] else NOTHING
    return comparison.verdict or "not judged"


def score_cell(study: Study, entry: Entry, summary: Summary) -> Cell:
    """Return the mean with its interval; of runs of two kinds, to which that does not apply, the share and the rest."""
    mixture = study.mixture(entry, study.primary)
    if mixture is None:
        return value_cell(summary, middle=False)
    lines = "\n".join(part for part in (two_kinds(mixture), summary.basis) if part)
    return Cell(format_mean(summary)[0], lines, numeric=True, sort=summary.mean)


def two_kinds(mixture: Mixture) -> str:
    """Return the share of collapsed runs with its interval, and the mean of the rest with its own."""
    share = format_percents(mixture.collapsed_share_low, mixture.collapsed_share_high)
    places = decimals(mixture.rest_mean)
    bounds = ""
    if mixture.rest_low is not None:
        bounds = f" {format_interval(mixture.rest_low, mixture.rest_high, places)}"
    return (
        f"two kinds of runs:\n{mixture.collapsed} of {mixture.judged} collapsed [{share}]\n"
        f"the other {mixture.rest}: {format_number(mixture.rest_mean, places)}{bounds}"
    )


def _caption(study: Study, protocol: str, shown: _Shown) -> str:
    info = describe_metric(study.primary)
    parts = [
        f"{protocol_title(protocol)}.",
        f"{info.title} at generator step {study.plan['final_step']:,}, {study.plan['generator']} generator"
        f"{samples_text(study)}; {PERCENT_95} intervals over seeds in brackets, each for one row at a time.",
    ]
    if shown.rank:
        parts.append(f"Ranked by {ranked_by_words(study, protocol)}; under a rank, those not excluded.")
    else:
        parts.append(f"Not ranked: {why_not_ranked(study)}.")
    if not shown.failures:
        judged = all(study.stability(e).judged == study.stability(e).planned for e in study.entries_of(protocol))
        ended = "diverged, failed or collapsed" if judged else "diverged or failed"
        parts.append(f"Every planned run is done and measured; none {ended}.")
    parts.append(collapse_words(study))
    parts.append(of_training_images(study).strip())
    return " ".join(part for part in parts if part)


def collapse_words(study: Study) -> str:
    """Return how many runs the default rule calls collapsed, where the study has changed it; else ""."""
    total = study.collapse_counts.total
    if not study.collapse_counts.changed or not total.judged:
        return ""
    return (
        f"This study changes the rule for collapse: of the {total.judged} runs of all rows {total.by_study} collapsed "
        f"by it, {total.by_default} by the default rule."
    )


def family_words(study: Study) -> str:
    """Return over which families verdicts are corrected, and how many would stand over the whole page."""
    families = {limit.protocol: limit.family for limit in study.statistics.limits if limit.kind == "baseline"}
    if not families or len(study.seeds) < SEEDS_FOR_VERDICT:
        return ""
    each = "the" if len(families) == 1 else "each protocol’s"
    sizes = joined([f"{size:,}" for size in sorted(set(families.values()))])
    return (
        f"Verdicts are corrected by Holm at 5\u00a0% over {each} {sizes} comparisons with {study.plan['baseline']}. "
        f"{page_words(study)} “Undecided” does not mean “equal”."
    ).replace("  ", " ")


def page_words(study: Study) -> str:
    """Return how many decisions would stand, were all protocols' comparisons of a kind one family; "" with one."""
    told = []
    for kind, words in (("baseline", "verdicts"), ("pair", "pairs told apart")):
        mine = [limit for limit in study.statistics.limits if limit.kind == kind]
        if mine and len({limit.protocol for limit in mine}) > 1:
            decided, stand = (sum(getattr(limit, name) for limit in mine) for name in ("decided", "decided_on_page"))
            told.append(f"{stand} of {decided} {words} ({plural(mine[0].page_family, 'comparison')})")
    return f"Corrected over all protocols of the page together, {joined(told)} would stand." if told else ""


def two_kinds_words(study: Study) -> str:
    """Return why rows of two kinds have no interval of the mean; "" where there is none."""
    if not any(mixture.metric == study.primary for mixture in study.statistics.mixtures):
        return ""
    return (
        "Two kinds: some runs of the row collapsed and some did not. An interval of their mean assumes one law and "
        "covers too seldom, so the share of collapsed runs and the mean of the others stand in its place "
        "(mixtures.csv)."
    )
