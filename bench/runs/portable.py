"""What of a run is the same on every machine: its identity, its records without folder names, and where it came from.

spec.json keeps where this machine's images and own objectives lie, and a reason in status.json may quote a path. Both
are left out of what leaves the machine and of checksums, so that a report fits its runs wherever they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import CHECKSUM, parsed_json, read_json, summed

IMPORTED_FILE = "imported.json"  # in the folder of a run that came out of an archive: which one

_POSIX_FOLDER = re.compile(r"""(?<![\w/.\\])~?/(?!/)(?:[^\s/'"<>|{}()]+/)+""")
_WINDOWS_FOLDER = re.compile(r"""\b[A-Za-z]:\\(?:[^\s\\'"<>|]+\\)+""")


def training_id(training: Mapping[str, Any]) -> str:
    """Return a run's id, ten hexadecimal digits: the hash of what spec.json has as `training`, but for its paths."""
    values = dict(training)
    values["data"] = {key: value for key, value in training["data"].items() if key != "path"}
    values["objective"] = {key: value for key, value in training["objective"].items() if key != "file"}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def portable_record(path: Path) -> bytes:
    """Return the bytes of a run's file as they may leave this machine: as they are wherever no folder is named."""
    content = path.read_bytes()
    change = {"spec.json": _without_paths, "status.json": _with_plain_reason}.get(path.name)
    if change is None:
        return content
    try:
        values = parsed_json(content, path)
        changed = change(values)
    except (BenchError, KeyError, TypeError, AttributeError):  # damaged: what it is a checksum will tell
        return content
    if changed == values:
        return content
    record = summed(changed) if CHECKSUM in json.loads(content) else changed
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def portable_digest(path: Path) -> str:
    """Return the SHA-256 of `portable_record`."""
    return hashlib.sha256(portable_record(path)).hexdigest()


def without_folders(text: str) -> str:
    """Shorten every absolute path in a text to its last part: "/a/b/c.png" becomes ".../c.png"."""
    home = str(Path.home())
    if home != Path(home).anchor:
        text = text.replace(f"{home}/", "~/")  # its name may hold spaces, which end a path below
    return _WINDOWS_FOLDER.sub(r"...\\", _POSIX_FOLDER.sub(".../", text))


def imported_from(run: Path) -> dict[str, Any] | None:
    """Return what imported.json says of the run in this folder; None for a run that was begun here."""
    if not (run / IMPORTED_FILE).is_file():
        return None
    values = read_json(run / IMPORTED_FILE)
    assert isinstance(values, dict)
    return values


def _without_paths(spec: dict[str, Any]) -> dict[str, Any]:
    training = spec["training"]
    data, objective = training["data"] | {"path": None}, training["objective"] | {"file": None}
    return spec | {
        "training": training | {"data": data, "objective": objective},
        **({"evaluation": without_places(spec["evaluation"])} if "evaluation" in spec else {}),
    }


def without_places(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return evaluation settings, as a record has them, with the files of own extractors and metrics by name alone."""
    values = dict(evaluation)
    for kind in ("extractor", "metric"):
        if kind in values:
            values[kind] = {name: _with_plain_files(table) for name, table in values[kind].items()}
    return values


def _with_plain_files(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: re.split(r"[\\/]", value)[-1] if key in ("file", "weights") and value else value
        for key, value in table.items()
    }


def _with_plain_reason(status: dict[str, Any]) -> dict[str, Any]:
    return status | {"reason": without_folders(status["reason"])} if status.get("reason") else status
