"""A graphics card that is not there: its tensors compute on the CPU, and refuse to meet the CPU's as real ones do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

PRETENDED = torch.device("cuda:0")
_INDEXING = (Tensor.__getitem__, Tensor.__setitem__)  # places may lie on the CPU


class _OnCard(Tensor):
    """A tensor that says it is on the card."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


class PretendedDevice(TorchFunctionMode):
    """While entered, tensors can be made on PRETENDED and moved there; mixing devices raises RuntimeError."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    values = tree_flatten((args, kwargs))[0]
    tensors = [value for value in values if isinstance(value, Tensor)]
    there = any(isinstance(tensor, _OnCard) for tensor in tensors)
    if func == Tensor.device.__get__:  # type: ignore[attr-defined]
        return PRETENDED if there else torch.device("cpu")
    if there and func is Tensor.numpy:
        raise TypeError("can't convert a tensor on the card to numpy; use Tensor.cpu()")
    here = any(not isinstance(tensor, _OnCard) and tensor.dim() > 0 for tensor in tensors)
    if there and here and func not in _INDEXING:
        raise RuntimeError(f"{func.__name__} got tensors on two devices")
    devices = [value for value in values if isinstance(value, torch.device)]
    there = devices[0] == PRETENDED if devices else there and func is not Tensor.cpu
    args, kwargs = tree_map(_plain, (args, kwargs))
    with torch._C.DisableTorchFunctionSubclass():
        found = func(*args, **kwargs)
    return tree_map(lambda value: value.as_subclass(_OnCard) if there and isinstance(value, Tensor) else value, found)


def _plain(value: Any) -> Any:
    if isinstance(value, _OnCard):
        with torch._C.DisableTorchFunctionSubclass():
            return value.as_subclass(Tensor)
    return torch.device("cpu") if isinstance(value, torch.device) else value
