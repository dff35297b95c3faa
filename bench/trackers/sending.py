"""What of a study's runs a tracker has not been sent yet, and sending it: log lines, scores with floors, sample grids.

What was sent is kept beside the tracker's own files, in `<folder>/<tracker>/sent/`, so that nothing is sent twice: a
continued run repeats the steps after its checkpoint with the same bits. Run folders are read and never written.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import read_json, write_json
from bench.runs.folder import PLAN_FILE, RunFolder, read_plan, run_folder
from bench.runs.latest import JsonLines, grids_of
from bench.trackers.adapters import TRACKERS, Point, RunFacts, Stream

_GROUPS = ("discriminator", "generator", "observed", "learning_rate")
_ENDED = ("done", "diverged", "failed")


@dataclass
class Sent:
    """What a tracker has of one stream: the last logged step, the scores by name and step, the grids' steps."""

    stream: str
    log: int = 0
    scores: list[str] = field(default_factory=list)
    grids: list[int] = field(default_factory=list)
    state: str | None = None  # in which the stream was closed


@dataclass
class _Following:
    folder: RunFolder
    log: JsonLines
    metrics: JsonLines
    facts: RunFacts
    sent: Sent
    stream: Stream | None = None
    moments: dict[int, float] = field(default_factory=dict)  # of logged steps


class Sender:
    """Sends what is new of a study's runs to one tracker, every time that `send` is called.

    folder     where the tracker's files and what was sent are kept
    again      send everything anew, as to a tracker that was emptied
    left_out   why the last `send` left runs out, by their paths: what is kept of them is damaged
    """

    def __init__(self, tracker: str, runs_root: Path, study: str, folder: Path, *, again: bool = False) -> None:
        self.tracker = tracker
        self._root, self._study = runs_root, study
        self._folder = folder / tracker
        self._again = again
        self._runs: dict[str, _Following] = {}
        self.left_out: dict[str, str] = {}

    def send(self) -> int:
        """Send what is new of every run and return how many values and grids that were; 0 before there is a plan."""
        if not (self._root / self._study / PLAN_FILE).is_file():
            return 0
        count = 0
        self.left_out = {}
        for planned in read_plan(self._root, self._study)["runs"]:
            folder = run_folder(self._root / self._study, planned["path"])
            try:
                count += self._send_run(planned, folder)
            except (BenchError, FileNotFoundError) as error:
                if not folder.path.exists():  # it was moved aside meanwhile
                    continue
                if not isinstance(error, BenchError):
                    raise
                self.left_out[planned["path"]] = error.message  # one damaged run keeps no other from being sent
        return count

    def close(self) -> None:
        """End the streams of runs that go on; a later sender takes them up."""
        for run in self._runs.values():
            if run.stream is not None:
                run.stream.close(None)
                run.stream = None

    def _send_run(self, planned: Mapping[str, Any], folder: RunFolder) -> int:
        if not folder.log_file.exists() or not folder.spec_file.exists():
            return 0
        run = self._following(planned, folder)
        count = self._send_log(run) + self._send_scores(run) + self._send_grids(run)
        status = folder.status()
        ended = status.state if status.state in _ENDED and status.phase is None else None
        if ended is not None and run.sent.state != ended:
            self._stream(run).close(ended)
            run.stream, run.sent.state = None, ended
            self._remember(run)
        return count

    def _following(self, planned: Mapping[str, Any], folder: RunFolder) -> _Following:
        spec = read_json(folder.spec_file)
        code = hashlib.sha256(json.dumps(spec["code"], sort_keys=True).encode()).hexdigest()[:6]
        stream = f"{planned['id']}-{code}"
        known = self._runs.get(planned["path"])
        if known is None or known.sent.stream != stream:
            facts = RunFacts(
                study=self._study,
                label=planned["label"],
                protocol=planned["protocol"],
                seed=planned["seed"],
                stream=stream,
                settings=dict(_flat(spec["training"])),
            )
            log, metrics = JsonLines(folder.log_file), JsonLines(folder.metrics_file)
            known = self._runs[planned["path"]] = _Following(folder, log, metrics, facts, self._recall(facts))
        return known

    def _send_log(self, run: _Following) -> int:
        _, lines = run.log.added()
        if not lines:
            return 0
        points = []
        written, last = run.folder.log_file.stat().st_mtime, float(lines[-1].get("device_seconds", 0.0))
        for line in lines:
            step = int(line["generator_steps"])
            # The log has no clock: its lines are as far apart as the training between them.
            moment = run.moments[step] = written - (last - float(line.get("device_seconds", last)))
            values = dict(_scalars_of_log(line))
            if step > run.sent.log and values:
                points.append(Point(step, values, moment))
        if not points:
            return 0
        self._stream(run).scalars(points)
        run.sent.log = points[-1].generator_steps
        self._took(run)
        return sum(len(point.values) for point in points)

    def _send_scores(self, run: _Following) -> int:
        _, lines = run.metrics.added()
        known, points = set(run.sent.scores), []
        for line in lines:
            step, values = int(line["generator_steps"]), dict(_scalars_of_metric(line))
            new = {name: value for name, value in values.items() if f"{name}@{step}" not in known}
            if new:
                known |= {f"{name}@{step}" for name in new}
                points.append(Point(step, new, run.moments.get(step, run.folder.metrics_file.stat().st_mtime)))
        if not points:
            return 0
        self._stream(run).scalars(points)
        run.sent.scores = sorted(known)
        self._took(run)
        return sum(len(point.values) for point in points)

    def _send_grids(self, run: _Following) -> int:
        new = {step: path for step, path in sorted(grids_of(run.folder).items()) if step not in run.sent.grids}
        for step, path in new.items():
            self._stream(run).grid(step, path, run.moments.get(step, path.stat().st_mtime))
            run.sent.grids.append(step)
            self._took(run)
        return len(new)

    def _stream(self, run: _Following) -> Stream:
        if run.stream is None:
            run.stream = TRACKERS[self.tracker].open(run.facts, self._folder)
        return run.stream

    def _sent_file(self, facts: RunFacts) -> Path:
        return self._folder / "sent" / facts.study / facts.row / f"seed-{facts.seed}-{facts.stream}.json"

    def _recall(self, facts: RunFacts) -> Sent:
        path = self._sent_file(facts)
        if self._again or not path.is_file():
            return Sent(facts.stream)
        try:
            return Sent(**read_json(path))
        except TypeError as error:
            raise BenchError(f"{path} does not say what was sent; without it everything is sent anew") from error

    def _took(self, run: _Following) -> None:
        """Keep that the tracker has what it was just given: what it is given next may fail."""
        self._stream(run).flush()
        run.sent.state = None
        self._remember(run)

    def _remember(self, run: _Following) -> None:
        write_json(self._sent_file(run.facts), vars(run.sent))


def _scalars_of_log(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield a log line's values by name, such as "discriminator/real"; what is not finite has none."""
    for group in _GROUPS:
        for term, value in (line.get(group) or {}).items():
            if isinstance(value, int | float) and math.isfinite(value):
                yield f"{group}/{term}", float(value)


def _scalars_of_metric(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield a score and its real-against-real floor, named with N and the generator: "metrics/fd_lite0_n300/raw"."""
    seed = f"/latents-{line['sample_seed']}" if line.get("sample_seed") else ""
    name = f"{str(line['metric']).partition('@')[0]}_n{line['samples']}/{line['generator']}{seed}"
    for group, value in (("metrics", line.get("value")), ("floors", line.get("floor"))):
        if isinstance(value, int | float) and math.isfinite(value):
            yield f"{group}/{name}", float(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, str | int | float | bool):
            if key not in ("path", "file"):  # where things lie on this machine is nobody's business
                yield f"{prefix}{key}", value
        elif value is not None:
            yield f"{prefix}{key}", json.dumps(value)
