"""Figures that papers state for image data, and which of them may stand beside a study. Never imports torch.

tables.toml holds them: quoted, none is ours. A table stands beside a study of the same images at the same size that
measures the same metric with the TF-2015 Inception weights; every other difference of protocol is named beside it.
docs/published.md says why. (What papers state of rings, grids and stacked digits is in bench.validation.modes.)
"""

from bench.report.literature.matching import (
    Difference,
    matching_tables,
    protocol_differences,
    shared_metrics,
)
from bench.report.literature.tables import Figure, PublishedRow, PublishedTable, published_tables

__all__ = [
    "Difference",
    "Figure",
    "PublishedRow",
    "PublishedTable",
    "matching_tables",
    "protocol_differences",
    "published_tables",
    "shared_metrics",
]
