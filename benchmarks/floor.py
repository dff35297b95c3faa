"""The convolutions of an iteration alone: how fast a step could be if all else were free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
# On a CPU, bench/networks/convolution.py computes some of them as matrix products.
CONVOLUTIONS = (aten.convolution.default, aten.convolution_backward.default)
PRODUCTS = (aten.mm.default, aten.bmm.default)


@dataclass(frozen=True)
class Stand:
    """A tensor that an operation was given: where its values lie, without them."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Stand:
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def filled(self, device: torch.device) -> Tensor:
        """Return random values in the same memory format; an expanded tensor is expanded again."""
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        return torch.randn(last + 1, device=device).to(self.dtype).as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Call:
    """An operation with its arguments, tensors replaced by stands."""

    operation: Callable[..., Any]
    arguments: tuple[Any, ...]


class Recorder(TorchDispatchMode):
    """Notes every convolution, and on a CPU every matrix product, of what runs under it, backward passes included."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._noted = CONVOLUTIONS + (PRODUCTS if device.type == "cpu" else ())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._noted:
            self.calls.append(Call(func, tree_map(lambda a: Stand.of(a) if isinstance(a, Tensor) else a, args)))
        return func(*args, **(kwargs or {}))


def convolutions_of(step: Callable[[], Any], device: torch.device) -> list[Call]:
    """Return the convolutions of the step after the first, in their order."""
    step()
    with Recorder(device) as recorder:
        step()
    return recorder.calls


def replaying(calls: list[Call], device: torch.device) -> Callable[[], None]:
    """Return what carries out the calls on random tensors; on CUDA as one graph, so that launching costs nothing."""
    tensors: dict[Stand, Tensor] = {}
    for call in calls:
        for stand in tree_leaves(call.arguments):
            if isinstance(stand, Stand) and stand not in tensors:
                tensors[stand] = stand.filled(device)

    def find(argument: Any) -> Any:
        return tensors[argument] if isinstance(argument, Stand) else argument

    ready = [(call.operation, tree_map(find, call.arguments)) for call in calls]

    def work() -> None:
        for operation, arguments in ready:
            operation(*arguments)

    return work if device.type == "cpu" else _captured(work, device)


def _captured(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream), torch.no_grad():
        work()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay
