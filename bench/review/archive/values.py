"""The values of an archive's records, each held to one's own rules: labels, digests, metrics, seeds."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench.config.models import LABEL
from bench.config.parsing import SEED_LIMIT
from bench.errors import BenchError
from bench.limits import MOST_FORMULA_CHARACTERS
from bench.metrics.catalogue import metric_info
from bench.review.archive.container import is_plain

# A label stands in file names, in tables and in the first column of CSV files, where "=" begins a formula.
Label = Annotated[str, Field(pattern=f"^(?:{LABEL.pattern})$")]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Identity = Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")]
Count = Annotated[int, Field(ge=0)]
Formula = Annotated[str, Field(max_length=MOST_FORMULA_CHARACTERS)]
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT)]


def _known_metric(name: str) -> str:
    try:
        metric_info(name)
    except BenchError as error:
        raise ValueError(error.message) from error
    return name


def _plain_name(name: str) -> str:
    if not is_plain(name):
        raise ValueError("is no plain name below its folder")
    return name


PlainName = Annotated[str, AfterValidator(_plain_name)]
Metric = Annotated[Label, AfterValidator(_known_metric)]


class Record(BaseModel):
    """A table of a record: strict, open to further keys."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
