"""What decides a report's bytes beside its runs: bench's own code, the packages that compute and draw, the machine.

A report that comes out otherwise where these are others need not have been tampered with.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import __version__

_BENCH = Path(__file__).parent.parent
_CODE = ("report", "statistics", "published", "results.py", "metrics_info.py", "evaluation_settings.py", "wording.py")
_PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "seaborn", "pillow", "jinja2")


def made_by() -> dict[str, str]:
    """Return what makes reports here: bench's version, a hash of its code that reports, packages, system."""
    return {
        "bench": __version__,
        "code": _code(),
        **{name: version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
    }


def made_otherwise(manifest: Mapping[str, Any]) -> str:
    """Return in what a report's makers, by its manifest.json, differ from those that are here; "" where in nothing."""
    there = manifest.get("made_by", {})
    parts = []
    for name, here in made_by().items():
        was = there.get(name, "unknown")
        if was != here:
            parts.append("other code of bench" if name == "code" else f"{name} {was} (here {here})")
    return ", ".join(parts)


def _code() -> str:
    digest = hashlib.sha256()
    for name in _CODE:
        path = _BENCH / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(_BENCH).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
