"""Which cluster settings mean."""

from __future__ import annotations

from bench.clusters.cluster import Cluster
from bench.config.clusters import ClusterSettings


def open_cluster(settings: ClusterSettings) -> Cluster:
    """Return the cluster of these settings; asks it nothing yet."""
    if settings.kind == "ray":
        from bench.clusters.ray import Ray

        return Ray(settings)
    from bench.clusters.slurm import Slurm

    return Slurm(settings)
