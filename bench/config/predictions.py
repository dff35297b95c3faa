"""What a study expects before it is run: predictions in bench.toml, which the report then tests."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from pydantic import Field

from bench.config.recipe import Table
from bench.errors import suggest

Outcome = Literal["better", "worse", "not better", "not worse", "best", "worst"]
ABOUT_ALL = ("best", "worst")  # of all the rows of the protocol, in place of one other


class Prediction(Table):
    """One prediction about a row.

    row         the label of the row
    outcome     what it will be; `best` and `worst` are of all the protocol's rows
    than        the label of the other row; none with `best` and `worst`
    metric      the primary metric, unless one of the secondary ones is named
    protocol    under which protocol
    margin      for `not better` and `not worse`: by more than this share of the other row's mean
    because     the reason, in words, or who said so
    """

    row: str
    outcome: Outcome
    than: str | None = None
    metric: str | None = None
    protocol: Literal["controlled", "published", "custom"] = "controlled"
    margin: float = Field(0.05, ge=0, le=10)
    because: str = ""


def mistakes_in(prediction: Prediction, labels: Collection[str], metrics: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each key of a prediction that does not fit a study's rows and declared metrics, and what is wrong."""
    for key, label in (("row", prediction.row), ("than", prediction.than)):
        if label is not None and label not in labels:
            yield key, f"is no row of this study{suggest(label, labels)}"
    if prediction.outcome in ABOUT_ALL and prediction.than is not None:
        yield "than", f'has no meaning beside outcome = "{prediction.outcome}", which speaks of all other rows'
    if prediction.outcome not in ABOUT_ALL and prediction.than is None:
        yield "than", f'is missing: {prediction.outcome} than which row? For example: than = "nsgan"'
    if prediction.than == prediction.row:
        yield "than", "is the row itself"
    if prediction.metric is not None and prediction.metric not in metrics:
        yield "metric", f"is not among the declared metrics ({', '.join(metrics)}){suggest(prediction.metric, metrics)}"
