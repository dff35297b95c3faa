"""The three trackers behind one interface. Each library is imported when its first stream is opened.

All of them work without a network: TensorBoard and MLflow write files unless told otherwise, Weights & Biases does so
where nobody is logged in, or with WANDB_MODE=offline. Their reports of their own use are switched off.
"""

from __future__ import annotations

import importlib.util
import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from bench.errors import BenchError, suggest
from bench.images import open_image
from bench.limits import MOST_PICTURE_PIXELS

# Each library's reports of its own use, of errors and of what surrounds it; set where the user has not set them.
_QUIET = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_SILENT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


@dataclass(frozen=True)
class RunFacts:
    """What a tracker is told of a run before its values. `stream` is other where other code trained it."""

    study: str
    label: str
    protocol: str
    seed: int
    stream: str
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def row(self) -> str:
        return f"{self.label}-{self.protocol}"

    @property
    def name(self) -> str:
        return f"{self.row}/seed-{self.seed}"


@dataclass(frozen=True)
class Point:
    """The values of a run at one generator step. `moment` is the time that they are of, in seconds since 1970."""

    generator_steps: int
    values: Mapping[str, float]
    moment: float


class Stream(Protocol):
    """Takes one run's values and grids."""

    def scalars(self, points: Sequence[Point]) -> None: ...

    def grid(self, generator_steps: int, picture: Path, moment: float) -> None: ...

    def flush(self) -> None:
        """Return when all that was given is written, or with the tracker's own process."""

    def close(self, state: str | None) -> None:
        """End the stream. `state` is what the run ended in; None: it goes on, and so may another stream of it."""


class TensorBoard:
    """Event files, written by tensorboard's own writer: torch is not needed for it."""

    def __init__(self, run: RunFacts, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder / run.study / run.row / f"seed-{run.seed}-{run.stream}"))

    def scalars(self, points: Sequence[Point]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for point in points:
            parts = [Summary.Value(tag=name, simple_value=value) for name, value in point.values.items()]
            self._add(point.generator_steps, point.moment, parts)

    def grid(self, generator_steps: int, picture: Path, moment: float) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        content = picture.read_bytes()
        with open_image(content, ("PNG",), MOST_PICTURE_PIXELS) as image:
            width, height = image.size
        drawn = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
        self._add(generator_steps, moment, [Summary.Value(tag="samples", image=drawn)])

    def flush(self) -> None:
        self._writer.flush()

    def close(self, state: str | None) -> None:
        self._writer.close()

    def _add(self, generator_steps: int, moment: float, values: list[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._writer.add_event(Event(wall_time=moment, step=generator_steps, summary=Summary(value=values)))


class WeightsAndBiases:
    """A run of the project "bench-<study>", its rows as groups. Online only where somebody is logged in."""

    def __init__(self, run: RunFacts, folder: Path) -> None:
        import wandb

        place = Path(os.environ.get("WANDB_DIR", folder))
        place.mkdir(parents=True, exist_ok=True)
        mode = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in() else "offline")
        self._library = wandb
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", f"bench-{run.study}"),
            id=f"{run.study}-{run.stream}",
            name=run.name,
            group=run.row,
            config=dict(run.settings),
            dir=str(place),
            mode=mode,
            resume="allow" if mode == "online" else None,  # offline there is nothing to ask
            reinit="create_new",
            settings=wandb.Settings(
                console="off", disable_git=True, save_code=False, x_disable_stats=True, x_disable_meta=True
            ),
        )
        # Scores come after training, of steps before its last: wandb's own step only counts upwards.
        self._run.define_metric("generator_steps", hidden=True)
        self._run.define_metric("*", step_metric="generator_steps")

    def scalars(self, points: Sequence[Point]) -> None:
        for point in points:
            self._run.log({"generator_steps": point.generator_steps, **point.values})

    def grid(self, generator_steps: int, picture: Path, moment: float) -> None:
        self._run.log({"generator_steps": generator_steps, "samples": self._library.Image(str(picture))})

    def flush(self) -> None:
        """Its own process has taken what was logged."""

    def close(self, state: str | None) -> None:
        if state is not None:
            self._run.summary["state"] = state
        self._run.finish(exit_code=1 if state == "failed" else 0)


class MLflow:
    """A run of the experiment "bench-<study>", in a file of this machine unless MLFLOW_TRACKING_URI names a server."""

    def __init__(self, run: RunFacts, folder: Path) -> None:
        from mlflow import MlflowClient

        place = folder.absolute()
        place.mkdir(parents=True, exist_ok=True)
        named = os.environ.get("MLFLOW_TRACKING_URI")
        self._client = MlflowClient(named or f"sqlite:///{(place / 'mlflow.db').as_posix()}")
        title = f"bench-{run.study}"
        experiment = self._client.get_experiment_by_name(title)
        if experiment is None:
            artifacts = None if named else (place / "artifacts" / run.study).as_uri()
            experiment_id = self._client.create_experiment(title, artifact_location=artifacts)
        else:
            experiment_id = experiment.experiment_id
        known = self._client.search_runs([experiment_id], f"tags.stream = '{run.stream}'", max_results=1)
        if known:
            self._run_id = known[0].info.run_id
            return
        tags = {"stream": run.stream, "label": run.label, "protocol": run.protocol, "seed": str(run.seed)}
        self._run_id = self._client.create_run(experiment_id, tags=tags, run_name=run.name).info.run_id
        from mlflow.entities import Param

        settings = [Param(name, str(value)[:500]) for name, value in run.settings.items()]
        for first in range(0, len(settings), 100):  # the most of one call
            self._client.log_batch(self._run_id, params=settings[first : first + 100])

    def scalars(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(1000 * point.moment), point.generator_steps)
            for point in points
            for name, value in point.values.items()
        ]
        for first in range(0, len(metrics), 500):  # 1,000 are the most of one call
            self._client.log_batch(self._run_id, metrics=metrics[first : first + 500])

    def grid(self, generator_steps: int, picture: Path, moment: float) -> None:
        self._client.log_artifact(self._run_id, str(picture), "samples")

    def flush(self) -> None:
        """Every call has been answered."""

    def close(self, state: str | None) -> None:
        if state is not None:
            self._client.set_tag(self._run_id, "state", state)
            self._client.set_terminated(self._run_id, "FAILED" if state == "failed" else "FINISHED")


@dataclass(frozen=True)
class Tracker:
    """A tracker by the name that --log takes: its library, and how a stream is opened."""

    name: str
    module: str
    opens: type[TensorBoard] | type[WeightsAndBiases] | type[MLflow]

    def open(self, run: RunFacts, folder: Path) -> Stream:
        """Return a new stream of a run, which writes below `folder` where it writes files."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        return self.opens(run, folder)


TRACKERS = {
    tracker.name: tracker
    for tracker in (
        Tracker("tensorboard", "tensorboard", TensorBoard),
        Tracker("wandb", "wandb", WeightsAndBiases),
        Tracker("mlflow", "mlflow", MLflow),
    )
}


def named_trackers(text: str) -> tuple[str, ...]:
    """Return the trackers that "tensorboard,wandb" names. Raises BenchError as `require_trackers` does."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    require_trackers(names)
    return names


def require_trackers(names: Sequence[str]) -> None:
    """Raise BenchError where one of `names` is no tracker, or its library is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise BenchError(
                f'There is no tracker "{name}"{suggest(name, TRACKERS)}', hint=f"There are {', '.join(TRACKERS)}."
            )
        if importlib.util.find_spec(TRACKERS[name].module) is None:
            raise BenchError(f"{name} is not installed", hint=f"Type: pip install 'ganbench[{name}]'")


def _is_logged_in() -> bool:
    """Tell whether wandb finds a key by itself; else it would ask for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    place = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(str(place)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
