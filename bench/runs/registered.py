"""Predictions in a study's plan.json: what was predicted when, and how many runs were finished by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.config.predictions import Prediction
from bench.errors import BenchError
from bench.files import read_json


def registrations(
    plan_file: Path, predictions: Sequence[Prediction], finished: Callable[[], int]
) -> list[dict[str, Any]]:
    """Return what stands under `predictions` in a plan: one entry per time that they changed, the newest last.

    Each says when (UTC), how many of the study's runs were finished then (`finished` counts them), and what was
    predicted. Entries are added and never rewritten; [] for a study that never predicted anything.
    """
    try:
        plan = read_json(plan_file) if plan_file.exists() else {}
        history = list(plan.get("predictions", []))
    except (BenchError, AttributeError):
        plan, history = {}, []
    now = [prediction.model_dump(mode="json") for prediction in predictions]
    if now == predictions_of(plan):
        return history
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return [*history, {"registered": when, "finished_runs": finished(), "predictions": now}]


def predictions_of(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the predictions that a plan holds now, the newest registration; [] for none."""
    registered = plan.get("predictions") or []
    return list(registered[-1]["predictions"]) if registered else []
