"""What the seeds could decide: the gaps that they find, and comparisons in which no scores could have told more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.formatting import NOTHING, format_number, plural
from bench.report.model import Block, Cell, Heading, Points, Prose, Row, Table
from bench.report.sections.together import own_and_shared, together
from bench.report.sections.verdicts import same_table, what_seeds_say
from bench.report.study import Study
from bench.report.subject import Subject
from bench.statistics import Limit, Resolution


def seeds(subject: Subject) -> tuple[Block, ...]:
    """Return what the study's seeds resolve, what they could not decide whatever the scores, and the A/A comparison."""
    study = subject.study
    own, shared = own_and_shared([what_seeds_say(study, protocol) for protocol in study.protocols])
    named = [
        f"{protocol.capitalize()}: {' '.join(sentences)}"
        for protocol, sentences in zip(study.protocols, own, strict=True)
        if sentences
    ]
    tables = (resolution_table(study), limits_table(study))
    return (
        *((Prose(" ".join(shared)),) if shared else ()),
        *((Points(tuple(named)),) if named else ()),
        *(table for table in tables if table is not None),
        *together(subject.each(same_table), beside=True),
    )


def resolution_table(study: Study) -> Table | None:
    """Return the gaps that a test finds 80 times in 100, a row for each protocol; None where nothing tells them."""
    found = [(protocol, study.resolution(protocol, study.primary)) for protocol in study.protocols]
    rows = [_resolution_row(protocol, resolution) for protocol, resolution in found if resolution is not None]
    if not rows:
        return None
    noisy = any(resolution and resolution.within_run_deviation is not None for _, resolution in found)
    headings = (
        Heading("protocol"),
        Heading("seeds", numeric=True),
        Heading("runs spread by", study.primary, numeric=True),
        Heading("gap between two rows alone", study.primary, numeric=True),
        Heading("as the first comparison with a baseline", study.primary, numeric=True),
        Heading("as the first of all pairs", study.primary, numeric=True),
        Heading("spread by measuring alone", study.primary, numeric=True),
    )
    kept = len(headings) - (not noisy)
    return Table(
        "resolution",
        "Resolution: which gap between two rows a test at 5\u00a0% finds 80 times in 100, where runs spread as these "
        "do. In brackets the least and the greatest spread of a row; under a gap the same in standard deviations. "
        f"`bench plan --study {study.plan['study']} --resolve A,B` says how many more seeds would decide a pair.",
        headings[:kept],
        tuple(Row(row.cells[:kept]) for row in rows),
    )


def _resolution_row(protocol: str, resolution: Resolution) -> Row:
    spread = Cell(NOTHING, numeric=True)
    if resolution.deviation:
        bounds = f"[{format_number(resolution.least_deviation)}, {format_number(resolution.greatest_deviation)}]"
        spread = Cell(format_number(resolution.deviation), bounds, numeric=True, sort=resolution.deviation)
    measured = Cell(NOTHING, numeric=True)
    if resolution.within_run_deviation is not None:
        between = f"{format_number(resolution.within_run_deviation)} between {resolution.sample_seeds} sample seeds"
        measured = Cell(format_number(resolution.evaluation_deviation), between, numeric=True)
    return Row(
        (
            Cell(protocol),
            Cell(str(resolution.seeds), numeric=True),
            spread,
            _gap(resolution.single_gap, resolution.single_gap_in_deviations),
            _gap(
                resolution.baseline_gap,
                resolution.baseline_gap_in_deviations,
                f"of {plural(resolution.comparisons, 'comparison')}",
            ),
            _gap(resolution.pairs_gap, resolution.pairs_gap_in_deviations, f"of {plural(resolution.pairs, 'pair')}"),
            measured,
        )
    )


def _gap(gap: float | None, deviations: float | None, family: str = "") -> Cell:
    """Return a gap with its size in deviations under it; without a gap that size alone, since no spread is known."""
    size = f"{format_number(deviations)} deviations"
    if not gap:
        return Cell(size, family, numeric=True)
    return Cell(format_number(gap), "\n".join(line for line in (size, family) if line), numeric=True, sort=gap)


def limits_table(study: Study) -> Table | None:
    """Return, for each family of tests, what was decided, what would be over the page, and what ranks could decide."""
    rows = [
        _limits_row(protocol, kind, mine)
        for protocol in study.protocols
        for kind in ("baseline", "pair")
        if (mine := [x for x in study.statistics.limits if (x.protocol, x.kind) == (protocol, kind)])
    ]
    if not rows:
        return None
    several = len(study.protocols) > 1
    headings = (
        Heading("protocol"),
        Heading("family"),
        Heading("decided", numeric=True),
        Heading("over the page", numeric=True),
        Heading("separated, yet undecided", numeric=True),
        Heading("least p of ranks", numeric=True),
        Heading("seeds for ranks", numeric=True),
    )
    kept = [at for at in range(len(headings)) if several or at != 3]
    page = (
        " Over the page: how many would still be, were all protocols’ comparisons of the kind one family."
        if several
        else ""
    )
    return Table(
        "limits",
        f"What the seeds could decide at all. Decided: at 5\u00a0% after Holm over the family.{page} Separated, yet "
        "undecided: every run of one row is better than every run of the other, and no ranks could speak more clearly. "
        "Least p of ranks: after Holm’s first step, whatever the scores; above 0.05 no ranks decide, and seeds for "
        "ranks is the number per row from which they could. Each comparison stands in limits.csv.",
        tuple(headings[at] for at in kept),
        tuple(Row(tuple(row.cells[at] for at in kept)) for row in rows),
    )


def _limits_row(protocol: str, kind: str, limits: Sequence[Limit]) -> Row:
    family = plural(limits[0].family, "comparison" if kind == "baseline" else "pair")
    tested, decided = len(limits), sum(limit.decided for limit in limits)
    least = min(limit.smallest_p_holm for limit in limits)
    return Row(
        (
            Cell(protocol),
            Cell(family, "with the baseline" if kind == "baseline" else ""),
            Cell(f"{decided} of {tested}", numeric=True, sort=float(decided)),
            Cell(f"{sum(limit.decided_on_page for limit in limits)} of {decided}", numeric=True),
            Cell(str(len(separated(limits))), numeric=True),
            Cell(format_number(least), numeric=True, sort=least),
            Cell(str(max(limit.seeds_for_ranks for limit in limits)), numeric=True),
        )
    )


def separated(limits: Iterable[Limit]) -> list[Limit]:
    """Return the comparisons in which every run of one row beats every run of the other, and which are undecided."""
    return [limit for limit in limits if limit.separated and not limit.decided]
