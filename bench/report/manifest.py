"""manifest.json: a checksum of everything that a report is made of and consists of, so that a change can be named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import __version__
from bench.portable import portable_digest
from bench.report.study import Study

SCHEMA = 1
MANIFEST = "manifest.json"
RUN_FILES = ("spec.json", "metrics.jsonl", "log.jsonl", "status.json")


def manifest(study: Study, plan_file: bytes, written: Mapping[str, str]) -> dict[str, Any]:
    """Return what manifest.json says: the report's files (`written`, name to SHA-256) and its runs' files."""
    ids = {run["path"]: run["id"] for run in study.plan["runs"]}
    return {
        "schema": SCHEMA,
        "bench_version": __version__,
        "study": study.plan["study"],
        "evaluation_id": study.plan["evaluation_id"],
        "plan_sha256": hashlib.sha256(plan_file).hexdigest(),
        "files": dict(sorted(written.items())),
        "runs": [
            {"path": run.path, "id": ids[run.path], "state": run.state, "files": _digests(run.folder.path)}
            for run in study.runs
        ],
    }


def _digests(folder: Path) -> dict[str, str]:
    return {name: portable_digest(folder / name) for name in RUN_FILES if (folder / name).is_file()}
