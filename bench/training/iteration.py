"""One iteration, top to bottom: every discriminator step, the generator step, the moving average.

All of it runs on the device and reads no value back, so that it can be captured as a CUDA graph. What differs from
iteration to iteration is in its arguments: `shape` says which operations, `scalars` with which numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.networks.backbone import pack
from bench.networks.codes import DrawnCodes
from bench.networks.conditioning import Batch, Labels, told
from bench.objectives.base import CachedOutputs, Network, Terms, widened
from bench.training.optimizers import parameters_of
from bench.training.schedule import Scalars, Shape
from bench.training.state import TrainingState

Batches = Callable[[int], Batch]
"""Maps a number to a batch of real images with what is told of them."""


def run_iteration(state: TrainingState, shape: Shape, scalars: Scalars, real_batches: Batches) -> None:
    """Train D as often as `shape` says, then G once. `real_batches` counts from 0 in each iteration.

    Everything is minimised: D descends its loss and penalty, G its own loss (Goodfellow et al. 2014, algorithm 1). A
    joint objective moves both networks at once.
    """
    objective, rng = state.objective, state.rng
    if objective.updates == "joint":
        run_joint_iteration(state, scalars, real_batches(0))
        return

    last = shape.discriminator_steps - 1
    for substep, lazy_penalty in enumerate(shape.lazy_penalties):
        rng.begin("discriminator", substep)
        # x ~ data, G(z) with z ~ p(z). G does not move between D's last step and its own, so the last batch of fakes
        # serves both: it carries G's graph, and D's step sees it detached.
        batch = real_batches(substep)
        real, fake, D = seen_by_discriminator(state, shape, scalars, batch, with_graph=substep == last)
        # One descent step on D's loss, spectral norm's singular vectors first.
        state.D.power_iteration()  # type: ignore[operator]
        with autocast(state):
            terms = discriminator_terms(state, D, real, fake.detach())
        descend(state, "discriminator", terms, scalars, state.optimizer_D)
        if lazy_penalty:
            # Every k-th step, k times as strong, on its own: Karras et al. 2019, arXiv 1912.04958, section 3.1.
            with autocast(state):
                penalty = objective.discriminator_penalty(D, real, fake.detach(), rng)
                terms = {name: state.schedule.penalty_every * value for name, value in penalty.items()}
            descend(state, "discriminator", terms, scalars, state.optimizer_D)
        objective.after_discriminator_step(state.D, rng)  # weight clipping, BEGAN's k
        log_observed(state)

    # One descent step on G's loss, against the D that was just trained.
    rng.begin("generator")
    if shape.same_batch:
        real, fake, D = seen_by_discriminator(state, shape, scalars, real_batches(0), with_graph=True)
    with frozen(state.D):
        with autocast(state):
            terms = objective.generator_loss(D, fake, real, rng)
        descend(state, "generator", terms, scalars, state.optimizer_G)
    log_observed(state)
    update_average(state, scalars)


def seen_by_discriminator(
    state: TrainingState, shape: Shape, scalars: Scalars, batch: Batch, *, with_graph: bool
) -> tuple[Tensor, Tensor, Network]:
    """Return the real and the generated images as D is to see them, noisy and packed, and the D that sees them."""
    rng, packing = state.rng, state.settings.recipe.packing
    real = batch.images
    fake = generate(state, batch, with_graph=with_graph)
    if shape.noisy:
        real = real + scalars.noise_level * rng.normal("instance noise real", tuple(real.shape))
        fake = fake + scalars.noise_level * rng.normal("instance noise fake", tuple(fake.shape))
    return pack(real, packing), pack(fake, packing), told_discriminator(state, batch)


def run_joint_iteration(state: TrainingState, scalars: Scalars, batch: Batch) -> None:
    """Move both networks by one descent step on one loss, as a variational autoencoder does."""
    state.rng.begin("joint")
    state.D.power_iteration()  # type: ignore[operator]
    D, G = told_discriminator(state, batch), told(state.call_G, batch.condition)
    with autocast(state):
        terms = state.objective.joint_loss(D, G, batch.images, state.rng)
    descend(state, "generator", terms, scalars, state.optimizer_G, state.optimizer_D)
    log_observed(state)
    update_average(state, scalars)


def generate(state: TrainingState, batch: Batch, *, with_graph: bool) -> Tensor:
    """Return as many fakes as D compares with a real batch, with G's graph if G will be trained on them.

    A fake has the condition of the real sample at its index, so that both have the same law in every batch. Codes are
    drawn as latents are, one draw for each step of D; G's step, on the last fakes, has theirs.
    """
    settings, count = state.settings, len(batch.images) * state.objective.fakes_per_real
    latents = state.rng.latents(settings.latent_law, count, settings.latent)
    condition = batch.condition
    if settings.codes is not None:
        condition = settings.codes.of(state.rng.uniform("codes", (count, len(settings.codes.values))))
        state.rng.codes = DrawnCodes(condition, settings.codes)
    with torch.set_grad_enabled(with_graph), autocast(state):
        fake: Tensor = told(state.call_G, condition)(latents)
    return widened(fake)


def told_discriminator(state: TrainingState, batch: Batch) -> Network:
    """Return D as objectives call it, on images alone: it is told the batch's conditions, and answers in fp32.

    Labels are at hand in the step for objectives that compare D's answer with them.
    """
    if batch.condition is None:
        return in_fp32(state.call_D)
    packing = state.settings.recipe.packing
    condition = pack(batch.condition, packing)
    if condition.dim() == 2:  # labels, no pictures
        state.rng.labels = Labels(condition, state.settings.factor_sizes * packing)
    return in_fp32(told(state.call_D, condition))


def discriminator_terms(state: TrainingState, D: Network, real: Tensor, fake: Tensor) -> Terms:
    """Return the terms of D's loss, and of its penalty unless that is lazy.

    A penalty at a batch itself (R1, R2) needs D's output there, which the loss has computed: one pass serves both. Not
    under mixed precision, where the penalty has a pass of its own in fp32.
    """
    objective = state.objective
    if state.schedule.penalty_every > 1:
        return objective.discriminator_loss(D, real, fake, state.rng)
    if state.settings.precision == "fp32" and (sides := objective.penalised_at()):
        D = CachedOutputs(D)
        real = real.detach().requires_grad_("real" in sides)
        fake = fake.detach().requires_grad_("fake" in sides)
    terms = objective.discriminator_loss(D, real, fake, state.rng)
    return terms | objective.discriminator_penalty(D, real, fake, state.rng)


def descend(
    state: TrainingState, player: str, terms: Terms, scalars: Scalars, *optimizers: torch.optim.Optimizer
) -> None:
    """Take an optimiser step on the sum of the terms, note a non-finite one, and add the terms up for the log."""
    total = torch.stack(list(terms.values())).sum()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    # Gradients of these parameters alone: G's loss needs none of D's.
    torch.autograd.backward(total, inputs=[p for optimizer in optimizers for p in parameters_of(optimizer)])
    for optimizer in optimizers:
        state.ranks.sum_gradients(parameters_of(optimizer))
        optimizer.step()
    with torch.no_grad():
        bad_now = ~torch.isfinite(total) & (state.first_bad_step < 0)
        state.first_bad_step.copy_(torch.where(bad_now, scalars.generator_step, state.first_bad_step))
    state.meter.add_terms(player, terms)


def log_observed(state: TrainingState) -> None:
    """Add what the step observed to the meter."""
    state.meter.add_observed(state.rng.observed)
    state.rng.observed.clear()


@torch.no_grad()
def update_average(state: TrainingState, scalars: Scalars) -> None:
    """Move the averaged generator towards the present one: ema += weight * (G - ema)."""
    parameters: list[Tensor] = list(state.G.parameters())
    weight = scalars.ema_weight
    if isinstance(weight, Tensor):
        torch._foreach_lerp_(state.ema, parameters, [weight] * len(parameters))
    else:
        torch._foreach_lerp_(state.ema, parameters, weight)


def autocast(state: TrainingState) -> torch.autocast:
    """Return the context in which networks compute: bf16 where the study asks for it."""
    return torch.autocast(state.device.type, dtype=torch.bfloat16, enabled=state.settings.precision == "bf16")


def in_fp32(network: Network) -> Network:
    """Return the network with its outputs widened, so that losses are computed in fp32 under mixed precision."""

    def call(*given: Tensor) -> Any:
        out = network(*given)
        if isinstance(out, tuple):
            return type(out)(*(widened(part) for part in out))
        return widened(out)

    return call


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep autograd from computing the network's own gradients; gradients with respect to its input go on."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def dry_run(state: TrainingState, work: Callable[[], object], times: int = 2) -> None:
    """Carry an iteration out and undo it, whatever comes of it: libraries choose algorithms, optimisers make state.

    Every tensor is put back at the place where it then lies.
    """
    before = {id(tensor): tensor.detach().clone() for tensor in state.tensors()}
    try:
        for _ in range(times):
            work()
    finally:
        state.rng.observed.clear()
        with torch.no_grad():
            for tensor in state.tensors():
                # State that the dry run itself created starts at zero.
                tensor.copy_(before[id(tensor)]) if id(tensor) in before else tensor.zero_()
