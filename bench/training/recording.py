"""Writes a run's log, snapshots of both generators, and sample grids."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from bench.data import PreparedSet
from bench.data.shown import shown_pairs
from bench.files import append_jsonl, write_atomic
from bench.networks.backbone import pack
from bench.networks.conditioning import Batch, told
from bench.networks.sampling import CALIBRATION_LATENTS, GRID, draw_codes, drawn, grid_samples, recalibrated, to_uint8
from bench.objectives.base import input_gradient
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import TrainingSpec
from bench.runs.snapshots import sealed
from bench.training.iteration import frozen
from bench.training.meter import finite_or_none
from bench.training.ranks import without_ranks
from bench.training.state import TrainingState


class Recorder:
    """Writes into a run's folder. With several ranks all of them call it, and the main one writes.

    `conditions` are those of the training images: N x K where the study has labels, N x 3 x R x R uint8 where it has
    input images. A grid then shows pairs of the `heldout` images.
    """

    def __init__(
        self,
        folder: RunFolder,
        spec: TrainingSpec,
        state: TrainingState,
        conditions: Tensor | None = None,
        heldout: PreparedSet | None = None,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._state = state
        codes = state.settings.codes
        self._conditions = conditions if codes is None else draw_codes(codes, CALIBRATION_LATENTS, "calibration")
        # The same latents in every grid of every run, so that snapshots and rows can be compared picture by picture.
        self._pairs = None if heldout is None else shown_pairs(heldout)
        inputs = None if self._pairs is None else self._pairs.inputs
        law, latent = spec.backbone.latent_law, spec.backbone.latent
        self._grid = grid_samples(law, latent, state.settings.factor_sizes, codes, inputs)

    def log(self, status: Status, next_batch: Batch) -> None:
        """Write the mean of every term and observation since the last line. Waits for the device."""
        state = self._state
        means = state.meter.take_means()
        # Where batch norm couples samples, an image has no gradient of its own.
        if state.objective.head == "score" and "batch" not in self._spec.recipe.norm:
            means["observed"]["gradient_norm"] = self._gradient_norm(next_batch)
        means["observed"]["weights_at_edge"] = finite_or_none(share_at_edge(state.D.parameters()))
        line = {
            "generator_steps": status.generator_steps,
            "discriminator_steps": status.discriminator_steps,
            "images_seen": status.images_seen,
            "device_seconds": round(status.device_seconds, 3),
            # as the optimisers had them in the iteration that was just taken
            "learning_rate": state.schedule.learning_rates(status.generator_steps - 1)._asdict(),
            **means,
        }
        if state.ranks.is_main:
            append_jsonl(self._folder.log_file, [line])

    def snapshot(self, generator_steps: int) -> None:
        """Save both generators, and a grid of the raw one's samples of the fixed latents.

        A D that recognises codes is saved beside them: what it reads off real images is measured.
        """
        state = self._state
        if not state.ranks.is_main:
            return
        raw = state.G.state_dict()
        averaged = raw | {name: value for (name, _), value in zip(state.G.named_parameters(), state.ema, strict=True)}
        tensors = {f"raw/{name}": _plain(value) for name, value in raw.items()}
        tensors |= {f"ema/{name}": _plain(value) for name, value in averaged.items()}
        if state.objective.needs == "codes":
            tensors |= {f"recogniser/{name}": _plain(value) for name, value in state.D.state_dict().items()}
        write_atomic(self._folder.snapshot_file(generator_steps), sealed(save(tensors)))

        backbone = self._spec.backbone
        G = recalibrated(without_ranks(state.G), backbone.latent_law, backbone.latent, state.device, self._conditions)
        with torch.no_grad():
            images = to_uint8(drawn(G, *self._grid, state.device)).cpu()
        if self._pairs is not None:
            images = torch.cat([self._pairs.inputs, images, self._pairs.targets])
        write_atomic(self._folder.sample_file(generator_steps), sample_grid(images.permute(0, 2, 3, 1).numpy()))

    def _gradient_norm(self, batch: Batch) -> float | None:
        """Return the mean norm of D's gradient at real images: what a Lipschitz bound would bound."""
        images, condition = (None if part is None else pack(part, self._spec.recipe.packing) for part in batch)
        assert images is not None
        with frozen(self._state.D):
            gradient = input_gradient(told(self._state.D, condition), images).detach()
        return finite_or_none(float(torch.linalg.vector_norm(gradient, dim=1).mean()))


@torch.no_grad()
def share_at_edge(parameters: Iterable[Tensor]) -> float:
    """Return the share of weights that are within 1 % of the largest in their layer; NaN where one is not finite.

    Where weights are clipped, those at the limit; elsewhere no more than a few. Norms and biases do not count.
    """
    sizes = [parameter.abs() for parameter in parameters if parameter.dim() > 1]
    at_edge = sum((size >= 0.99 * size.max()).sum() for size in sizes)
    finite = torch.stack([size.max() for size in sizes]).isfinite().all()
    return float(torch.where(finite, at_edge / sum(size.numel() for size in sizes), torch.nan))


def sample_grid(images: np.ndarray[Any, Any]) -> bytes:
    """Return images, uint8 N x R x R x 3, as one PNG, row by row of 8."""
    rows = [np.concatenate(list(images[start : start + GRID]), axis=1) for start in range(0, len(images), GRID)]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows, axis=0)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().clone()
