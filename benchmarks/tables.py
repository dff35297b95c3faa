"""Rows as Markdown tables; without torch, which a script that only starts others need not load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.formatting import markdown_cell, markdown_table


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table; columns in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return markdown_table(columns, ([_cell(row.get(key)) for key in columns] for row in rows))


def _cell(value: object) -> str:
    if value is None:
        return ""
    return markdown_cell(f"{value:.4g}" if isinstance(value, float) else value)
