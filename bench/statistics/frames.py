"""Rows of results as tables that are written as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pandas as pd


def frame_of(rows: Sequence[Any], kind: type) -> pd.DataFrame:
    """Return rows of one frozen dataclass as a table: a column per field, typed as the field is, None as empty.

    Pairs of (seed, value) become text: "seed:value" joined by spaces.
    """
    return pd.DataFrame(
        {
            field.name: pd.array([_cell(getattr(row, field.name)) for row in rows], dtype=_dtype(str(field.type)))
            for field in fields(kind)
        }
    )


def _cell(value: object) -> object:
    return " ".join(f"{seed}:{number!r}" for seed, number in value) if isinstance(value, tuple) else value


def _dtype(annotation: str) -> Any:
    """Return the pandas dtype, one that can be empty, for a field's annotation such as "int | None"."""
    return {"int": "Int64", "float": "Float64", "bool": "boolean"}.get(annotation.split(" ")[0], "string")
