"""In short: what these seeds decide, and what they leave open, for those who read nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.figures import metric_curves
from bench.report.model import Conclusions
from bench.report.study import Study
from bench.report.verdicts import same_sentence
from bench.report.words import PERCENT_95, describe_metric, joined, number, plural
from bench.statistics import ALPHA, SEEDS_FOR_VERDICT, Summary, difference_interval

STILL_IMPROVING = 0.1  # of a metric's value, over the second half of training


def conclusions(study: Study) -> Conclusions:
    """Return what follows from the verdicts, a sentence each, and what does not follow from this study."""
    return Conclusions(tuple(_decided(study)), tuple(_open(study)))


def _decided(study: Study) -> Iterator[str]:
    if len(study.seeds) < SEEDS_FOR_VERDICT:
        return
    for protocol in study.protocols:
        yield from _against_the_baseline(study, protocol)
        yield from _front(study, protocol)
    yield from _recipes(study)
    yield from _lost(study)
    for protocol in study.protocols:
        if same := same_sentence(study, protocol).strip():
            yield f"{protocol.capitalize()}: {same}"


def _against_the_baseline(study: Study, protocol: str) -> Iterator[str]:
    judged = [study.comparison(entry) for entry in study.entries_of(protocol)]
    found = [comparison for comparison in judged if comparison is not None]
    if not any(comparison.verdict for comparison in found):
        return
    groups = [
        (name, [c.label for c in found if (c.verdict or "not judged") == name])
        for name in ("better", "worse", "undecided", "not judged")
    ]
    told = "; ".join(f"{name} {'is' if len(rows) == 1 else 'are'} {joined(rows)}" for name, rows in groups if rows)
    yield (
        f"{protocol.capitalize()}, by {describe_metric(study.primary).title}, against {found[0].baseline}: {told} "
        f"(Holm at {100 * ALPHA:g}\u00a0% over {plural(found[0].family, 'comparison')})."
    )


def _front(study: Study, protocol: str) -> Iterator[str]:
    """Tell which rows share the first place. Where a run was lost, that is by ranks, and its row has no letter."""
    pairs = [pair for pair in study.statistics.pairs if pair.protocol == protocol]
    first = [e.label for e in study.entries_of(protocol) if (s := study.standing(e)) and s.rank == 1 and s.letters]
    if not pairs or len(first) != 1:
        return
    best = first[0]
    others = {
        pair.second if pair.first == best else pair.first: pair for pair in pairs if best in (pair.first, pair.second)
    }
    level = [label for label, pair in others.items() if not pair.winner and not pair.untested]
    untested = [label for label, pair in others.items() if pair.untested]
    beside = (
        f"{joined(level)} cannot be told from it where all pairs are tested"
        if level
        else "every other row that was tested is told apart from it"
    )
    without = f" ({joined(untested)} not tested)" if untested else ""
    yield f"{protocol.capitalize()}: {best} stands first; {beside}{without}."


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
        parts = [f"{name} for {joined(rows)}" for name, rows in (("better", better), ("worse", worse)) if rows]
        yield (
            f"The authors’ recipe in place of the shared one is {' and '.join(parts) or 'told from it for no row'}; "
            f"{plural(compared, 'row')} compared (Welch’s {PERCENT_95} intervals, uncorrected)."
        )


def _difference_bounds(own: Summary | None, shared: Summary | None) -> tuple[float, float] | None:
    if own is None or shared is None or own.arm.lost or shared.arm.lost:
        return None
    return difference_interval(own.scores, shared.scores)


def _lost(study: Study) -> Iterator[str]:
    told = []
    for entry in study.entries:
        found = study.stability(entry)
        counts = ((found.diverged, "diverged"), (found.failed, "failed"), (found.collapsed, "collapsed"))
        words = [f"{many} {state}" for many, state in counts if many]
        if words:
            told.append(f"{entry.label} ({entry.protocol}) {joined(words)} of {found.planned}")
    yield f"Lost or collapsed runs: {'; '.join(told)}." if told else "No planned run diverged, failed or collapsed."


def _open(study: Study) -> Iterator[str]:
    seeds = len(study.seeds)
    if seeds < SEEDS_FOR_VERDICT:
        yield (
            f"Which row is better: {plural(seeds, 'seed')} {'decides' if seeds == 1 else 'decide'} nothing "
            f"({SEEDS_FOR_VERDICT} are the least for a verdict)."
        )
    else:
        gaps = [r.single_gap for r in study.statistics.resolutions if r.metric == study.primary and r.single_gap]
        if gaps:
            least = number(min(gaps)) if len(gaps) == 1 else f"{number(min(gaps))} to {number(max(gaps))}"
            yield (
                f"That undecided rows are equal: {plural(seeds, 'seed')} miss smaller gaps between two rows than "
                f"{least}, and larger ones after correction."
            )
    for protocol in study.protocols:
        yield from _unfinished(study, protocol)
    backbone, data = study.plan["backbone"], study.plan["data"]["source"]
    yield (
        f"Anything about other images than {data}, other sizes than {backbone['resolution']}×{backbone['resolution']} "
        f"or other networks than this one of width {backbone['width']}."
    )
    if "controlled" in study.protocols and len(_rates(study)) == 1:
        yield "What the controlled rows would do at another learning rate: all of them share one."
    if "published" in study.protocols:
        yield "What is the loss’s doing in a published row: its recipe differs from the others’ as well."
    if study.primary != "fid":
        yield f"How a row compares with FIDs in papers: {describe_metric(study.primary).title} is another number."


def _rates(study: Study) -> set[object]:
    names = ("learning_rate_discriminator", "learning_rate_generator")
    return {tuple(entry.recipe.get(name) for name in names) for entry in study.entries_of("controlled")}


def _unfinished(study: Study, protocol: str) -> Iterator[str]:
    """Tell which rows were still getting better when training ended."""
    metric = study.settings.snapshot_metric(study.primary)
    curves, better = metric_curves(study, protocol, metric), describe_metric(study.primary).better
    last = curves["generator_steps"].max()
    if curves.empty or better is None or not (curves["generator_steps"] == last // 2).any():
        return
    means = curves.groupby(["label", "generator_steps"])["value"].mean()
    moving = []
    for label in study.labels:
        half, end = means.get((label, last // 2)), means.get((label, last))
        if half is not None and end is not None and half != 0:
            gain = (half - end) / abs(half)
            if (gain if better == "lower" else -gain) > STILL_IMPROVING:
                moving.append(label)
    if moving:
        yield (
            f"How longer training would end ({protocol}): {joined(moving)} improved by more than "
            f"{100 * STILL_IMPROVING:g}\u00a0% over its second half."
        )
