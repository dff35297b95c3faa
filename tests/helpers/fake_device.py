"""A device that is not there, played by the CPU: its name is understood everywhere, and it has no float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class NoFloat64Error(TypeError):
    """As torch raises on Apple's GPUs."""


class _Named(TorchFunctionMode):
    """Puts on the CPU what is asked for on the device, unless in float64; page-locked memory becomes plain memory."""

    def __init__(self, kind: str, *, float64: bool) -> None:
        super().__init__()
        self._kind = kind
        self._float64 = float64

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {**(kwargs or {})}
        given.pop("pin_memory", None)
        if func is Tensor.pin_memory:
            return args[0]
        here = any(self._meant(value) for value in (*args, *given.values()))
        out = func(
            *(torch.device("cpu") if self._meant(value) else value for value in args),
            **{name: torch.device("cpu") if self._meant(value) else value for name, value in given.items()},
        )
        if here and not self._float64 and isinstance(out, Tensor) and out.dtype == torch.float64:
            raise NoFloat64Error(f"{func.__name__} makes a float64 tensor on {self._kind}")
        return out

    def _meant(self, value: Any) -> bool:
        return isinstance(value, torch.device | str) and str(value).partition(":")[0] == self._kind


class _Narrow(TorchDispatchMode):
    """Refuses float64 that is computed from tensors of other types; the host may make and change its own."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = [value.dtype for value in _tensors((args, kwargs or {}))]
        wide = any(value.dtype == torch.float64 for value in _tensors(out))
        if wide and given and torch.float64 not in given:
            raise NoFloat64Error(f"{func} makes float64 of {given[0]}")
        return out


@contextmanager
def fake_device(name: str, *, float64: bool = False) -> Iterator[torch.device]:
    """Let work on the device `name`, such as "mps" or "cuda:1", be done by the CPU; yields the device."""
    device = torch.device(name)
    with _Named(device.type, float64=float64):
        if float64:
            yield device
            return
        with _Narrow():
            yield device


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
