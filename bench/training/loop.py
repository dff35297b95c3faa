"""Training one run: from its newest checkpoint (or the start) to its last generator step."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from bench.data import PreparedData
from bench.data.sampler import Sampler, gather, load_to_device
from bench.errors import BenchError
from bench.files import append_jsonl, read_json, read_jsonl, write_atomic, write_json
from bench.networks.backbone import Discriminator, Generator, build_networks, describe_architecture, pack
from bench.networks.sampling import draw_latents, recalibrated, to_uint8
from bench.objectives import load
from bench.objectives.base import input_gradient
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import RunSpec, TrainingSpec
from bench.training.checkpoint import drop_checkpoints, load_checkpoint, save_checkpoint
from bench.training.engine import make_engine
from bench.training.environment import describe_environment, kind_of_machine
from bench.training.ranks import Ranks, without_ranks
from bench.training.step import Players, StepSettings, halvings

GRID = 8  # a sample grid has 8 x 8 images
STATUS_SECONDS = 2.0


@dataclass(frozen=True)
class Pace:
    """How often a run is made safe, in seconds; it changes nothing that a run computes."""

    checkpoint_seconds: float = 60.0
    stop: Callable[[], bool] = lambda: False


class Interrupted(Exception):  # noqa: N818 - an event, not an error
    """Training was asked to stop; a checkpoint holds where it stands."""


def snapshot_steps(spec: TrainingSpec) -> list[int]:
    """Return the generator steps at which a generator is kept: the last, half of it, a quarter, ..., in order."""
    last = spec.budget.generator_steps
    return sorted({max(1, last >> index) for index in range(spec.training.snapshots)})


def build_players(spec: TrainingSpec, device: torch.device, ranks: Ranks | None = None) -> Players:
    """Build the networks, optimisers and objective of a spec, at step 0."""
    objective_class = load(spec.objective.file or spec.objective.name)
    objective = objective_class.model_validate(spec.objective.settings)
    G, D = build_networks(
        resolution=spec.data.resolution,
        width=spec.backbone.width,
        latent=spec.backbone.latent,
        head=objective.head,
        norm=spec.recipe.norm,
        seed=spec.seed,
        packing=spec.recipe.packing,
    )
    return Players(StepSettings.of(spec), objective, G, D, device, ranks)


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
    return _Trainer(folder, spec, data, device, pace or Pace(), ranks or Ranks()).run()


class _Trainer:
    def __init__(
        self, folder: RunFolder, spec: RunSpec, data: PreparedData, device: torch.device, pace: Pace, ranks: Ranks
    ) -> None:
        self.folder = folder
        self.spec = spec.training
        self.device = device
        self.pace = pace
        self.ranks = ranks
        _refuse_uneven_parts(self.spec, ranks)
        self.players = build_players(self.spec, device, ranks)
        self.status = self._begin(data)
        self.images = load_to_device(data.train, device, _room_for_images(device))
        self.sampler = Sampler(data.train.count, self.spec.budget.batch, self.spec.seed)
        self.generator_steps = self._resume()
        self.engine = make_engine(self.spec.training.engine, self.players)
        self.grid_latents = draw_latents(
            self.spec.backbone.latent_law, GRID * GRID, self.spec.backbone.latent, "sample grid"
        ).to(device)

    def run(self) -> Status:
        last = self.spec.budget.generator_steps
        snapshots = set(snapshot_steps(self.spec))
        log_every = self.spec.training.log_every
        status_at = checkpoint_at = time.monotonic()
        began, steps_before = time.perf_counter(), self.generator_steps
        while self.generator_steps < last:
            started = time.perf_counter()
            self.engine.iterate(self.generator_steps, self._batch)
            self.generator_steps += 1
            step = self.generator_steps
            log_due = step % log_every == 0 or step in snapshots
            stop = self.ranks.agree(self.pace.stop, step)
            save_due = stop or time.monotonic() - checkpoint_at >= self.pace.checkpoint_seconds
            if (log_due or save_due) and self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # what follows waits for the device: its time is training's
            self.status = replace(
                self.status,
                generator_steps=step,
                discriminator_steps=self.players.discriminator_steps,
                images_seen=self.players.images_seen,
                device_seconds=self.status.device_seconds + self.ranks.count * (time.perf_counter() - started),
            )
            if log_due:
                reason = self._divergence()
                self._log()
                self.status = replace(self.status, engine=self._engine())
                if reason is not None:
                    return self._finish("diverged", reason)
            if step in snapshots:
                self._snapshot()
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
        found = {"train": data.train.sha256, "heldout": data.heldout.sha256}
        status = self.folder.status()
        if status.data_sha256 not in (None, found):
            raise BenchError(
                f"{self.folder.path} was begun with other images than are prepared now",
                hint="Bring the old images back, or `bench clean` the run and train it again.",
            )
        environment = describe_environment(self.device) | {"ranks": self.ranks.count}
        here = kind_of_machine(environment)
        continued = list(status.continued_on)
        if self.ranks.first:
            networks = cast(Generator, self.players.G), cast(Discriminator, self.players.D)
            write_json(self.folder.architecture_file, describe_architecture(*networks))
        if not self.folder.environment_file.exists() or status.generator_steps == 0:
            if self.ranks.first:
                write_json(self.folder.environment_file, environment)
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
            data_sha256=found,
            continued_on=continued,
        )
        self.ranks.wait()  # all have read what the first one now writes anew
        if self.ranks.first:
            self.folder.write_status(status)
        return status

    def _write_status(self) -> None:
        if self.ranks.first:
            self.folder.write_status(self.status)

    def _resume(self) -> int:
        """Load the newest checkpoint and cut the log back to it. Returns the generator steps already taken."""
        state = load_checkpoint(self.folder.path, self.device)
        steps = 0 if state is None else cast(int, state["generator_steps"])
        players = self.players
        if state is not None:
            players.restore(state)
        self.status = replace(
            self.status,
            generator_steps=steps,
            discriminator_steps=players.discriminator_steps,
            images_seen=players.images_seen,
            device_seconds=0.0 if state is None else state["device_seconds"],
        )
        lines = [line for line in read_jsonl(self.folder.log_file) if line["generator_steps"] <= steps]
        self.ranks.wait()
        if self.ranks.first:
            write_atomic(self.folder.log_file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        self.logged_discriminator_steps: int = lines[-1]["discriminator_steps"] if lines else 0
        return steps

    def _checkpoint(self) -> None:
        if not self.ranks.first:
            return
        state = self.players.saved() | {"device_seconds": self.status.device_seconds}
        save_checkpoint(self.folder.path, self.generator_steps, state)

    def _batch(self, discriminator_steps: int) -> Tensor:
        return gather(self.images, self.sampler.batch_indices(discriminator_steps), self.device)

    def _engine(self) -> str:
        """Return how the iterations are carried out, with the reason where another way was asked for."""
        engine = self.engine
        return engine.name if engine.reason is None else f"eager, not {self.spec.training.engine}: {engine.reason}"

    def _divergence(self) -> str | None:
        """Return why the run has diverged, or None. Reads the device: called at log time alone."""
        bad = int(self.players.first_bad_step)
        if bad >= 0:
            return f"non-finite loss in generator step {bad + 1}"
        for name, network in (("generator", self.players.G), ("discriminator", self.players.D)):
            if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
                return f"non-finite weight in the {name} by generator step {self.generator_steps}"
        return None

    def _log(self) -> None:
        """Write the means, since the last line, of every term and observation."""
        players, status = self.players, self.status
        groups: dict[str, dict[str, float | None]] = {"discriminator": {}, "generator": {}, "observed": {}}
        counts = {
            "generator": max(players.summed_steps, 1),
            "discriminator": max(players.discriminator_steps - self.logged_discriminator_steps, 1),
        }
        sums = players.take_sums()
        for name, total in sums.items():
            group, _, term = name.partition("/")
            if group in counts:
                groups[group][term] = _finite(total / counts[group])
            elif group == "observed" and sums[f"times/{term}"]:
                groups["observed"][term] = _finite(total / sums[f"times/{term}"])
        if players.objective.head == "score":
            groups["observed"]["gradient_norm"] = self._gradient_norm()
        recipe = self.spec.recipe
        factor = halvings(self.generator_steps - 1, self.spec.budget.halve_every)
        line = {
            "generator_steps": self.generator_steps,
            "discriminator_steps": players.discriminator_steps,
            "images_seen": players.images_seen,
            "device_seconds": round(status.device_seconds, 3),
            "learning_rate": {
                "discriminator": recipe.learning_rate_discriminator * factor,
                "generator": recipe.learning_rate_generator * factor,
            },
            **groups,
        }
        if self.ranks.first:
            append_jsonl(self.folder.log_file, [line])
        self.logged_discriminator_steps = players.discriminator_steps

    def _gradient_norm(self) -> float | None:
        """Return the mean norm of D's gradient on the next batch: what a Lipschitz bound would bound."""
        real = pack(self._batch(self.players.discriminator_steps), self.spec.recipe.packing)
        self.players.D.requires_grad_(False)
        norm = torch.linalg.vector_norm(input_gradient(self.players.D, real).detach(), dim=1).mean()
        self.players.D.requires_grad_(True)
        return _finite(float(norm))

    def _snapshot(self) -> None:
        """Save both generators, and a grid of the raw one's samples of the fixed latents."""
        if not self.ranks.first:
            return
        raw = self.players.G.state_dict()
        averaged = dict(raw)
        averaged.update(
            {name: value for (name, _), value in zip(self.players.G.named_parameters(), self.players.ema, strict=True)}
        )
        tensors = {f"raw/{name}": _plain(value) for name, value in raw.items()}
        tensors |= {f"ema/{name}": _plain(value) for name, value in averaged.items()}
        write_atomic(self.folder.snapshot_file(self.generator_steps), save(tensors))

        backbone = self.spec.backbone
        G = recalibrated(without_ranks(self.players.G), backbone.latent_law, backbone.latent, self.device)
        with torch.no_grad():
            images = to_uint8(G(self.grid_latents)).permute(0, 2, 3, 1).cpu().numpy()
        write_atomic(self.folder.sample_file(self.generator_steps), _grid_png(images))

    def _finish(self, state: Any, reason: str | None) -> Status:
        steps_per_second = self.status.generator_steps / max(self.status.device_seconds, 1e-9)
        self.status = replace(
            self.status, state=state, phase=None, reason=reason, steps_per_second=round(steps_per_second, 3)
        )
        self._write_status()
        if self.ranks.first:
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


def _grid_png(images: np.ndarray[Any, Any]) -> bytes:
    rows = [np.concatenate(list(images[row * GRID : (row + 1) * GRID]), axis=1) for row in range(GRID)]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows, axis=0)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
