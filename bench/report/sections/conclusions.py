"""In short: what these seeds decide, what they leave open, and what is only described, for those who read no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from bench.formatting import PERCENT_95, format_number, joined, plural
from bench.report.figures.captioned import metric_curves
from bench.report.metric_text import describe_metric
from bench.report.model import Block, Points
from bench.report.sections.leaders import first_places
from bench.report.sections.seeds import separated
from bench.report.sections.tables import real_images
from bench.report.sections.verdicts import same_sentence
from bench.report.study import Entry, Study
from bench.report.subject import Subject
from bench.statistics import ALPHA, SEEDS_FOR_VERDICT, Comparison, Stability, Summary, difference_interval

STILL_IMPROVING = 0.1  # of a metric's value, over the last part of training
NEAR_THE_MIDDLE = (0.25, 0.75)  # of training: where the snapshot lies that the last part is counted from
HARDLY_COVERED = 0.1  # of what real images cover: below it a sample set holds almost nothing of the data


@dataclass(frozen=True)
class Conclusions:
    """A sentence each: what corrected tests tell apart, what they leave open, and what is described without a test."""

    decided: tuple[str, ...]
    open: tuple[str, ...]
    described: tuple[str, ...]

    @property
    def lists(self) -> tuple[Points, ...]:
        """Return each list under its words, in the order of the page; none that is empty."""
        named = (
            ("These seeds decide:", self.decided),
            ("They do not decide:" if self.decided else "These seeds do not decide:", self.open),
            ("Described, not tested:", self.described),
        )
        return tuple(Points(sentences, words) for words, sentences in named if sentences)


def decided_and_open(subject: Subject) -> tuple[Block, ...]:
    """Return the three lists as blocks."""
    return conclusions(subject.study).lists


def conclusions(study: Study) -> Conclusions:
    """Return what the corrected tests tell apart, what they do not, and what is only described, a sentence each."""
    return Conclusions(tuple(_decided(study)), tuple(_open(study)), tuple(_described(study)))


def _decided(study: Study) -> Iterator[str]:
    if len(study.seeds) < SEEDS_FOR_VERDICT:
        return
    for protocol in study.protocols:
        yield from _told_from_the_baseline(study, protocol)
        yield from first_places(study, protocol).decided


def _open(study: Study) -> Iterator[str]:
    seeds = len(study.seeds)
    if seeds < SEEDS_FOR_VERDICT:
        yield (
            f"Which row is better: {plural(seeds, 'seed')} {'decides' if seeds == 1 else 'decide'} nothing "
            f"({SEEDS_FOR_VERDICT} are the least for a verdict)."
        )
    else:
        for protocol in study.protocols:
            yield from first_places(study, protocol).open
            yield from _not_told_from_the_baseline(study, protocol)
        yield from _resolved_gaps(study)
        for protocol in study.protocols:
            yield from _separated(study, protocol)
    for protocol in study.protocols:
        yield from _order_of_failures(study, protocol)
    for protocol in study.protocols:
        yield from _unfinished(study, protocol)
    backbone, data = study.plan["backbone"], study.data_title
    yield (
        f"Anything about other images than {data}, other sizes than {backbone['resolution']}×{backbone['resolution']} "
        f"or other networks than this one of width {backbone['width']}."
    )
    if "controlled" in study.protocols and len(_rates(study)) == 1:
        yield "What the controlled rows would do at another learning rate: all of them share one."
    if "published" in study.protocols and _recipes_differ(study):
        yield "How much of a published row’s score is due to its loss: rows differ in their recipes as well."
    if study.primary != "fid":
        yield f"How a row compares with FIDs in papers: {describe_metric(study.primary).title} is not FID."


def _described(study: Study) -> Iterator[str]:
    yield from _recipes(study)
    yield from _lost(study)
    for protocol in study.protocols:
        if same := same_sentence(study, protocol).strip():
            yield f"{protocol.capitalize()}: {same}"


def _told_from_the_baseline(study: Study, protocol: str) -> Iterator[str]:
    comparisons = _comparisons(study, protocol)
    better, worse = ([c.label for c in comparisons if c.verdict == verdict] for verdict in ("better", "worse"))
    lost = [c.label for c in comparisons if c.verdict == "lost"]
    if not better and not worse and not lost:
        return
    baseline, family = comparisons[0].baseline, plural(comparisons[0].family, "comparison")
    clauses = [
        f"{joined(rows)} {_scores(rows)} {verdict}" for rows, verdict in ((better, "better"), (worse, "worse")) if rows
    ]
    if clauses:
        clauses[0] += f" than {baseline}"
    if lost:
        clauses.append(f"no run of {joined(lost)} finished, of {baseline} some did")
    yield (
        f"{protocol.capitalize()}, by {describe_metric(study.primary).title}: {'; '.join(clauses)} "
        f"(Holm at {100 * ALPHA:g}\u00a0% over {family})."
    )


def _not_told_from_the_baseline(study: Study, protocol: str) -> Iterator[str]:
    comparisons = _comparisons(study, protocol)
    undecided = [c.label for c in comparisons if c.verdict and c.verdict not in ("better", "worse", "lost")]
    unjudged = [c.label for c in comparisons if not c.verdict]
    if not undecided and not unjudged:
        return
    name, baseline = protocol.capitalize(), comparisons[0].baseline
    if len(unjudged) == len(comparisons):
        yield f"{name}: no row is judged against {baseline} yet."
        return
    clauses = []
    if undecided:
        clauses.append(f"whether {joined(undecided)} {'differs' if len(undecided) == 1 else 'differ'} from {baseline}")
    if unjudged:
        clauses.append(f"{joined(unjudged)} {'is' if len(unjudged) == 1 else 'are'} not judged")
    yield f"{name}: {'; '.join(clauses)}."


def _scores(rows: list[str]) -> str:
    return "scores" if len(rows) == 1 else "score"


def _comparisons(study: Study, protocol: str) -> list[Comparison]:
    comparisons = (study.comparison(entry) for entry in study.entries_of(protocol))
    return [comparison for comparison in comparisons if comparison is not None]


def _resolved_gaps(study: Study) -> Iterator[str]:
    """Tell which gap between two rows these seeds find, a number for each protocol, where some are not told apart."""
    if all(pair.winner for pair in study.statistics.pairs):
        return
    resolutions = (study.resolution(protocol, study.primary) for protocol in study.protocols)
    gaps = [f"{format_number(r.single_gap)} ({r.protocol})" for r in resolutions if r is not None and r.single_gap]
    if gaps:
        yield (
            f"Whether rows that are not told apart are equal: with {plural(len(study.seeds), 'seed')} a test of two "
            f"rows alone finds a gap of {' or '.join(gaps)} 80 times in 100. It misses smaller gaps more often, and so "
            "does a corrected test."
        )


def _separated(study: Study, protocol: str) -> Iterator[str]:
    """Tell which pairs stand as not told apart though all their runs are in order: what more seeds would be for."""
    pairs = [limit for limit in study.statistics.limits if (limit.protocol, limit.kind) == (protocol, "pair")]
    clear = [limit for limit in separated(pairs) if not limit.ranks_could_decide]
    if clear:
        pairs_are = f"{plural(len(clear), 'pair')} {'is' if len(clear) == 1 else 'are'}"
        yield (
            f"{protocol.capitalize()}: {pairs_are} not told apart though every run of one row is better than every run "
            "of the other. With "
            f"{plural(len(study.seeds), 'seed')} no ranks pass the correction over {plural(clear[0].family, 'pair')}; "
            f"from {clear[0].seeds_for_ranks} seeds they can."
        )


def _order_of_failures(study: Study, protocol: str) -> Iterator[str]:
    """Tell where every complete row, or the first by rank, covers almost nothing of what real images cover."""
    entries = study.entries_of(protocol)
    rows = [(entry, s) for entry in entries if (s := study.summary(entry, study.primary)).values and s.complete]
    for metric in (name for name in study.headline_metrics() if name.startswith("coverage_")):
        covered = [study.summary(entry, metric) for entry, _ in rows]
        floors = [s.floor for s in covered if s.floor is not None and s.values]
        shares = [fmean(s.scores) for s in covered if s.values]
        if not rows or len(floors) < len(rows):
            continue
        if all(share < HARDLY_COVERED * floor for share, floor in zip(shares, floors, strict=True)):
            of = "" if len(rows) == len(entries) else f" ({len(rows)} of {len(entries)})"
            ranked = any(s.rank is not None for _, s in rows)
            yield (
                f"{protocol.capitalize()}, whether any row is good: none of the complete rows{of} covers a tenth of "
                f"what real images cover ({describe_metric(metric).title} {_range(shares)}, "
                f"{real_images(study, metric)} {format_number(fmean(floors))}; "
                f"{_beside_real(study, [s for _, s in rows])})" + (": its ranks order failures." if ranked else ".")
            )
            return
        yield from _hollow_first(study, protocol, metric, rows)


def _hollow_first(study: Study, protocol: str, metric: str, rows: list[tuple[Entry, Summary]]) -> Iterator[str]:
    """Tell where the first by rank covers almost nothing, as a blur near the mean or one repeated image may."""
    for entry, row in rows:
        covered = study.summary(entry, metric)
        if row.rank != 1 or covered.floor is None or not covered.values:
            continue
        if fmean(covered.scores) < HARDLY_COVERED * covered.floor:
            yield (
                f"{protocol.capitalize()}, whether the first rank is a good row: {entry.label} covers less than a "
                f"tenth of what real images cover ({describe_metric(metric).title} "
                f"{format_number(fmean(covered.scores))}, {real_images(study, metric)} "
                f"{format_number(covered.floor)}), "
                "and other rows cover more."
            )


def _beside_real(study: Study, rows: list[Summary]) -> str:
    floors = [row.floor for row in rows if row.floor is not None]
    real = f", {real_images(study, study.primary)} {format_number(fmean(floors))}" if floors else ""
    return f"{describe_metric(study.primary).title} {_range([fmean(row.scores) for row in rows])}{real}"


def _range(values: list[float]) -> str:
    low, high = format_number(min(values)), format_number(max(values))
    return low if low == high else f"{low} to {high}"


def _unfinished(study: Study, protocol: str) -> Iterator[str]:
    """Tell which rows were still getting better when training ended, by the runs that were measured there and before.

    Only seeds that have both values count: the others would compare different runs.
    """
    metric = study.settings.snapshot_metric(study.primary)
    curves, better = metric_curves(study, protocol, metric), describe_metric(study.primary).better
    last = float(study.plan["final_step"])
    near = [s for s in curves["generator_steps"].unique() if NEAR_THE_MIDDLE[0] <= s / last <= NEAR_THE_MIDDLE[1]]
    if not near or better is None:
        return
    middle = min(near, key=lambda step: (abs(step - last / 2), step))
    by_step = curves.set_index(["label", "seed", "generator_steps"])["value"].unstack().reindex(columns=[middle, last])
    gains = _gains(by_step.dropna(), lower_is_better=better == "lower")
    moving = [label for label in study.labels if gains.get(label, 0.0) > STILL_IMPROVING]
    if moving:
        yield (
            f"How longer training would end ({protocol}): after generator step {middle:,.0f} of {last:,.0f}, "
            f"{joined(moving)} improved by more than {100 * STILL_IMPROVING:g}\u00a0%."
        )


def _gains(by_step: pd.DataFrame, lower_is_better: bool) -> dict[str, float]:
    """Return by how much of its mean each label got better from the first column to the second."""
    means = by_step.groupby(level="label").mean()
    first, second = means.iloc[:, 0], means.iloc[:, 1]
    gains = (first - second if lower_is_better else second - first) / first.abs()
    return {str(label): float(gain) for label, gain in gains[first != 0].items()}


def _rates(study: Study) -> set[object]:
    names = ("learning_rate_discriminator", "learning_rate_generator")
    return {tuple(entry.recipe.get(name) for name in names) for entry in study.entries_of("controlled")}


def _recipes_differ(study: Study) -> bool:
    recipes = [entry.recipe for entry in study.entries_of("published")]
    return any(recipe != recipes[0] for recipe in recipes)


def _recipes(study: Study) -> Iterator[str]:
    """Tell for which rows the authors' recipe does better or worse than the shared one."""
    info = describe_metric(study.primary)
    better: list[str] = []
    worse: list[str] = []
    compared = 0
    for label in study.labels:
        shared, own = (study.find_summary(protocol, label) for protocol in ("controlled", "published"))
        bounds = _difference_bounds(own, shared)
        compared += bounds is not None
        if bounds is not None and info.better and (bounds[0] > 0 or bounds[1] < 0):
            (better if (bounds[1] < 0) == (info.better == "lower") else worse).append(label)
    if compared:
        clauses = [
            f"{joined(rows)} {_scores(rows)} {how}" for how, rows in (("better", better), ("worse", worse)) if rows
        ]
        yield (
            f"With the authors’ recipe in place of the shared one, {' and '.join(clauses) or 'no row moves clearly'}, "
            f"of {plural(compared, 'row')} compared (Welch’s {PERCENT_95} intervals, uncorrected)."
        )


def _difference_bounds(own: Summary | None, shared: Summary | None) -> tuple[float, float] | None:
    if own is None or shared is None or own.arm.lost or shared.arm.lost:
        return None
    return difference_interval(own.scores, shared.scores)


def _lost(study: Study) -> Iterator[str]:
    stabilities = [study.stability(entry) for entry in study.entries]
    told = [words for one in stabilities if (words := _lost_words(one))]
    if told:
        yield f"Lost or collapsed runs: {'; '.join(told)}."
        return
    planned, done, judged = (sum(getattr(one, name) for one in stabilities) for name in ("planned", "done", "judged"))
    if judged == planned:
        yield "No planned run diverged, failed or collapsed."
    elif done:
        judged_words = f"none of {judged:,} judged collapsed" if judged else "none judged for collapse yet"
        yield f"No run diverged or failed so far: {done:,} of {plural(planned, 'planned run')} done, {judged_words}."


def _lost_words(stability: Stability) -> str:
    """Return what became of an entry's runs, of how many that ended; "" where nothing did."""
    counts = ((stability.diverged, "diverged"), (stability.failed, "failed"), (stability.collapsed, "collapsed"))
    words = [f"{many} {state}" for many, state in counts if many]
    if not words:
        return ""
    ended = stability.done + stability.diverged + stability.failed
    of = f"{ended} {'done' if ended == stability.done else 'ended'} ({stability.planned} planned)"
    if ended == stability.planned:
        of = str(ended)
    return f"{stability.label} ({stability.protocol}): {joined(words)} of {of}"
