"""Tables and figures of one kind, one a protocol: what their captions share is said once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bench.formatting import joined
from bench.report.model import Block, Figure, Several, Table

COLUMNS_BESIDE = 4
"""Of a table that fits half of a page 1,440 pixels wide; a wider one would end in a scrolling box there."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z“(])")


def together(blocks: Sequence[Table | Figure], beside: bool = False) -> tuple[Block, ...]:
    """Put blocks together, with the sentences that all their captions have taken out and said once.

    `beside`: next to each other where there is room, if they are narrow enough.
    """
    if len(blocks) < 2:
        return tuple(blocks)
    beside = beside and all(len(block.headings) <= COLUMNS_BESIDE for block in blocks if isinstance(block, Table))
    own, shared = own_and_shared([_SENTENCE_END.split(block.caption) for block in blocks])
    if not all(own):  # a table without a caption of its own has no name
        return (Several(tuple(blocks), beside=beside),)
    changed = tuple(replace(block, caption=" ".join(mine)) for block, mine in zip(blocks, own, strict=True))
    return (Several(changed, " ".join(shared), beside),)


def own_and_shared(told: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    """Part lists of sentences into what each says alone, and what all say; of a single list all is shared."""
    shared = [sentence for sentence in told[0] if all(sentence in other for other in told)] if told else []
    return [[sentence for sentence in sentences if sentence not in shared] for sentences in told], shared


def without_constants(table: Table, droppable: Sequence[str]) -> Table:
    """Leave out the columns named in `droppable` whose cells are all the same, and say in the caption what they hold.

    Rows that are no entry ("floor", "beside") do not count.
    """
    rows = [row for row in table.rows if not row.kind or row.kind == "set"]
    if len(rows) < 2:
        return table
    dropped = [
        column
        for column, heading in enumerate(table.headings)
        if heading.text in droppable and len({row.cells[column] for row in rows}) == 1
    ]
    if not dropped:
        return table
    told = [_told(table.headings[column].text, rows[0].cells[column].text) for column in dropped]
    kept = [column for column in range(len(table.headings)) if column not in dropped]
    return replace(
        table,
        caption=f"{table.caption} In every row: {joined(told)}.",
        headings=tuple(table.headings[column] for column in kept),
        rows=tuple(replace(row, cells=tuple(row.cells[column] for column in kept)) for row in table.rows),
        header=kept.index(table.header),
    )


def _told(heading: str, text: str) -> str:
    return f"{heading} {text}"
