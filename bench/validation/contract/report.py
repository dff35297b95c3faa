"""What a check found, and how it is told: plain words, with the numbers and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.formatting import plural

Outcome = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, with its numbers, and what to do about it."""

    what: str
    advice: str


class NotApplicable(Exception):  # noqa: N818 - an outcome, not an error
    """A check has nothing to look at in this objective; the message says why."""


@dataclass(frozen=True)
class Result:
    """What one check found. `proves` is what holds where it passed; `why` tells why it does not apply.

    `on_purpose`: it does not apply because the objective says so.
    """

    check: str
    proves: str
    outcome: Outcome
    problems: tuple[Problem, ...] = ()
    why: str = ""
    on_purpose: bool = False


@dataclass(frozen=True)
class Report:
    """What all checks found of one objective. `file` is where it is written; `waiting` checks were not tried."""

    name: str
    file: str
    results: tuple[Result, ...]
    seconds: float
    waiting: int = 0

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.outcome == "failed")

    def counts(self) -> str:
        """Return such as "17 passed, 2 not applicable"."""
        outcomes = [result.outcome for result in self.results]
        kinds: tuple[Outcome, ...] = ("passed", "failed", "not applicable")
        return ", ".join(f"{outcomes.count(kind)} {kind}" for kind in kinds if kind in outcomes)

    def text(self, *, verbose: bool = False) -> str:
        """Return the report in plain words: its line, what failed, and with `verbose` every check."""
        lines = [f"{self.name}: {self.counts()} ({self.seconds:.1f} s)"]
        for result in self.results:
            if result.outcome == "failed":
                lines.append(f"  FAILED {result.check} ({result.proves})")
                for problem in result.problems:
                    lines += [f"    - {problem.what}", f"      {problem.advice}"]
            elif result.on_purpose:
                lines.append(f"  on purpose without {result.check} ({result.proves}): {result.why}")
            elif verbose:
                told = result.proves if result.outcome == "passed" else f"not applicable: {result.why}"
                lines.append(f"  {'ok    ' if result.outcome == 'passed' else '-     '} {result.check}: {told}")
        if self.waiting:
            lines.append(f"  {plural(self.waiting, 'more check')} not tried: what failed first would fail them too.")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {"passed": self.passed, **asdict(self)}
