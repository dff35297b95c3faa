"""What every section of a report is made from: the study, what was asked for, and how rows look in figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from bench.report.figures.palette import Look
from bench.report.model import ReportOptions
from bench.report.study import Study

Part = TypeVar("Part")


@dataclass(frozen=True)
class Subject:
    """A study and how its report is to be made."""

    study: Study
    options: ReportOptions

    @cached_property
    def look(self) -> Look:
        return Look(self.study.objectives)

    def each(self, make: Callable[[Study, str], Part | None]) -> tuple[Part, ...]:
        """Return what `make` makes of every protocol, without the empty ones."""
        return tuple(part for protocol in self.study.protocols if (part := make(self.study, protocol)) is not None)
