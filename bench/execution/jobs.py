"""A run on its way through the pool."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from bench.clusters.cluster import Standing
from bench.runs.folder import Failure, RunFolder, Status
from bench.runs.plan import RunSpec

Outcome = Literal["done", "diverged", "failed", "interrupted", "taken"]
Stage = Literal["train", "evaluate"]


@dataclass
class Job:
    """A run on its way through the pool.

    `seconds` is what the rest of its training is thought to take, and `evaluation_seconds` measuring it, by type of
    device; `share_before` is how much of its training was done before;
    `stage` is "evaluate" once its worker has nothing to train and a worker of its own evaluates it; `failures` are
    those of this pool's attempts; `avoid` is the device that the next attempt should not be made on. A job is `taken`
    when another process works on the run; one that may `insist` displaces an owner that no lock tells of. `saved` tells
    of an interrupted one whether nothing of it is lost. `standing` is where a run is that a cluster has.
    """

    spec: RunSpec
    folder: RunFolder
    seconds: Mapping[str, float] = field(default_factory=dict)
    evaluation_seconds: Mapping[str, float] = field(default_factory=dict)
    share_before: float = 0.0
    stage: Stage = "train"
    failures: list[Failure] = field(default_factory=list)
    avoid: str | None = None
    device: str | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    finished: float = 0.0
    outcome: Outcome | None = None
    reason: str | None = None
    saved: bool = True
    status: Status = field(default_factory=Status)
    heard: float = 0.0  # when its status last changed while it ran
    before: Status | None = None  # its status when the pool was given it
    failures_before: int = 0  # how many its status held when this attempt began
    log_before: int = 0  # how many bytes of worker.log are of earlier attempts
    insist: bool = False
    standing: Standing | None = None

    @cached_property
    def path(self) -> str:
        """The run's folder below its study's."""
        return self.spec.folder.as_posix()

    @property
    def running(self) -> bool:
        """Whether it goes now, in a process of this pool or with a cluster."""
        away = self.standing is not None and self.standing.state == "running"
        return (self.process is not None or away) and self.outcome is None

    def taken_by_another(self) -> str | None:
        """Return why there is nothing to do here: another process is at the run, or has finished it since."""
        if self.folder.is_locked() and not self.insist:
            return "another process is at it"
        now = self.folder.status()
        trained = now.state == "diverged" or (now.state == "done" and now.reason is None)
        measured = now.phase is None and now.metric_lines is not None and not self.folder.again_file.exists()
        changed = self.before is not None and now != self.before and not self.failures  # which this pool wrote
        return "another process has done it" if changed and trained and measured else None
