"""manifest.json: a checksum of everything that a report is made of and consists of, so that a change can be named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.report.model import ReportOptions
from bench.report.render.made_by import made_by
from bench.report.study import Study
from bench.runs.portable import portable_digest

SCHEMA = 1
MANIFEST = "manifest.json"
RUN_FILES = ("spec.json", "metrics.jsonl", "log.jsonl", "status.json")


def manifest(study: Study, plan_file: bytes, written: Mapping[str, str], options: ReportOptions) -> dict[str, Any]:
    """Return what manifest.json says: what made the report, its files (`written`, name to SHA-256), options, its runs'
    files, and what the runs come from (images, code, environments), which `bench compare` reads where they are not.
    """
    ids = {run["path"]: run["id"] for run in study.plan["runs"]}
    environments = _distinct(run.environment for run in study.runs if run.environment)
    return {
        "schema": SCHEMA,
        "made_by": made_by(),
        "study": study.plan["study"],
        "evaluation_id": study.plan["evaluation_id"],
        "plan_sha256": hashlib.sha256(plan_file).hexdigest(),
        "options": asdict(options),
        "files": dict(sorted(written.items())),
        "data_sha256": next((run.status.data_sha256 for run in study.runs if run.status.data_sha256), None),
        "environments": environments,
        "runs": [
            {
                "path": run.path,
                "id": ids[run.path],
                "state": run.state,
                "code": run.code,
                "environment": environments.index(run.environment) if run.environment else None,
                "files": _digests(run.folder.path),
            }
            for run in study.runs
        ],
    }


def _distinct(environments: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the environments that differ, in the order in which runs have them."""
    return [json.loads(text) for text in dict.fromkeys(json.dumps(one, sort_keys=True) for one in environments)]


def options_of(written: Mapping[str, Any]) -> ReportOptions:
    """Return the options that a report was made with. Raises BenchError for what this version does not know."""
    given, known = written.get("options", {}), asdict(ReportOptions())
    right = isinstance(given, dict) and all(
        name in known and type(value) is type(known[name]) and (value is False or value >= 1)
        for name, value in given.items()
    )
    if not right:
        raise BenchError(f"{MANIFEST}: its options are not those of this version of bench: {given}")
    return ReportOptions(**given)


def _digests(folder: Path) -> dict[str, str]:
    return {name: portable_digest(folder / name) for name in RUN_FILES if (folder / name).is_file()}
