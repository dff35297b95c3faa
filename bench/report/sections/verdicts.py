"""What the seeds decide, in words and tables: verdicts, tie groups, pairs, A/A, and what they could resolve at all."""

from __future__ import annotations

from bench.formatting import NOTHING, PERCENT_95, decimals, format_interval, format_number, plural
from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Entry, Study
from bench.statistics import (
    ALPHA,
    SEEDS_FOR_INTERVAL,
    SEEDS_FOR_VERDICT,
    Comparison,
    Limit,
    Standing,
    interquartile_note,
)


def rank_cell(standing: Standing | None, rank: int | None) -> Cell:
    """Return a rank with the ranks that these seeds do not exclude under it."""
    bounds = ""
    if standing is not None and standing.best_rank is not None:
        best, worst = standing.best_rank, standing.worst_rank
        bounds = str(best) if best == worst else f"{best}–{worst}"
    return Cell(NOTHING if rank is None else str(rank), detail=bounds, sort=None if rank is None else float(rank))


def verdict_cell(comparison: Comparison | None, is_baseline: bool, limit: Limit | None = None) -> Cell:
    """Return a verdict and the p values behind it, or why there is none; `limit` has p over the page's family."""
    if is_baseline or comparison is None:
        return Cell("baseline" if is_baseline else NOTHING)
    if comparison.unjudged:
        return Cell("not judged", detail=comparison.unjudged)
    by = "" if comparison.test == "Welch" else ", ranks"
    lines = [f"p {format_number(comparison.p_holm)} (Holm{by})"]
    if limit is not None and limit.page_family > limit.family:
        lines.append(f"over the page {format_number(limit.p_page)}")
    if comparison.permutation_p is not None:
        drawn = "" if comparison.permutation_exact else ", sampled"
        least = format_number(comparison.permutation_smallest_p)
        lines += [f"permutation {format_number(comparison.permutation_p)}{drawn}", f"least possible {least}"]
    return Cell(comparison.verdict or "undecided", detail="\n".join(lines), sort=comparison.p_holm)


def same_table(study: Study, protocol: str) -> Table | None:
    """Return the A/A comparison: the baseline on other seeds against itself; None where the plan has none."""
    rows = tuple(
        _same_row(comparison, study.seeds_of(comparison.label, protocol), study.seeds_of(comparison.baseline, protocol))
        for comparison in study.statistics.same
        if comparison.protocol == protocol
    )
    if not rows:
        return None
    return Table(
        f"same-{protocol}",
        f"A/A, one comparison, {protocol} protocol: the baseline against itself, trained once more on other seeds, so "
        f"that nothing but chance can differ; the difference of means with Welch’s {PERCENT_95} interval, uncorrected. "
        "It takes no part in ranks, tie groups and families. One such comparison is one draw: how often these verdicts "
        "are wrong comes from simulation (docs/statistics.md).",
        (Heading("A/A"), Heading("difference", study.primary, numeric=True), Heading("told apart at 5\u00a0%")),
        rows,
    )


def same_sentence(study: Study, protocol: str) -> str:
    """Return the A/A comparison in a sentence; "" where there is none."""
    comparison = next((c for c in study.statistics.same if c.protocol == protocol), None)
    if comparison is None or comparison.difference is None:
        return ""
    told = " ".join(_difference(comparison)).strip() + (
        f", p {format_number(comparison.p)}" if comparison.p is not None else ""
    )
    return f"A/A ({comparison.baseline} on {plural(comparison.planned, 'other seed')}, one draw): {told}. "


def _same_row(comparison: Comparison, seeds: list[int], baseline_seeds: list[int]) -> Row:
    text, bounds = _difference(comparison)
    mine, theirs = (", ".join(map(str, some)) for some in (seeds, baseline_seeds))
    name = Cell(f"{comparison.label} against {comparison.baseline}", f"seeds {mine} against {theirs}")
    apart = Cell("not judged", detail=comparison.unjudged)
    if not comparison.unjudged:
        told = "no" if comparison.verdict == "undecided" else "yes: a false alarm"
        apart = Cell(told, detail=f"p {format_number(comparison.p)} ({comparison.test})", sort=comparison.p)
    return Row((name, Cell(text, bounds, numeric=True), apart))


def _difference(comparison: Comparison) -> tuple[str, str]:
    places = None if comparison.difference is None else decimals(comparison.difference)
    bounds = format_interval(comparison.difference_low, comparison.difference_high, places, sign=True)
    return format_number(comparison.difference, places, sign=True), bounds


def what_seeds_say(study: Study, protocol: str) -> tuple[str, ...]:
    """Return what these seeds can decide and what they cannot, in a paragraph."""
    seeds = len(study.seeds)
    rows = [summary for _, summary in study.summaries_of(protocol, study.primary)]
    if seeds < SEEDS_FOR_INTERVAL:
        return (
            f"With {plural(seeds, 'seed')} nothing is ranked: no interval can be given, each value stands for itself, "
            "and any difference between two rows may be a difference between two seeds.",
        )
    sentences = [
        "Intervals hold for one row at a time; verdicts are corrected by Holm over the protocol’s planned comparisons "
        "with the baseline. “Undecided” does not mean “equal”.",
    ]
    if seeds < SEEDS_FOR_VERDICT:
        sentences.append(f"{seeds} seeds describe; five are the least for a verdict, a tie group or a rank interval.")
    else:
        scored = (len(row.values) for row in rows if row.interquartile_low is not None)
        sentences.append(interquartile_note(min(scored, default=seeds)))
        sentences.append(permutation_line(study, protocol))
    sentences.append(correlation_line(study, protocol))
    if any(summary.diverged or summary.failed for summary in rows):
        sentences.append(
            "Where a run diverged or failed, the mean is over the survivors and flatters: ranks are then by the mean "
            "rank of all planned runs, lost ones last, and verdicts by ranks."
        )
    if study.plan["baseline"] not in {summary.label for summary in rows}:
        sentences.append(
            f"The baseline {study.plan['baseline']} is no row of this protocol: no row carries a verdict."
            + (
                " Differences to its controlled row are descriptive: recipe and loss differ."
                if beside(study, protocol)
                else ""
            )
        )
    return tuple(_sentence(text) for text in sentences if text)


def resolution_note(study: Study, protocol: str) -> str:
    """Return the same in the few words that a caption has room for."""
    resolution = study.resolution(protocol, study.primary)
    if resolution is None:
        return ""
    gaps: tuple[float | None, ...] = (resolution.single_gap, resolution.baseline_gap, resolution.pairs_gap)
    unit = ""
    if not resolution.deviation:
        gaps = (
            resolution.single_gap_in_deviations,
            resolution.baseline_gap_in_deviations,
            resolution.pairs_gap_in_deviations,
        )
        unit = " standard deviations of a run"
    single, baseline, pairs = map(format_number, gaps)
    return (
        f"Gaps that {plural(resolution.seeds, 'seed')} find 80 times in 100: {single}{unit} between two rows alone, "
        f"{baseline} as the first of {plural(resolution.comparisons, 'comparison')} with a baseline, {pairs} as the "
        f"first of all {plural(resolution.pairs, 'pair')}. "
    )


def correlation_line(study: Study, protocol: str) -> str:
    """Return how alike runs of one seed are, in a sentence; "" where no row shares seeds enough with the baseline."""
    compared = [c for c in study.statistics.comparisons if c.protocol == protocol and c.correlation is not None]
    if not compared:
        return ""
    least, greatest = (format_number(pick(c.correlation or 0.0 for c in compared), 2) for pick in (min, max))
    correlations = least if least == greatest else f"{least} to {greatest}"
    return (
        f"Scores of one seed correlate with the baseline’s by {correlations} "
        f"({plural(len(compared), 'row')}, each over {_range([c.shared_seeds for c in compared])} seeds); the tests "
        "are unpaired regardless"
    )


def _range(counts: list[int]) -> str:
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def permutation_line(study: Study, protocol: str) -> str:
    """Return a sentence about what the exact permutation test could have reached; "" where nothing was judged."""
    judged = [
        c for c in study.statistics.comparisons if c.protocol == protocol and c.permutation_smallest_p is not None
    ]
    if not judged:
        return ""
    hopeless = [c for c in judged if not c.permutation_could_pass]
    least = min(c.permutation_smallest_p or 0.0 for c in judged)
    family = judged[0].family
    told = (
        f"The permutation p stands unadjusted beside Welch’s; it cannot fall below {format_number(least)}, and Holm’s "
        f"first step over {plural(family, 'comparison')} asks for {format_number(ALPHA / family)}"
    )
    if len(hopeless) == len(judged):
        return told + ": with this many seeds no scores could pass it"
    return told + (f"; {plural(len(hopeless), 'row')} could not pass it whatever the scores" if hopeless else "")


def beside(study: Study, protocol: str) -> Entry | None:
    """Return the controlled baseline that custom rows are shown beside, where they have no baseline of their own."""
    baseline = study.plan["baseline"]
    if protocol != "custom" or study.find_summary(protocol, baseline) is not None:
        return None
    return next((entry for entry in study.entries_of("controlled") if entry.label == baseline), None)


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", ":")) else f"{text}."
