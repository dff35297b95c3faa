"""File names of figures: a label is safe as it is, anything else is made so."""

from __future__ import annotations

import hashlib
import re


def file_stem(name: str) -> str:
    """Return `name` where it is a plain file name, else a plain one that no other name gets."""
    plain = re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).strip(".-")[:80]
    return plain if plain == name and plain else f"{plain or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
