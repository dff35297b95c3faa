"""Any two rows in one sentence: what interval, test and permutation say together; and all pairs as tables."""

from __future__ import annotations

from collections.abc import Iterator

from bench.formatting import NOTHING, PERCENT_95, decimals, format_interval, format_number, plural
from bench.report.metric_text import describe_metric
from bench.report.model import Cell, Heading, Pairs, Row, Table
from bench.report.study import Study
from bench.statistics import ALPHA, SEEDS_FOR_VERDICT, Answer, answer_pairs
from bench.statistics.answers import added_by_hand

MOST_TIMES = 100  # a difference is told to be so many times the A/A twin's at most


def pairs_section(study: Study) -> Pairs | None:
    """Return every pair's answer; None where no pair can have one."""
    answers = answer_pairs(study.statistics, study.plan)
    if not answers:
        return None
    probabilities = {(p.protocol, p.first, p.second): p.probability for p in study.statistics.pairs}
    labels = list(dict.fromkeys(label for answer in answers for label in (answer.first, answer.second)))
    tables = []
    for protocol in study.protocols:
        mine = [answer for answer in answers if answer.protocol == protocol]
        if mine:
            rows = tuple(_row(a, probabilities.get((a.protocol, a.first, a.second))) for a in mine)
            keys = tuple((labels.index(a.first), labels.index(a.second)) for a in mine)
            tables.append((protocol, _table(study, protocol, rows), keys))
    return Pairs(tuple(labels), _lead(study), tuple(tables))


def sentence(answer: Answer) -> str:
    """Return what the seeds say of a pair: one sentence, and what must be known beside it."""
    told = " ".join(part for part in _parts(answer) if part)
    lead = {"exploratory": "Exploratory. ", "added": "Not as declared: a row or seeds were added by hand. "}
    return lead.get(answer.kind, "") + told


def _parts(answer: Answer) -> Iterator[str]:
    a, b = answer.first, answer.second
    if answer.kind == "a/a":
        yield f"{a} is {b} once more, on other seeds, so that chance alone makes their difference."
    if answer.outcome == "none finished":
        yield f"No run of {a} or {b} finished ({_lost(answer)}): there is nothing to compare."
    elif answer.outcome == "lost":
        yield f"{answer.behind} lost to {answer.ahead}, without a test: none of its runs finished ({_lost(answer)})."
    elif answer.outcome == "same":
        yield (
            f"{a} and {b} have the same score on {_all(answer.shared)}, to the last digit: this metric sees no "
            "difference between them."
        )
    elif answer.outcome == "unjudged":
        yield from _unjudged(answer)
    elif answer.outcome == "better":
        yield from _decided(answer)
    else:
        yield from _undecided(answer)


def _unjudged(answer: Answer) -> Iterator[str]:
    few = min(answer.first_planned, answer.second_planned)
    if 0 < few < SEEDS_FOR_VERDICT:
        seeds = plural(few, "seed")
        yield (
            f"{seeds} {'decides' if few == 1 else 'decide'} nothing between {answer.first} and {answer.second} "
            f"({SEEDS_FOR_VERDICT} a row are the least)."
        )
    else:
        yield f"Not answered yet between {answer.first} and {answer.second}: {answer.why}."
    if lost := _lost(answer):
        yield f"Lost: {lost}, so that means would compare survivors alone."
    elif answer.ahead:
        facts = [_interval(answer), _ahead_on(answer)]
        yield f"So far {answer.ahead} is ahead by {_gap(answer)}{_in_parentheses(facts)}."


def _decided(answer: Answer) -> Iterator[str]:
    won, lost = answer.ahead, answer.behind
    if answer.kind == "a/a":
        yield "Yet they are told apart, a false alarm:"
    if answer.test == "ranks":
        why = f"lost runs last: {_lost(answer)}" if answer.first_lost or answer.second_lost else "no score varies"
        yield f"{won} is better than {lost} by ranks ({why}; {_p(answer)})."
    else:
        yield f"{won} is better than {lost} by {_gap(answer)}{_in_parentheses(_facts(answer))}."
    yield _permutation(answer)
    if answer.own_intervals == "overlap" and answer.test == "Welch":
        yield "The intervals of their two means overlap; what decides is the interval of the difference."
    if answer.with_baseline and answer.tie_groups == "together":
        yield "The tie groups, which are corrected over all pairs of rows, do not tell the two apart."
    yield _beside_twin(answer)


def _undecided(answer: Answer) -> Iterator[str]:
    seeds = min(answer.first_planned, answer.second_planned)
    if answer.kind != "a/a":
        yield f"These {seeds} seeds do not decide between {answer.first} and {answer.second}:"
    if answer.test == "ranks":
        why = f"lost runs last: {_lost(answer)}" if answer.first_lost or answer.second_lost else "no score varies"
        yield f"by ranks ({why}) nothing tells them apart ({_p(answer)})."
    else:
        ahead = f"{answer.ahead} is ahead by {_gap(answer)}" if answer.ahead else "their means are equal"
        yield f"{ahead}{_in_parentheses(_facts(answer))}."
    yield _at_odds(answer)
    if answer.own_intervals == "apart" and answer.test == "Welch":
        yield (
            "The intervals of their two means do not overlap, but each holds for one row alone, and this is one of "
            f"{plural(answer.family, 'comparison')}."
        )
    if answer.with_baseline and answer.tie_groups == "apart":
        yield "The tie groups, which are corrected step by step over all pairs of rows, do tell them apart."
    yield _what_would_decide(answer, seeds)
    yield _beside_twin(answer)


def _at_odds(answer: Answer) -> str:
    """Tell why an undecided pair is so although one of its signals says otherwise."""
    if answer.p is None or answer.p_holm is None or answer.kind == "a/a":
        return ""
    advantage = answer.advantage
    excluded = advantage is not None and advantage[1] is not None and advantage[1] > 0
    if answer.p_holm <= ALPHA:
        return "Holm’s correction alone would tell them apart, but their simultaneous interval holds zero."
    if answer.simultaneous and excluded:
        return "The simultaneous interval excludes zero, but Holm’s correction does not agree."
    if answer.p <= ALPHA:
        beside = f", permutation {format_number(answer.permutation_p)}" if answer.permutation_p is not None else ""
        over = plural(answer.family, "comparison")
        return f"Alone the pair would pass (p {format_number(answer.p)}{beside}); among {over} it does not."
    return ""


def _what_would_decide(answer: Answer, seeds: int) -> str:
    if answer.kind == "a/a":
        return ""
    if answer.seeds_needed is None:
        return "If the gap is what it looks like, no number of seeds up to 1,000 would decide." if answer.ahead else ""
    if answer.test == "ranks":
        return (
            f"From {answer.seeds_needed} seeds a row ranks could decide."
            if answer.seeds_needed > seeds
            else "Ranks could have decided with these seeds."
        )
    if answer.seeds_needed <= seeds:
        return f"If the gap is what it looks like, {answer.seeds_needed} seeds a row find it 80 times in 100."
    return (
        f"If the gap is what it looks like, {answer.seeds_needed} seeds a row would decide 80 times in 100 "
        f"({answer.seeds_needed - seeds} more)."
    )


def _permutation(answer: Answer) -> str:
    if answer.permutation_p is None or answer.test != "Welch":
        return ""
    p, least = answer.permutation_p, answer.permutation_smallest_p
    if p > ALPHA:
        return f"A permutation of the runs does not agree (p {format_number(p)}): the verdict rests on the t test."
    bound = ", the least possible with these seeds" if least is not None and p <= least * (1 + 1e-9) else ""
    return f"A permutation of the runs agrees (p {format_number(p)}, uncorrected{bound})."


def _beside_twin(answer: Answer) -> str:
    """Tell how large the difference is beside the one that chance alone made, and could have made."""
    twin, reach, gap = answer.twin_difference, answer.twin_reach, answer.difference
    if not twin or gap is None or answer.kind == "a/a" or answer.test != "Welch":
        return ""
    if abs(gap) <= twin:
        return f"Chance alone made as much: the A/A twin moved by {format_number(twin)}."
    if reach is not None and abs(gap) <= reach:
        return f"Chance alone can make as much: the A/A twin’s interval reaches {format_number(reach)}."
    times = abs(gap) / twin
    told = f"more than {MOST_TIMES}" if times > MOST_TIMES else f"{times:.1f}" if times < 10 else f"{times:.0f}"
    beyond = f", whose interval reaches {format_number(reach)}" if reach is not None else ""
    return f"The difference is {told} times the A/A twin’s {format_number(twin)}{beyond}."


def _facts(answer: Answer) -> list[str]:
    return [_interval(answer), _ahead_on(answer), _p(answer)]


def _gap(answer: Answer) -> str:
    advantage = answer.advantage
    return NOTHING if advantage is None else format_number(advantage[0], _places(advantage))


def _interval(answer: Answer) -> str:
    advantage = answer.advantage
    if advantage is None or advantage[1] is None or advantage[2] is None:
        return ""
    low, high = (format_number(end, _places(advantage)) for end in advantage[1:])
    return f"{PERCENT_95} {'simultaneous ' if answer.simultaneous else ''}interval {low} to {high}"


def _places(advantage: tuple[float, float | None, float | None]) -> int:
    """Return the decimals of a difference and its interval: those of the largest number."""
    return decimals(max(abs(value) for value in advantage if value is not None))


def _ahead_on(answer: Answer) -> str:
    if not answer.shared or not answer.ahead:
        return ""
    if answer.ahead_on == answer.shared:
        return f"ahead on {_all(answer.shared)}"
    return f"ahead on {answer.ahead_on} of {plural(answer.shared, 'seed')}"


def _all(seeds: int) -> str:
    return "the one seed" if seeds == 1 else f"all {seeds} seeds"


def _p(answer: Answer) -> str:
    if answer.p_holm is None:
        return ""
    if answer.kind == "a/a":
        return f"p {format_number(answer.p)}, one comparison"
    with_baseline = f"the {answer.family} comparisons with the baseline"
    what = with_baseline if answer.with_baseline else f"all {answer.family} pairs"
    if answer.family == 1:
        return f"p {format_number(answer.p)}, one comparison"
    return f"Holm-adjusted p {format_number(answer.p_holm)} over {what}"


def _in_parentheses(facts: list[str]) -> str:
    told = "; ".join(fact for fact in facts if fact)
    return f" ({told})" if told else ""


def _lost(answer: Answer) -> str:
    """Return how many runs of which row were lost."""
    told = [
        f"{lost} of {planned} runs of {label}"
        for label, lost, planned in (
            (answer.first, answer.first_lost, answer.first_planned),
            (answer.second, answer.second_lost, answer.second_planned),
        )
        if lost
    ]
    return " and ".join(told)


def _row(answer: Answer, probability: float | None) -> Row:
    places = None if answer.difference is None else decimals(answer.difference)
    verdict = f"{answer.ahead} is better" if answer.outcome == "better" else answer.outcome
    return Row(
        (
            Cell(f"{answer.first} / {answer.second}"),
            Cell(sentence(answer)),
            Cell(verdict, detail=f"({answer.kind})"),
            Cell(
                format_number(answer.difference, places, sign=True),
                detail=format_interval(answer.difference_low, answer.difference_high, places, sign=True),
                numeric=True,
            ),
            Cell(format_number(answer.p_holm), numeric=True, sort=answer.p_holm),
            Cell(format_number(probability, 2), numeric=True),
        )
    )


def _table(study: Study, protocol: str, rows: tuple[Row, ...]) -> Table:
    pairs = [pair for pair in study.statistics.pairs if pair.protocol == protocol]
    return Table(
        f"pairs-{protocol}",
        f"All {plural(len(pairs), 'pair')} by {describe_metric(study.primary).title}, {protocol} protocol.",
        (
            Heading("first / second"),
            Heading("answer"),
            Heading("verdict"),
            Heading("difference", study.primary, numeric=True),
            Heading("p, Holm", numeric=True),
            Heading("first is better", numeric=True),
        ),
        rows,
    )


def _lead(study: Study) -> str:
    return (
        f"Any two rows, by {describe_metric(study.primary).title}. The comparisons with {study.plan['baseline']} are "
        f"corrected among themselves, and were declared before running{_but_for_added(study)}; any other pair is "
        "exploratory and is corrected over all pairs of its protocol. Difference: the first’s mean less the second’s, "
        f"with Welch’s {PERCENT_95} interval (pairs with {study.plan['baseline']}) or Games and Howell’s simultaneous "
        "one. First is better: the "
        "probability that a run of the first is better than one of the second, lost runs worst, equal ones half."
    )


def _but_for_added(study: Study) -> str:
    added = sorted({label for _, label in added_by_hand(study.plan)})
    return f", but for what was added by hand ({', '.join(added)})" if added else ""
