"""`[cluster.NAME]` in bench.toml: where runs go beyond this machine. No part of any study, nor of a run's identity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from bench.config.recipe import Table
from bench.errors import BenchError, suggest

# What bench says to sbatch itself.
_OWN_OPTIONS = re.compile(r"--(array|job-name|output|signal|open-mode|requeue|no-requeue|time|mem)\b|-[aJot]\b")


class ClusterSettings(Table):
    """A cluster that takes runs: its kind, what a job of it asks for, and how it is set up.

    kind                 `slurm` (sbatch and squeue, as they are on a login node), or `ray` (a Ray cluster that runs)
    gpus                 GPUs of a job; 0: its runs go on CPUs
    cpus                 cores of a job (not given: threads x runs at a time + 1)
    memory_gb            memory of a job, in GB (not given: what the cluster gives)
    minutes              Slurm's time limit of a job (not given: the partition's); longer runs take several turns
    at_a_time            jobs of one submission that may go at a time (not given: no limit)
    runs_per_job         runs that share a job: for sites that give whole nodes, or count jobs
    per_device           runs at a time on each GPU of a job, or on its CPUs
    checkpoint_seconds   seconds between a run's checkpoints
    status_seconds       seconds between two words of a run on how far it is
    options              of sbatch, as they are typed there; for Ray, resources that a job takes, as "spot=1"
    setup                lines of shell before Python is started, such as "module load cuda"
    address              of a Ray cluster: `auto` (this machine is a node), "HOST:PORT" or "ray://HOST:PORT"
    """

    kind: Literal["slurm", "ray"] = "slurm"
    gpus: int = Field(1, ge=0)
    cpus: int | None = Field(None, ge=1)
    memory_gb: float | None = Field(None, gt=0)
    minutes: int | None = Field(None, ge=1)
    at_a_time: int | None = Field(None, ge=1)
    runs_per_job: int = Field(1, ge=1)
    per_device: int = Field(1, ge=1)
    checkpoint_seconds: float = Field(300.0, ge=0)
    status_seconds: float = Field(10.0, ge=0)
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    address: str = "auto"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ClusterSettings:
        if self.kind == "ray" and self.minutes is not None:
            raise ValueError("Ray has no time limits: leave out `minutes`")
        for option in self.options:
            if self.kind == "slurm" and (own := _OWN_OPTIONS.match(option)):
                raise ValueError(f"`options` holds {own[0]}, which bench says itself (see minutes, memory_gb)")
            if self.kind == "ray" and not re.fullmatch(r"[^=\s]+=\d+(\.\d+)?", option):
                raise ValueError(f'`options` of a Ray cluster are resources such as "spot=1", not "{option}"')
        return self


def find_cluster(on: str, defined: Mapping[str, ClusterSettings]) -> ClusterSettings:
    """Return the cluster that `--on` names: a table, or "slurm", "ray" or a Ray address with default settings.

    Raises BenchError for another name.
    """
    if on in defined:
        return defined[on]
    if on == "slurm":
        return ClusterSettings(kind="slurm")
    if on == "ray":
        return ClusterSettings(kind="ray")
    if re.fullmatch(r"(ray://)?[\w.-]+:\d+", on):
        return ClusterSettings(kind="ray", address=on)
    names = [*defined, "slurm", "ray"]
    raise BenchError(
        f'There is no cluster "{on}"{suggest(on, names)}',
        hint=f"--on takes {', '.join(names)}, or the address of a Ray cluster; [cluster.NAME] in bench.toml adds one.",
    )
