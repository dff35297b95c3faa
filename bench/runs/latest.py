"""The newest of a run, while it goes: its loss terms, its score, its sample grid. Reads what was added, and no torch.

Whoever looks at hundreds of runs every few seconds cannot read every log whole each time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.files import CHECKSUM
from bench.formatting import format_number
from bench.runs.folder import RunFolder

LAST_BYTES = 1 << 16  # of a log: its last lines
PLAYERS = {"discriminator": "D", "generator": "G"}


class JsonLines:
    """What is added to a JSON-lines file from one reading to the next.

    A run that is continued from a checkpoint cuts its log back and writes the rest anew: that is noticed, and the file
    is read from its beginning. Each line's checksum covers the lines before it, so the last line tells. Checksums are
    not recomputed here: this is for watching, and `bench.files.read_jsonl` is for evidence.

    from_end   read no more than so many bytes at first, the file's last
    """

    def __init__(self, path: Path, from_end: int | None = None) -> None:
        self._path = path
        self._from_end = from_end
        self._read = 0
        self._last = b""
        self._seen: tuple[int, int] | None = None

    def added(self) -> tuple[bool, list[dict[str, Any]]]:
        """Return the whole lines since the last call, and whether they replace all that were read before."""
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_size) == self._seen:
                return False, []
            with self._path.open("rb") as file:
                replaced = self._read > 0 and not self._goes_on(file)
                if replaced:
                    self._read, self._last = 0, b""
                whole = self._unread(file, found.st_size)
        except OSError:  # there is none, or none any more: its run is begun again
            replaced, self._read, self._last, self._seen = self._read > 0, 0, b"", None
            return replaced, []
        self._seen = (found.st_mtime_ns, found.st_size)
        whole = whole[: whole.rfind(b"\n") + 1]
        if whole:
            self._read += len(whole)
            self._last = whole[whole.rstrip(b"\n").rfind(b"\n") + 1 :]
        return replaced, list(_parsed(whole))

    def _unread(self, file: Any, size: int) -> bytes:
        if self._read == 0 and self._from_end is not None and size > self._from_end:
            file.seek(size - self._from_end)
            part = file.readline()  # the end of a line whose beginning was left out
            self._read = size - self._from_end + len(part)
        file.seek(self._read)
        return bytes(file.read())

    def _goes_on(self, file: Any) -> bool:
        file.seek(self._read - len(self._last))
        return bool(file.read(len(self._last)) == self._last)


def _parsed(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue  # `bench report` names it
        if isinstance(value, dict):
            value.pop(CHECKSUM, None)
            yield value


@dataclass(frozen=True)
class Score:
    """The primary metric of a run at a step, on so many samples, and the same of real images; means over sample seeds.

    On fewer samples than at the last step a metric is another one, and named so: "fd_lite0@500".
    """

    metric: str
    value: float
    generator_steps: int
    samples: int
    floor: float | None = None

    def __str__(self) -> str:
        return f"{self.metric} {format_number(self.value)}"


@dataclass(frozen=True)
class Latest:
    """The newest that is known of a run: each player's loss terms at `logged_step`, its score, its grid.

    `curve` holds the scores that can be compared over steps, in order: all of one number of samples.
    """

    losses: dict[str, dict[str, float | None]]
    logged_step: int = 0
    score: Score | None = None
    curve: tuple[Score, ...] = ()
    grid: Path | None = None
    grid_step: int = 0

    def losses_in_words(self) -> str:
        """Return the loss terms as in "D real 0.693, fake 0.701; G fake 0.688"."""
        players = (
            f"{PLAYERS[player]} " + ", ".join(f"{term} {_short(value)}" for term, value in self.losses[player].items())
            for player in PLAYERS
            if self.losses.get(player)
        )
        return "; ".join(players)


def _short(value: float | None) -> str:
    return "not finite" if value is None or not math.isfinite(value) else format_number(value)


class Follower:
    """Follows one run's folder: `latest()` reads what is new and returns the newest of everything."""

    def __init__(self, folder: RunFolder, metric: str, generator: str, evaluation_id: str | None) -> None:
        self._folder = folder
        self._metric, self._generator, self._evaluation_id = metric, generator, evaluation_id
        self._log = JsonLines(folder.log_file, from_end=LAST_BYTES)
        self._metrics = JsonLines(folder.metrics_file)
        self._line: dict[str, Any] = {}
        self._scores: dict[str, dict[int, dict[int, Score]]] = {}  # by name, step and sample seed

    def latest(self) -> Latest:
        replaced, lines = self._log.added()
        self._line = lines[-1] if lines else {} if replaced else self._line
        replaced, measured = self._metrics.added()
        if replaced:
            self._scores.clear()
        for line in measured:
            if (score := score_of(line, self._metric, self._generator, self._evaluation_id)) is not None:
                at_step = self._scores.setdefault(score.metric, {}).setdefault(score.generator_steps, {})
                at_step.setdefault(int(line.get("sample_seed", 0)), score)
        curve = max(self._scores.values(), key=len, default={})
        newest = [_mean(scores[max(scores)]) for scores in self._scores.values()]
        grids = grids_of(self._folder)
        return Latest(
            losses={player: self._line[player] for player in PLAYERS if self._line.get(player)},
            logged_step=int(self._line.get("generator_steps", 0)),
            score=max(newest, key=lambda score: (score.generator_steps, score.samples), default=None),
            curve=tuple(_mean(curve[step]) for step in sorted(curve)),
            grid=grids[max(grids)] if grids else None,
            grid_step=max(grids, default=0),
        )


def _mean(by_seed: Mapping[int, Score]) -> Score:
    """Return a run's score at a step, as the report takes it: the mean over the sample seeds measured so far."""
    scores = list(by_seed.values())
    floors = [score.floor for score in scores if score.floor is not None]
    return replace(scores[0], value=fmean(score.value for score in scores), floor=fmean(floors) if floors else None)


def score_of(line: dict[str, Any], metric: str, generator: str, evaluation_id: str | None) -> Score | None:
    """Return a line of metrics.jsonl as a score; None where it is of another metric, generator or settings."""
    if str(line.get("metric")).partition("@")[0] != metric or line.get("generator") != generator:
        return None
    if evaluation_id is not None and line.get("evaluation_id") != evaluation_id:
        return None
    if not isinstance(line.get("value"), int | float) or not math.isfinite(line["value"]):
        return None
    return Score(line["metric"], line["value"], line["generator_steps"], line["samples"], line.get("floor"))


def grids_of(folder: RunFolder) -> dict[int, Path]:
    """Return the run's sample grids by generator step."""
    named = ((path.stem.removeprefix("step-"), path) for path in folder.samples.glob("step-*.png"))
    return {int(step): path for step, path in named if step.isdigit()}
