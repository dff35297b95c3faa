"""When a run counts as collapsed, and by which value one did, in words."""

from __future__ import annotations

from bench.formatting import format_number
from bench.metrics.catalogue import collapse_evidence
from bench.metrics.settings import EvaluationSettings
from bench.report.metric_text import describe_metric
from bench.report.study import Run, Study
from bench.statistics import DEFAULT_COLLAPSE
from bench.statistics.results import matching


def collapse_rule(study: Study) -> str:
    """Return when a run of this study has collapsed: by which metrics, in whose features, below which thresholds.

    Where that is not the default rule, the default's count stands beside it.
    """
    told, runs = _rule(study, study.settings), study.collapse_counts.total
    if not study.collapse_counts.changed or not runs.judged:
        return told
    return (
        f"{told}; so {runs.by_study} of {runs.judged} runs collapsed. The default rule ("
        f"{_rule(study, study.settings.model_copy(update=DEFAULT_COLLAPSE))}) finds {runs.by_default}"
    )


def _rule(study: Study, settings: EvaluationSettings) -> str:
    extractor = _deciding_extractor(study)
    limits = []
    if settings.collapse_coverage > 0:
        limits.append(
            f"{_title('coverage', extractor)} is below {100 * settings.collapse_coverage:g}\u00a0% of real images’"
        )
    if settings.collapse_unique > 0:
        limits.append(f"{_title('unique', extractor)} is below {100 * settings.collapse_unique:g}\u00a0%")
    if not limits:
        return "never: both thresholds are 0 in this study"
    off = "" if settings.collapse_coverage > 0 else "; coverage does not count: its threshold is 0 in this study"
    return f"at the final step, {', or '.join(limits)}{off}"


def collapse_reason(study: Study, run: Run) -> str:
    """Return by which values a collapsed run is one, each with its threshold."""
    settings = study.settings
    final = matching(study.results, run=run.path, generator=study.plan["generator"], final=True)
    lines = [{"metric": row.metric, "value": row.value, "floor": row.floor} for row in final.itertuples()]
    evidence = collapse_evidence(lines, settings)
    if evidence is None:
        return ""
    reasons = []
    if evidence.covers_too_little(settings):
        reasons.append(
            f"{_title('coverage', evidence.extractor)} is {format_number(evidence.coverage)}, below "
            f"{settings.collapse_coverage:g} of real images’ {format_number(evidence.coverage_floor)}"
        )
    if evidence.repeats_too_much(settings):
        reasons.append(
            f"{_title('unique', evidence.extractor)} is {format_number(evidence.unique)}, "
            f"below {settings.collapse_unique:g}"
        )
    return "; ".join(reasons)


def _deciding_extractor(study: Study) -> str:
    """Return the first extractor that measured both metrics; the first of all where nothing was measured yet."""
    measured = set(study.results["metric"].dropna().unique())
    both = (name for name in study.settings.labels if {f"coverage_{name}", f"unique_{name}"} <= measured)
    return next(both, study.settings.labels[0])


def _title(metric: str, extractor: str) -> str:
    return describe_metric(f"{metric}_{extractor}").title
