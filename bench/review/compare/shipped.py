"""What ships with a report: manifest.json, plan.json and results.csv, and the statistics that these give."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import BenchError
from bench.files import read_json, sha256_file
from bench.metrics.settings import EVALUATION_VERSION
from bench.report.render.manifest import MANIFEST
from bench.review.verify import read_manifest
from bench.runs.folder import PLAN_FILE, evaluation_settings
from bench.statistics import StudyStatistics, Summary, study_statistics, twins_of
from bench.statistics.results import matching, read_results

Cell = tuple[str, str]
"""Protocol and label: one row of a report."""
_READ = (PLAN_FILE, "results.csv")


@dataclass(frozen=True)
class ShippedRun:
    """One planned run as a report names it; `code` and `log_sha256` are empty where the report does not say."""

    seed: int
    id: str
    code: Mapping[str, str]
    log_sha256: str


@dataclass(frozen=True)
class Shipped:
    """A report as its folder holds it; `edited` names files that are not as the report wrote them."""

    folder: Path
    manifest: Mapping[str, Any]
    plan: Mapping[str, Any]
    results: pd.DataFrame
    statistics: StudyStatistics
    edited: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.plan["study"])

    @property
    def primary(self) -> str:
        return str(self.plan["primary_metric"])

    @property
    def aside(self) -> set[str]:
        """Return the labels of A/A arms, which take no part in comparisons."""
        return set(twins_of(self.plan))

    @cached_property
    def entries(self) -> dict[Cell, Mapping[str, Any]]:
        return {(entry["protocol"], entry["label"]): entry for entry in self.plan["entries"]}

    @cached_property
    def summaries(self) -> dict[tuple[Cell, str], Summary]:
        return {((s.protocol, s.label), s.metric): s for s in self.statistics.summaries}

    @cached_property
    def metrics(self) -> list[str]:
        """Return every metric that has a summary, the primary first."""
        return list(dict.fromkeys(metric for _, metric in self.summaries))

    @cached_property
    def runs(self) -> dict[Cell, list[ShippedRun]]:
        told = {run["path"]: run for run in self.manifest["runs"]}
        runs: dict[Cell, list[ShippedRun]] = {}
        for planned in self.plan["runs"]:
            known = told.get(planned["path"], {})
            digest = known.get("files", {}).get("log.jsonl", "")
            run = ShippedRun(planned["seed"], planned["id"], known.get("code", {}), digest)
            runs.setdefault((planned["protocol"], planned["label"]), []).append(run)
        return runs

    @property
    def evaluation_version(self) -> str:
        """Return the version of the evaluation's code, as far as it can be told from the evaluation's id."""
        try:
            present = evaluation_settings(self.plan).id()
        except ValueError:  # settings that this version does not know
            present = ""
        return str(EVALUATION_VERSION) if present == self.plan["evaluation_id"] else "another"

    @cached_property
    def measured(self) -> dict[str, tuple[str, ...]]:
        """Return on what each metric was measured at the final step, such as "1,000 samples, 1,000 heldout images"."""
        final = matching(self.results, final=True, generator=self.plan["generator"])
        facts = final[["metric", "samples", "reference", "reference_samples"]].dropna(subset=["metric"])
        measured: dict[str, set[str]] = {}
        for row in facts.drop_duplicates().to_dict("records"):
            held = "–" if pd.isna(row["reference_samples"]) else f"{row['reference_samples']:,}"
            words = f"{row['samples']:,} samples, {held} {row['reference']} images"
            measured.setdefault(str(row["metric"]), set()).add(words)
        return {metric: tuple(sorted(words)) for metric, words in measured.items()}


def read_shipped(folder: Path) -> Shipped:
    """Read a report's folder. Raises BenchError where a file is missing or says nothing that can be compared."""
    manifest = read_manifest(folder)
    for name in _READ:
        if not (folder / name).is_file():
            raise BenchError(
                f"{folder} holds no {name}, which a comparison reads",
                hint="`bench report` writes it; `bench verify` says what else is missing.",
            )
    edited = tuple(name for name in _READ if manifest.get("files", {}).get(name) != sha256_file(folder / name))
    plan, results = read_json(folder / PLAN_FILE), read_results(folder / "results.csv")
    try:
        shipped = Shipped(folder, manifest, plan, results, study_statistics(results, plan), edited)
        _ = (shipped.entries, shipped.runs, shipped.measured)
    except (BenchError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"{folder}: {PLAN_FILE}, results.csv and {MANIFEST} give no statistics: {error!r}",
            hint=f"`bench verify {folder}` names what was changed.",
        ) from error
    return shipped


def common(first: Shipped, second: Shipped, without: Collection[str]) -> list[Cell]:
    """Return the entries that both reports have, in the first one's order."""
    return [cell for cell in first.entries if cell in second.entries and cell[1] not in without]
