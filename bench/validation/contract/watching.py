"""Watching what a loss does: which values it holds constant, whether it takes gradients, what it reads back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.objectives.base import Objective


class HostReadError(Exception):
    """A loss read a tensor's value, made its work depend on one, or sent the device values of the host."""


class HeldConstant(TorchFunctionMode):
    """Remembers what a computation holds constant, and holds it at the same values when the computation is repeated.

    That is every result of `detach` and everything computed under `no_grad`. A finite difference then treats constants
    as autograd does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._constants: list[Tensor] = []
        self._next: int | None = None

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Replay, in the same order, what was found while recording."""
        self._next = 0
        try:
            with self:
                yield
        finally:
            self._next = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.__name__
        detaches = name == "detach" or func == torch.Tensor.data.__get__  # type: ignore[attr-defined]
        in_place = name.endswith("_") and not name.endswith("__")
        if not isinstance(out, Tensor) or in_place or (torch.is_grad_enabled() and not detaches):
            return out
        if _in_a_function_of_autograd():
            return out
        if self._next is None:
            self._constants.append(out.detach().clone())
            return out
        self._next += 1
        return self._constants[self._next - 1].clone()


def _in_a_function_of_autograd() -> bool:
    """Tell whether a torch.autograd.Function's forward is at work: without gradients, yet nothing there is constant."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_code.co_varnames
        if frame.f_code.co_name == "forward" and names and isinstance(frame.f_locals.get(names[0]), FunctionCtx):
            return True
        frame = frame.f_back
    return False


_DIFFERENTIATE = (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward)


class GradientsTaken(TorchFunctionMode):
    """Notes whether a computation takes gradients of its own, as a gradient penalty does."""

    def __init__(self) -> None:
        super().__init__()
        self.any = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.any = self.any or func in _DIFFERENTIATE
        return func(*args, **(kwargs or {}))


class StreamMoved(TorchFunctionMode):
    """Notes where an objective's own code first moves torch's global random stream: `place` is ", line 12 of x.py"."""

    def __init__(self, cls: type[Objective]) -> None:
        super().__init__()
        self.place = ""
        self._files = own_files(cls)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        before = torch.get_rng_state()
        out = func(*args, **(kwargs or {}))
        if not self.place and not torch.equal(before, torch.get_rng_state()):
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename not in self._files:
                frame = frame.f_back
            self.place = f", line {frame.f_lineno} of {Path(frame.f_code.co_filename).name}" if frame else ""
        return out


_READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__", "__format__"}
_MADE_ON_THE_CPU = {"tensor", "as_tensor", "zeros", "ones", "full", "empty", "arange", "linspace", "eye", "from_numpy"}
# What makes a tensor of the host's values. A number without a device stays on the host, as kernels take it.
_OF_HOST_VALUES = {"tensor", "as_tensor", "asarray", "new_tensor"}
_MOVES = {"to", "cuda", "type_as"}
_READING_KERNELS = {"_local_scalar_dense", "equal", "masked_select", "nonzero", "_unique2"}
_INDEXING_KERNELS = {"index", "index_put", "index_put_"}


class _NoHostCalls(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self._on_the_host: list[Tensor] = []  # numbers that a loss made there

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.__name__
        if name in _READS:
            raise HostReadError(f"{name.strip('_')} reads a tensor's value")
        if self._copies_to_the_device(name, args, kwargs or {}):
            raise HostReadError(f"{name} copies a value from the host to the device")
        out = func(*args, **(kwargs or {}))
        if name in _OF_HOST_VALUES and isinstance(out, Tensor) and out.dim() == 0:
            self._on_the_host.append(out)
        if name in _MADE_ON_THE_CPU and "device" not in (kwargs or {}) and isinstance(out, Tensor) and out.dim() > 0:
            raise HostReadError(f"torch.{name} makes a tensor on the CPU, wherever the images are")
        return out

    def _copies_to_the_device(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        given = [*args, *kwargs.values()]
        if name in _OF_HOST_VALUES:
            values = args[1:] if name == "new_tensor" else args
            of_tensor = any(isinstance(value, Tensor) for value in values[:1])
            return not of_tensor and (name == "new_tensor" or kwargs.get("device") is not None)
        # Where everything lies on the CPU, what was made on the host is known by having been seen made.
        moved = name in _MOVES and any(given[0] is number for number in self._on_the_host)
        return moved and (name != "to" or any(isinstance(value, torch.device | str | Tensor) for value in given[1:]))


class _NoHostKernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        if name in _READING_KERNELS:
            raise HostReadError(f"{name.strip('_')} reads a tensor's values")
        if name in _INDEXING_KERNELS and any(index is not None and index.dtype == torch.bool for index in args[1]):
            raise HostReadError("an index of true and false gives a shape that depends on values")
        if name == "lift_fresh" and args[0].dim() > 0:
            raise HostReadError("a list of values is copied from the host to the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def on_the_device() -> Iterator[None]:
    """Raise HostReadError where a value is read, a shape depends on one, or values come from the host."""
    with _NoHostCalls(), _NoHostKernels():  # type: ignore[no-untyped-call]
        yield


def line_of(error: BaseException, cls: type[Objective]) -> str:
    """Return ", line 12 of my_objective.py" for the last place in the objective's files that an error passed."""
    return line_in(error, own_files(cls))


def own_files(cls: type[Objective]) -> set[str]:
    """Return the files that hold an objective's class and its bases below `Objective`."""
    own = [base for base in cls.__mro__ if issubclass(base, Objective) and base is not Objective]
    return {str(source) for base in own if (source := _source(base)) is not None}


def line_in(error: BaseException, files: set[str]) -> str:
    """Return ", line 12 of file.py" for the last place in `files` that an error passed, or an empty string."""
    place = ""
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file in files:
            place = f", line {traceback.tb_lineno} of {Path(file).name}"
        traceback = traceback.tb_next
    return place


def line_of_definition(objective: Objective) -> str:
    """Return ", line 12 of my_objective.py" for where an objective's discriminator_loss is written."""
    code = type(objective).discriminator_loss.__code__
    return f", line {code.co_firstlineno} of {Path(code.co_filename).name}"


def _source(cls: type) -> str | None:
    return getattr(sys.modules.get(cls.__module__), "__file__", None)
