"""What was predicted before the runs, and what came of it."""

from __future__ import annotations

from bench.formatting import PERCENT_95, decimals, format_interval, format_number, plural
from bench.report.metric_text import describe_metric
from bench.report.model import Cell, Heading, Row, Table
from bench.report.study import Study
from bench.statistics.predictions import PredictionResult


def predictions_table(study: Study) -> Table | None:
    """Return every prediction with its answer; None for a study that predicted nothing."""
    results = study.statistics.predictions
    if not results:
        return None
    several = len(study.protocols) > 1
    return Table(
        "predictions",
        f"{_tally(results)} {_registered(study)} Each is tested one-sided in both directions; p is twice the smaller "
        "one, corrected by Holm over all predictions, and decides at 5 %. “Best” and “worst” ask for a difference from "
        f"every other row. The difference is the row’s mean less the other’s, with Welch’s {PERCENT_95} interval.",
        (
            Heading("prediction"),
            Heading("answer"),
            Heading("p", numeric=True),
            Heading("difference", numeric=True),
            Heading("because"),
        ),
        tuple(_row(result, study.primary, several) for result in results),
    )


def in_words(result: PredictionResult, primary: str, name_protocol: bool = False) -> str:
    """Return a prediction as a clause, such as "minimax is not better than nsgan by more than 5 %"."""
    than = f" than {result.than}" if result.than else " of all rows"
    adverb = f"the {result.outcome}" if not result.than else result.outcome
    margin = f" by more than {100 * result.margin:g}\u00a0%" if result.margin else ""
    by = "" if result.metric == primary else f", by {describe_metric(result.metric).title}"
    protocol = f" ({result.protocol})" if name_protocol else ""
    return f"{result.row} is {adverb}{than}{margin}{by}{protocol}"


def _row(result: PredictionResult, primary: str, name_protocol: bool) -> Row:
    places = None if result.difference is None else decimals(result.difference)
    return Row(
        (
            Cell(in_words(result, primary, name_protocol)),
            Cell(result.answer, detail=result.open_because),
            Cell(format_number(result.p_holm), numeric=True),
            Cell(
                format_number(result.difference, places, sign=True),
                detail=format_interval(result.difference_low, result.difference_high, places, sign=True),
                numeric=True,
            ),
            Cell(result.because),
        )
    )


def _tally(results: tuple[PredictionResult, ...]) -> str:
    counts = [(answer, sum(result.answer == answer for result in results)) for answer in _ANSWERS]
    said = ", ".join(f"{count} {answer}" for answer, count in counts if count)
    return f"{plural(len(results), 'prediction')}: {said}."


_ANSWERS = ("confirmed", "refuted", "undecided")


def _registered(study: Study) -> str:
    """Return when the predictions were written into the plan, and how many runs were finished then."""
    history = study.plan["predictions"]
    newest = history[-1]
    when, finished = newest["registered"][:10], newest["finished_runs"]
    before = "before any run was finished" if not finished else f"when {plural(finished, 'run')} had finished"
    changed = f" They were changed {plural(len(history) - 1, 'time')}." if len(history) > 1 else ""
    return f"Registered in the plan on {when}, {before}.{changed}"
