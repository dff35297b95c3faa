"""What decides a report's bytes beside its runs: bench's own code, the packages that compute and draw, the machine.

A report that comes out otherwise where these are others need not have been tampered with.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from bench.runs.identity import code_hash
from bench.version import __version__

_PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "pillow", "jinja2")


def made_by() -> dict[str, str]:
    """Return what makes reports here: bench's version, a hash of its code that reports, packages, system."""
    return {
        "bench": __version__,
        "code": code_hash("report"),
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
