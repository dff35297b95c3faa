"""Predictions in a study's plan.json: what was predicted when, and how many runs were finished by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        history = list(read_json(plan_file).get("predictions", [])) if plan_file.exists() else []
    except (BenchError, AttributeError):
        history = []
    now = [prediction.model_dump(mode="json") for prediction in predictions]
    if now == (history[-1]["predictions"] if history else []):
        return history
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return [*history, {"registered": when, "finished_runs": finished(), "predictions": now}]
