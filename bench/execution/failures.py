"""What a failure says: whether another attempt may end better, whether its device is to blame, and what helps."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from bench.errors import EXIT_INTERRUPTED, EXIT_WRONG_USAGE, BenchError
from bench.runs.folder import Failure, FailureKind

ATTEMPTS = 2

# By their words: torch raises most of these as a plain RuntimeError.
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "bad_alloc")
_DEVICE_WORDS = (
    *("cuda error", "cuda driver", "cuda gpus", "cuda-capable", "cudnn_status", "cudnn error", "cublas_status"),
    *("cuda enabled", "nvidia driver", "nccl", "hip error", "ecc error", "no kernel image", "device-side assert"),
)
# A run can be repeated bit for bit, so its own mistakes come again too.
_CODE_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError),
    *(LookupError, NameError, SyntaxError, SystemExit, TypeError, ValueError),
)


def kind_of(error: Exception | SystemExit) -> FailureKind:
    """Return what kind of failure an exception in a worker is."""
    if isinstance(error, BenchError):
        return "input"
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _MEMORY_WORDS):
        return "memory"
    if any(words in text for words in _DEVICE_WORDS):
        return "device"
    return "code" if isinstance(error, _CODE_ERRORS) else "other"


def failure_of_process(code: int, device: str, generator_steps: int, last_words: str) -> Failure:
    """Return the failure of a worker that ended with exit code `code` (negative: a signal) and recorded none itself."""
    kind: FailureKind = "process"
    reason = last_words
    if code < 0:
        reason = f"its process was ended by signal {-code} ({signal.strsignal(-code)})"
        if code == -signal.SIGKILL:
            kind = "memory"
            reason += "; this often means that memory ran out"
    elif code == EXIT_INTERRUPTED:
        reason = "another program terminated its process"
    elif code == EXIT_WRONG_USAGE:
        kind = "input"
    return Failure(device, kind, reason, generator_steps)


def may_end_better(failure: Failure) -> bool:
    """Tell whether another attempt makes sense."""
    return failure.kind not in ("input", "code")


def blames_device(failure: Failure) -> bool:
    """Tell whether the failure may be the device's own."""
    return failure.kind in ("memory", "device", "process")


def in_words(failures: Sequence[Failure]) -> str:
    """Return the reasons of a run's attempts as one sentence."""
    reasons = [failure.reason for failure in failures]
    if len(failures) == 1:
        return reasons[0]
    if len({(failure.device, failure.reason) for failure in failures}) == 1:
        return f"{len(failures)} times on {failures[0].device}: {reasons[0]}"
    return "; then ".join(f"on {failure.device}: {failure.reason}" for failure in failures)


def advice(failure: Failure, at_a_time: int) -> str | None:
    """Return what helps against a failure, None where its reason says all. `at_a_time`: the runs its device took."""
    if failure.kind == "memory":
        fewer = f"fewer runs at a time (--per-device {at_a_time // 2}), " if at_a_time > 1 else ""
        return (
            f"Against too little memory on {failure.device} help {fewer}no other programs on it, or a device with more."
            " A smaller batch or width (budget.batch, backbone.width) is another experiment."
        )
    if failure.kind == "device":
        return f"See to {failure.device} (`bench doctor`, nvidia-smi), or leave it out with --devices."
    return None
