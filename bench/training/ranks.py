"""One run over several processes, exactly: every rank computes its part of the batch, and knows all that was computed.

A tensor over the batch is either *whole* (equal on every rank) or a *part* (this rank's samples). Objectives see whole
tensors alone: a shared network takes its part of what it is given, computes, and gathers the outputs of all. So a loss
that couples samples (a relativistic mean, MMD, pulling away, BEGAN's k) needs to know nothing of ranks, and a penalty's
input gradient is whole too. The gradient of a whole tensor is whole, that of a part is a part, to any order; a weight
meets one part on each rank, so its gradient is the sum over ranks: one all-reduce of all of them, flattened. (A wrapper
such as DistributedDataParallel would average what penalties need apart.)
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from bench.objectives.base import widened

AGREE_EVERY = 10  # steps: a stop waits for at most so many


class Ranks:
    """The processes of one run: which of them this is, and what they do together. With one process every operation
    does nothing.

    With `force_group` a single process, too, sends all through its process group: what several would do can then be
    tried.
    """

    def __init__(
        self, rank: int = 0, count: int = 1, device: torch.device | None = None, *, force_group: bool = False
    ) -> None:
        self.rank = rank
        self.count = count
        self.grouped = count > 1 or force_group
        self.device = device or torch.device("cpu")

    @classmethod
    def of_environment(cls, device: torch.device, *, force_group: bool = False) -> Ranks:
        """Join the processes that torchrun started: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set.

        A CUDA device must be the current one of this process.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not force_group:
            return cls()
        on_cuda = device.type == "cuda"
        distributed.init_process_group(
            "nccl" if on_cuda else "gloo",
            timeout=timedelta(minutes=10),
            # Untold, NCCL takes the rank's number for the device's in what has no tensor, such as the first barrier.
            device_id=torch.device("cuda", torch.cuda.current_device()) if on_cuda else None,
        )
        return cls(distributed.get_rank(), distributed.get_world_size(), device, force_group=force_group)

    @property
    def is_main(self) -> bool:
        """Tell whether this rank is the one that writes."""
        return self.rank == 0

    def close(self) -> None:
        """End what the ranks have in common; each goes on, or ends, alone."""
        if self.grouped:
            distributed.destroy_process_group()

    def barrier(self) -> None:
        """Wait for all ranks to come here."""
        if self.grouped:
            distributed.barrier()

    def stop_agreed(self, asked: Callable[[], bool], step: int) -> bool:
        """Return whether any rank is asked to stop; several ranks come together for it every few steps only."""
        if not self.grouped:
            return asked()
        if step % AGREE_EVERY:
            return False
        votes = torch.tensor(float(asked()), device=self.device)
        distributed.all_reduce(votes)
        return bool(votes > 0)

    def part(self, whole: Tensor) -> Tensor:
        """Return this rank's samples of a whole tensor; differentiable to any order."""
        return _Part.apply(whole, self) if self.grouped else whole

    def gather(self, part: Tensor) -> Tensor:
        """Return the whole tensor whose part this is, in the order of ranks; differentiable to any order."""
        return _Whole.apply(part, self) if self.grouped else part

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the sum over ranks of a statistic of parts, to compute with parts; differentiable to any order."""
        return _Summed.apply(values) if self.grouped else values

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the parameters' gradients over ranks, in one all-reduce."""
        if not self.grouped:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view(gradient.shape))
            start += gradient.numel()

    def data_parallel(self, network: nn.Module) -> Any:
        """Return the network as a function of whole tensors: images or latents, and conditions."""
        if not self.grouped:
            return network

        def compute(*whole: Tensor) -> Any:
            out = network(*map(self.part, whole))
            if isinstance(out, tuple):
                return type(out)(*(self.gather(part) for part in out))
            return self.gather(out)

        return compute


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of all ranks' samples."""

    ranks: Ranks

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training or self.running_mean is None):
            return super().forward(input)
        dimensions = (0, 2, 3)
        wide = widened(input)  # statistics over a batch want fp32 under mixed precision
        count = wide.numel() // wide.shape[1] * self.ranks.count
        mean = self.ranks.all_reduce_sum(wide.sum(dimensions)) / count
        centred = wide - mean[:, None, None]
        variance = self.ranks.all_reduce_sum(centred.square().sum(dimensions)) / count
        self._remember(mean, variance * count / (count - 1))
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None]
        return (scaled * self.weight[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def synchronise_norms(network: nn.Module, ranks: Ranks) -> None:
    """Give every batch norm of the network the statistics of all ranks; parameters and their names stay."""
    if not ranks.grouped:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNorm2d
            module.ranks = ranks  # type: ignore[assignment]


def without_ranks(network: nn.Module) -> nn.Module:
    """Return a copy of the network that works in this process alone."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if type(module) is BatchNorm2d:
            module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
    return twin


class _Part(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return whole.chunk(ranks.count)[ranks.rank].clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Whole.apply(gradient, ctx.ranks), None


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        parts = [torch.empty(part.shape, dtype=part.dtype, device=part.device) for _ in range(ranks.count)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Part.apply(gradient, ctx.ranks), None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total: Tensor = _Summed.apply(gradient)
        return total
