"""Training one run: from its newest checkpoint (or the start) to its last generator step.

The whole way of a batch: `Trainer.run` below, `training/iteration.py` for what happens on the device, and
`training/schedule.py` for rates, penalties and noise. `training/recording.py` writes log lines and snapshots.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from bench.data import PreparedData
from bench.data.sampler import Sampler, gather, load_conditions, load_to_device
from bench.errors import BenchError
from bench.files import read_json, read_jsonl, write_jsonl, write_record
from bench.gpus import entered
from bench.networks.backbone import Discriminator, Generator, build_networks, describe_architecture
from bench.networks.conditioning import Batch
from bench.objectives import load
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import RunSpec, TrainingSpec
from bench.training.checkpoint import drop_checkpoints, load_checkpoint, save_checkpoint
from bench.training.engine import make_engine
from bench.training.environment import describe_environment, kind_of_machine
from bench.training.ranks import Ranks
from bench.training.recording import Recorder
from bench.training.schedule import IterationSettings
from bench.training.state import TrainingState

STATUS_SECONDS = 2.0


@dataclass(frozen=True)
class Pace:
    """When to save a checkpoint, in seconds, and when to stop. Neither changes what a run computes."""

    checkpoint_seconds: float = 60.0
    stop: Callable[[], bool] = lambda: False


class Interrupted(Exception):  # noqa: N818 - an event, not an error
    """Training was asked to stop; a checkpoint holds where it stands."""


def snapshot_steps(spec: TrainingSpec) -> list[int]:
    """Return the generator steps at which a generator is kept: the last, half of it, a quarter, ..., in order."""
    last = spec.budget.generator_steps
    return sorted({max(1, last >> index) for index in range(spec.training.snapshots)})


def build_state(
    spec: TrainingSpec, device: torch.device, ranks: Ranks | None = None, factor_sizes: tuple[int, ...] | None = None
) -> TrainingState:
    """Build the networks, optimisers and objective of a spec, at step 0.

    `factor_sizes` say how many values each factor of the labels has (None: as many as the request lets expect).
    """
    sizes = spec.data.expected_factor_sizes if factor_sizes is None else factor_sizes
    objective_class = load(spec.objective.file or spec.objective.name)
    objective = objective_class.model_validate(spec.objective.settings)
    codes = spec.backbone.drawn_codes
    G, D = build_networks(
        resolution=spec.data.resolution,
        width=spec.backbone.width,
        latent=spec.backbone.latent,
        head=objective.head,
        norm=spec.recipe.norm,
        seed=spec.seed,
        packing=spec.recipe.packing,
        factor_sizes=sizes,
        conditioning=spec.recipe.conditioning or "none",
        codes=codes,
        answers=objective.answers(codes) if codes else 0,
        switches=spec.backbone.switches,
        pictures=spec.data.input is not None,
    )
    return TrainingState(IterationSettings.of(spec, sizes), objective, G, D, device, ranks)


def train(
    folder: RunFolder,
    spec: RunSpec,
    data: PreparedData,
    device: torch.device,
    pace: Pace | None = None,
    ranks: Ranks | None = None,
) -> Status:
    """Train `spec` in `folder` to its end and return its status: done or diverged.

    Call it with the run's lock held; with several ranks, on all of them, of which the first holds the lock and writes.
    Raises Interrupted, after saving, when `pace.stop` says so, and BenchError when the data is not what the run began
    with, the last checkpoint cannot be used, or the batch cannot be shared out evenly.
    """
    with entered(device):
        return Trainer(folder, spec, data, device, pace or Pace(), ranks or Ranks()).run()


class Trainer:
    def __init__(
        self, folder: RunFolder, spec: RunSpec, data: PreparedData, device: torch.device, pace: Pace, ranks: Ranks
    ) -> None:
        self.folder = folder
        self.spec = spec.training
        self.device = device
        self.pace = pace
        self.ranks = ranks
        _refuse_uneven_parts(self.spec, ranks)
        sizes = tuple(len(values) for values in data.train.factors.values())
        self.state = build_state(self.spec, device, ranks, sizes)
        self.status = self._begin(data)  # refuses other images before a checkpoint of the run is read
        self.images = load_to_device(data.train.images(), device, _room_for_images(device))
        self.conditions = load_conditions(data.train, device, _room_for_images(device))
        self.sampler = Sampler(data.train.count, self.spec.budget.batch, self.spec.seed)
        self.generator_steps = self._resume()
        self.engine = make_engine(self.spec.training.engine, self.state)
        self.recorder = Recorder(folder, self.spec, self.state, self.conditions, data.heldout)

    def run(self) -> Status:
        last = self.spec.budget.generator_steps
        snapshots = set(snapshot_steps(self.spec))
        log_every = self.spec.training.log_every
        status_at = checkpoint_at = time.monotonic()
        began, steps_before = time.perf_counter(), self.generator_steps
        while self.generator_steps < last:
            started = time.perf_counter()
            self.engine.run_iteration(self.generator_steps, self._batch)
            self.generator_steps += 1
            step = self.generator_steps
            log_due = step % log_every == 0 or step in snapshots
            stop = self.ranks.stop_agreed(self.pace.stop, step)
            save_due = stop or time.monotonic() - checkpoint_at >= self.pace.checkpoint_seconds
            if (log_due or save_due) and self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # what follows waits for the device: its time is training's
            self.status = replace(
                self.status,
                generator_steps=step,
                discriminator_steps=self.state.discriminator_steps,
                images_seen=self.state.images_seen,
                device_seconds=self.status.device_seconds + self.ranks.count * (time.perf_counter() - started),
            )
            if log_due:
                reason = self._divergence()
                self.recorder.log(self.status, next_batch=self._batch(self.state.discriminator_steps))
                self.status = replace(self.status, engine=self._engine_description())
                if reason is not None:
                    return self._finish("diverged", reason)
            if step in snapshots:
                self.recorder.snapshot(step)
            now = time.monotonic()
            if now - status_at >= STATUS_SECONDS:
                rate = (step - steps_before) / (time.perf_counter() - began)
                self.status = replace(self.status, steps_per_second=round(rate, 3))
                self._write_status()
                status_at = now
            if stop or (save_due and step < last):
                self._checkpoint()
                checkpoint_at = time.monotonic()
            if stop and step < last:
                self._write_status()
                raise Interrupted
        return self._finish("done", None)

    def _begin(self, data: PreparedData) -> Status:
        """Record who trains, on what and with which data; refuse data that changed since the run began."""
        present = data.digests()
        status = self.folder.status()
        if status.data_sha256 not in (None, present):
            raise BenchError(
                f"{self.folder.path} was started with different images from those prepared now",
                hint="Bring the old images back, or `bench clean` the run and train it again.",
            )
        environment = describe_environment(self.device) | {"ranks": self.ranks.count}
        here = kind_of_machine(environment)
        continued = list(status.continued_on)
        if self.ranks.is_main:
            networks = cast(Generator, self.state.G), cast(Discriminator, self.state.D)
            write_record(self.folder.architecture_file, describe_architecture(*networks))
        if not self.folder.environment_file.exists() or status.generator_steps == 0:
            if self.ranks.is_main:
                write_record(self.folder.environment_file, environment)
        else:
            began_on = kind_of_machine(read_json(self.folder.environment_file))
            if here != began_on and here not in continued:
                continued.append(here)
        status = replace(
            status,
            state="running",
            phase="training",
            reason=None,
            attempts=status.attempts + 1,
            device=str(self.device),
            total_generator_steps=self.spec.budget.generator_steps,
            data_sha256=present,
            continued_on=continued,
        )
        self.ranks.barrier()  # all have read what the first one now writes anew
        if self.ranks.is_main:
            self.folder.write_status(status)
        return status

    def _write_status(self) -> None:
        if self.ranks.is_main:
            self.folder.write_status(self.status)

    def _resume(self) -> int:
        """Load the newest checkpoint and cut the log back to it. Returns the generator steps already taken."""
        saved = load_checkpoint(self.folder.path, self.device)
        steps = 0 if saved is None else cast(int, saved["generator_steps"])
        if saved is not None:
            self.state.load_state_dict(saved)
        self.status = replace(
            self.status,
            generator_steps=steps,
            discriminator_steps=self.state.discriminator_steps,
            images_seen=self.state.images_seen,
            device_seconds=0.0 if saved is None else saved["device_seconds"],
        )
        lines = [line for line in read_jsonl(self.folder.log_file) if line["generator_steps"] <= steps]
        self.ranks.barrier()
        if self.ranks.is_main:
            write_jsonl(self.folder.log_file, lines)
        return steps

    def _checkpoint(self) -> None:
        if not self.ranks.is_main:
            return
        state = self.state.state_dict() | {"device_seconds": self.status.device_seconds}
        save_checkpoint(self.folder.path, self.generator_steps, state)

    def _batch(self, discriminator_steps: int) -> Batch:
        indices = self.sampler.batch_indices(discriminator_steps)
        told = None if self.conditions is None else gather(self.conditions, indices, self.device)
        return Batch(gather(self.images, indices, self.device), told)

    def _engine_description(self) -> str:
        """Return how the iterations are carried out, with the reason where another way was asked for."""
        engine = self.engine
        asked = "graph" if self.spec.training.engine == "auto" else self.spec.training.engine
        return engine.name if engine.reason is None else f"eager, not {asked}: {engine.reason}"

    def _divergence(self) -> str | None:
        """Return why the run has diverged, or None. Reads the device: called at log time alone."""
        bad = int(self.state.first_bad_step)
        if bad >= 0:
            return f"non-finite loss in generator step {bad + 1}"
        for name, network in (("generator", self.state.G), ("discriminator", self.state.D)):
            if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
                return f"non-finite weight in the {name} by generator step {self.generator_steps}"
        return None

    def _finish(self, state: Any, reason: str | None) -> Status:
        # Device seconds count every rank's device.
        seconds = max(self.status.device_seconds, 1e-9) / self.ranks.count
        self.status = replace(
            self.status,
            state=state,
            phase=None,
            reason=reason,
            steps_per_second=round(self.status.generator_steps / seconds, 3),
        )
        self._write_status()
        if self.ranks.is_main:
            drop_checkpoints(self.folder.path)
        return self.status


def _refuse_uneven_parts(spec: TrainingSpec, ranks: Ranks) -> None:
    samples = spec.budget.batch // spec.recipe.packing
    if samples % ranks.count:
        packed = f" in packs of {spec.recipe.packing}" if spec.recipe.packing > 1 else ""
        raise BenchError(
            f"A batch of {spec.budget.batch}{packed} cannot be shared evenly by {ranks.count} ranks",
            hint="Choose a number of ranks that divides it.",
        )


def _room_for_images(device: torch.device) -> int:
    """Return how many bytes the images may take on the device: half of what is free."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 4 * 2**30
