"""What `bench verify` finds, and what all of it together says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["holds", "FAILS", "UNPROVEN", "not checked"]
"""UNPROVEN: what the check needs lies here, and yet nothing was checked. It counts like a failure."""

LEVELS = {
    "statistics": "every table follows from its results.csv and plan.json; whether these are the runs' was not checked",
    "runs": "the report follows from the runs' records; whether these were measured so was not checked",
    "metrics": "the snapshots measured again give the runs' metrics; whether training gives them, `bench replay` says",
}

SHOWN = 10  # names or differences told of one thing


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: at which level, what came out, and in which words."""

    level: str
    outcome: Outcome
    what: str


def reached(findings: Sequence[Finding]) -> str:
    """Return in a line which level was reached: the highest at which something holds, as long as nothing fails.

    It begins with "nothing was checked" where that is none: whoever changes a file can change its checksum.
    """
    if any(finding.outcome == "FAILS" for finding in findings):
        return "it does not hold, see what FAILS"
    held = [name for name in LEVELS if any((f.level, f.outcome) == (name, "holds") for f in findings)]
    return f"reached {held[-1]}: {LEVELS[held[-1]]}" if held else "nothing was checked"


def is_sound(findings: Sequence[Finding]) -> bool:
    """Tell whether something was checked, all that was holds, and nothing that could be checked was left out."""
    bad = any(finding.outcome in ("FAILS", "UNPROVEN") for finding in findings)
    return not bad and not reached(findings).startswith("nothing")


def failing(level: str, problems: Sequence[str]) -> Iterator[Finding]:
    for text in problems[:SHOWN]:
        yield Finding(level, "FAILS", text)
    if len(problems) > SHOWN:
        yield Finding(level, "FAILS", f"{len(problems) - SHOWN} more")


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
