"""A run directory: its layout, its status, and the lock and the mark that give it one owner at a time.

    runs/<study>/plan.json
    runs/<study>/<label>-<protocol>/seed-<n>-<id>/
        spec.json  card.json  environment.json  architecture.json  status.json  fingerprint.json
        log.jsonl  metrics.jsonl (metrics.again.jsonl)  checkpoint-*.ckpt  snapshots/  samples/

Every file is written atomically or appended line by line, so a run can be killed at any moment.
"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from bench.errors import BenchError
from bench.files import disk_error, is_held, leftovers, read_json, read_jsonl, write_record
from bench.owning import MARK, TAKE_OVER_SECONDS, Claim, Mark, check_owned, taken

if TYPE_CHECKING:
    from bench.metrics.settings import EvaluationSettings

SCHEMA = 1
PLAN_FILE = "plan.json"
OTHER_IMAGES = "other images than those that are here now"  # why a run is stale
# Pictures of a finished run, in its samples folder.
INTERPOLATIONS = "interpolations.png"
NEAREST = "nearest.png"
TRAVERSALS = "traversals.png"

State = Literal["planned", "running", "done", "diverged", "failed"]
# What a reader sees: a run that says "running" while nobody owns it was interrupted.
EffectiveState = Literal["planned", "running", "interrupted", "done", "diverged", "failed"]
LOST: tuple[EffectiveState, ...] = ("diverged", "failed")
"""The states of runs that are lost: results, the worst there are."""


# Why an attempt ended early. "input" and "code" would come again: what was asked does not fit, or the code is wrong.
FailureKind = Literal["memory", "device", "process", "code", "input", "other"]


@dataclass(frozen=True)
class Failure:
    """How an attempt at a run failed: on which device, at which generator step, and why."""

    device: str
    kind: FailureKind
    reason: str
    generator_steps: int = 0


@dataclass(frozen=True)
class Status:
    """What a run has come to. Counts are totals since step 0; `device_seconds` counts training alone.

    `evaluation_seconds` is what measuring it and drawing its pictures took, from the first metric on.
    `attempts` counts how often training was begun or taken up; `failures` holds every attempt that failed, in order,
    those that a later attempt made good included. `metric_lines` is how many lines metrics.jsonl has, so that lines cut
    off at its end are missed; None while they are written, and where an older version wrote them.
    """

    state: State = "planned"
    generator_steps: int = 0
    total_generator_steps: int = 0
    discriminator_steps: int = 0
    images_seen: int = 0
    device_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    metric_lines: int | None = None
    steps_per_second: float = 0.0
    attempts: int = 0
    reason: str | None = None
    device: str | None = None
    engine: str | None = None
    phase: str | None = None
    updated: str | None = None
    continued_on: list[str] = field(default_factory=list)
    data_sha256: dict[str, str] | None = None
    failures: list[Failure] = field(default_factory=list)
    schema: int = SCHEMA


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Paths only: nothing is read or made before a method is called."""

    path: Path

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"

    @property
    def spec_file(self) -> Path:
        return self.path / "spec.json"

    @property
    def card_file(self) -> Path:
        return self.path / "card.json"

    @property
    def environment_file(self) -> Path:
        return self.path / "environment.json"

    @property
    def architecture_file(self) -> Path:
        return self.path / "architecture.json"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    @property
    def fingerprint_file(self) -> Path:
        return self.path / "fingerprint.json"

    @property
    def accepted_file(self) -> Path:
        return self.path / "accepted.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def again_file(self) -> Path:
        """There while the run is measured again; it takes the place of metrics.jsonl when all is measured."""
        return self.path / "metrics.again.jsonl"

    @property
    def measuring_file(self) -> Path:
        """Where new metrics are written."""
        return self.again_file if self.again_file.exists() else self.metrics_file

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def snapshot_file(self, generator_steps: int) -> Path:
        return self.snapshots / f"step-{generator_steps:08d}.safetensors"

    def sample_file(self, generator_steps: int) -> Path:
        return self.samples / f"step-{generator_steps:08d}.png"

    def checkpoint_file(self, generator_steps: int) -> Path:
        return self.path / f"checkpoint-{generator_steps:08d}.ckpt"

    def snapshot_steps(self) -> list[int]:
        """Return the generator steps that have a snapshot, in order."""
        return sorted(_step_of(path) for path in self.snapshots.glob("step-*.safetensors"))

    def status(self) -> Status:
        """Read status.json; a run without one is planned. Raises BenchError on a file of another version."""
        if not self.status_file.exists():
            return Status()
        values = read_json(self.status_file)
        check_schema(values, self.status_file)
        known = {name: values[name] for name in Status.__dataclass_fields__ if name in values}
        known["failures"] = [Failure(**failure) for failure in known.get("failures", [])]
        return Status(**known)

    def write_status(self, status: Status) -> None:
        """Replace status.json, stamped with the present time."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_record(self.status_file, asdict(replace(status, updated=now)))

    def accepted_code(self, code: dict[str, str]) -> str | None:
        """Return how the run was accepted as one of `code`, which did not train it: "fingerprint", "name" or None."""
        return next((str(entry["by"]) for entry in self._accepted() if entry["code"] == code), None)

    def proved_code(self) -> list[dict[str, str]]:
        """Return the versions of the code that were proved to give the run's bits, beside the one that trained it."""
        return [entry["code"] for entry in self._accepted() if entry["by"] == "fingerprint"]

    def _accepted(self) -> list[dict[str, Any]]:
        values = read_json(self.accepted_file) if self.accepted_file.exists() else []
        return list(values["accepted"] if isinstance(values, dict) else values)  # a bare list has no checksum: older

    def accept_code(self, code: dict[str, str], by: Literal["fingerprint", "name"]) -> None:
        """Record that the run counts as one of `code`: its row gives the same bits there, or a user says so."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_record(self.accepted_file, {"accepted": [*self._accepted(), {"code": code, "by": by, "at": now}]})

    def saw_others_than(self, images: Mapping[str, str] | None) -> bool:
        """Tell whether the run saw other images than those of these digests; False where one of them is not known."""
        return images is not None and self.status().data_sha256 not in (None, images)

    def effective_state(self) -> EffectiveState:
        """Return the state a reader should see: "interrupted" where a running run has lost its process."""
        state = self.status().state
        if state == "running" and not self.is_locked():
            return "interrupted"
        return state

    def is_locked(self) -> bool:
        """Tell whether a process owns this run now; writes nothing.

        Of a process on another machine that no lock tells of, its mark does. The mark's age is taken by this machine's
        clock: one that is wrong by a minute misjudges who is at work, and the mark still keeps the run to one owner.
        """
        held = is_held(self._lock_file)
        if held:
            return True
        mark = Mark.read(self.path)
        return mark is not None and mark.may_live(time.time(), locks_work=held is not None)

    @contextmanager
    def owned(self, *, take_over: bool = False) -> Iterator[None]:
        """Own the run: hold its lock, and put this process's mark there. A killed process frees it.

        Raises TakenError when another process has it. Where that holds no lock that reaches here but has touched its
        mark within a minute, `take_over` displaces it: it writes nothing more.
        """
        with self._lock_held() as locks_work:
            claim = Claim(self.path)
            try:
                self._claim(claim, locks_work, take_over)
                yield
            finally:
                claim.release()

    @contextmanager
    def _lock_held(self) -> Iterator[bool]:
        """Hold the run's lock, or nothing where the file system has none; tells which."""
        lock = FileLock(self._lock_file)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock_file.touch()
            locks_work = is_held(self._lock_file) is not None
            if locks_work:  # a FileLock of its own accord would be a file that outlives a dead machine
                # Who asks whether a run is locked holds the lock for an instant; a trainer holds it for the whole run.
                lock.acquire(timeout=2)
        except Timeout as error:
            raise taken(self.path) from error
        except OSError as error:
            raise disk_error(self._lock_file, error) from error
        try:
            yield locks_work
        finally:
            lock.release()

    def _claim(self, claim: Claim, locks_work: bool, take_over: bool) -> None:
        """Put this process's mark into the folder, where no other one lives or `take_over` allows to displace it."""
        try:
            before = Mark.read(self.path)
            now = self._lock_file.stat().st_mtime  # just touched: by the file system's clock
            lives = before is not None and before.may_live(now, locks_work=locks_work)
            if lives and not take_over:
                raise taken(self.path)
            claim.claim()
            if lives:  # what it was writing is there before anything is read
                time.sleep(TAKE_OVER_SECONDS)
                check_owned(self._lock_file)
        except OSError as error:
            raise disk_error(self.path / MARK, error) from error

    def leftovers(self) -> list[Path]:
        """Return what killed processes left: files that were not renamed into place, checkpoints of a trained run."""
        found = [path for folder in (self.path, self.snapshots, self.samples) for path in leftovers(folder)]
        return found + (self._checkpoints() if self.status().state in ("done", "diverged") else [])

    def sweep(self) -> None:
        """Delete what killed processes left, the word that a trained run is being measured too. Needs the lock held.

        One that was killed after the last metric had no time to say how many there are.
        """
        for path in self.leftovers():
            path.unlink(missing_ok=True)
        status = self.status()
        if status.state in ("done", "diverged") and status.phase is not None:
            lines = None if self.again_file.exists() else len(read_jsonl(self.metrics_file))
            self.write_status(replace(status, phase=None, metric_lines=lines))

    def damaged_snapshots(self) -> list[Path]:
        """Return the snapshots that are not as long as they say: cut off by a full disk or a copy that broke off."""
        return [path for path in sorted(self.snapshots.glob("step-*.safetensors")) if not _is_whole(path)]

    def begin_again(self, reason: str) -> None:
        """Take the run back to where nothing was trained. Call it with the lock held."""
        status, damaged = self.status(), self.damaged_snapshots()
        failure = Failure(status.device or "", "other", reason, status.generator_steps)
        self.write_status(Status(attempts=status.attempts, failures=[*status.failures, failure]))
        results = [self.again_file, self.metrics_file, self.log_file, *self._checkpoints(), *self.samples.glob("*")]
        # What is damaged goes last: a process killed before is begun again by the next.
        for path in [*results, *set(self.snapshots.glob("*")).difference(damaged), *damaged]:
            path.unlink(missing_ok=True)

    def _checkpoints(self) -> list[Path]:
        return list(self.path.glob("checkpoint-*.ckpt"))


def effective_state(run_folder: Path) -> EffectiveState:
    """Return what a reader should see of the run in `run_folder`; see RunFolder.effective_state."""
    return RunFolder(run_folder).effective_state()


def run_folder(study_folder: Path, relative: str) -> RunFolder:
    """Return a planned run's folder. Raises BenchError for a path that leaves the study's folder."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BenchError(f"{study_folder / PLAN_FILE} names a run outside of its folder: {relative!r}")
    return RunFolder(study_folder / path)


def check_schema(values: Any, path: Path) -> None:
    """Raise BenchError unless `values` was written by a version that this one can read."""
    found = values.get("schema") if isinstance(values, dict) else None
    if found != SCHEMA:
        raise BenchError(
            f"{path} was written by another version of bench (schema {found!r}, this one reads {SCHEMA})",
            hint="Use the version that wrote it, or move the folder away and run again.",
        )


def read_plan(runs_root: Path, study: str) -> dict[str, Any]:
    """Read runs/<study>/plan.json. Raises BenchError, naming what to type, when the study was never planned."""
    path = runs_root / study / PLAN_FILE
    if not path.exists():
        known = sorted(p.parent.name for p in runs_root.glob(f"*/{PLAN_FILE}"))
        there = f" Studies with runs in {runs_root}: {', '.join(known)}." if known else ""
        raise BenchError(
            f"Study {study!r} has no runs in {runs_root}.{there}",
            hint=f"Type `bench run --all --study {study}` to make them, or name their folder with --runs.",
        )
    plan = read_json(path)
    check_schema(plan, path)
    assert isinstance(plan, dict)
    return plan


def evaluation_settings(plan: Mapping[str, Any]) -> EvaluationSettings:
    """Return the evaluation settings that a plan.json holds."""
    from bench.metrics.settings import EvaluationSettings  # pydantic, which no `--help` waits for

    return EvaluationSettings.model_validate_json(json.dumps(plan["evaluation"]))


def _is_whole(path: Path) -> bool:
    """Tell whether a safetensors file has the length that its header says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return bool(size == 8 + length + max(ends, default=0))
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def _step_of(path: Path) -> int:
    match = re.fullmatch(r"step-(\d+)", path.stem)
    if match is None:
        raise BenchError(f"{path} is not a snapshot's name", hint="Move the file out of the run's folder.")
    return int(match[1])
