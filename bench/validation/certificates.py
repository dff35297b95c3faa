"""What was measured of the package's objectives over several ranks; written by benchmarks/rank_certificates.py."""

from __future__ import annotations

from pathlib import Path

from bench.files import read_json

RANKS_FILE = Path(__file__).parent / "rank_certificates.json"


def rank_certificate(name: str) -> str:
    """Say how the package's objective over several processes agreed with one; "" where that was not measured."""
    if not RANKS_FILE.is_file():
        return ""
    measured = read_json(RANKS_FILE)
    rows = measured["rows"].get(name, [])
    if not rows:
        return ""
    counts = " and ".join(str(row["ranks"]) for row in rows)
    gradients, weights = (max(row[what] for row in rows) for what in ("gradients", "weights"))
    return (
        f"{counts} ranks against one in float64: gradients of a step within {gradients:.0e}, weights after "
        f"{rows[0]['steps']} steps within {weights:.0e}, relatively ({measured['backend']}, torch {measured['torch']})"
    )
