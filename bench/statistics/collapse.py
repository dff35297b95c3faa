"""How many runs collapsed: by the study's own rule, and by the default one that it may have changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.metrics.catalogue import collapsed
from bench.metrics.settings import EvaluationSettings
from bench.runs.folder import evaluation_settings
from bench.statistics.results import matching
from bench.statistics.summary import twins_of

DEFAULT_COLLAPSE = {
    name: EvaluationSettings.model_fields[name].default for name in ("collapse_coverage", "collapse_unique")
}


@dataclass(frozen=True)
class CollapsedRuns:
    """Runs of one or more rows: how many could be judged, and how many collapsed by either rule."""

    judged: int = 0
    by_study: int = 0
    by_default: int = 0


@dataclass(frozen=True)
class CollapseCounts:
    """Collapsed runs by protocol and label, A/A arms left out; `changed` where the study's rule is not the default."""

    changed: bool
    rows: Mapping[tuple[str, str], CollapsedRuns]

    @property
    def total(self) -> CollapsedRuns:
        rows = self.rows.values()
        return CollapsedRuns(
            *(sum(getattr(row, name) for row in rows) for name in ("judged", "by_study", "by_default"))
        )

    def of(self, protocol: str, label: str) -> CollapsedRuns:
        return self.rows.get((protocol, label), CollapsedRuns())


def collapse_counts(results: pd.DataFrame, plan: Mapping[str, Any]) -> CollapseCounts:
    """Count each row's collapsed runs by both rules, from the same values of the declared generator's final step."""
    settings = evaluation_settings(plan)
    default = settings.model_copy(update=DEFAULT_COLLAPSE)
    final = matching(results, state="done", generator=plan["generator"], final=True)
    deciding = final[final["metric"].str.contains(r"^(?:coverage|unique)_", na=False)]
    lines: dict[tuple[str, str, int], list[Mapping[Any, Any]]] = defaultdict(list)
    for line in deciding[["protocol", "label", "seed", "metric", "value", "floor"]].to_dict("records"):
        lines[line["protocol"], line["label"], line["seed"]].append(line)
    twins, rows = twins_of(plan), dict[tuple[str, str], CollapsedRuns]()
    for (protocol, label, _), mine in lines.items():
        own, other = collapsed(mine, settings), collapsed(mine, default)
        if own is None or other is None or label in twins:
            continue
        before = rows.get((protocol, label), CollapsedRuns())
        rows[protocol, label] = CollapsedRuns(before.judged + 1, before.by_study + own, before.by_default + other)
    return CollapseCounts(default != settings, rows)
