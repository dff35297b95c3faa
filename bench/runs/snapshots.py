"""The checksum of a snapshot, kept in its own header: safetensors files have none. Never imports torch."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from bench.errors import BenchError

_KEY = "sha256"
_LAYER = re.compile(r"raw/layers\.conv(\d+)\.weight")


def sealed(content: bytes) -> bytes:
    """Return a safetensors file's bytes with the SHA-256 of names, shapes and values in its header."""
    header, data = _parts(content)
    header["__metadata__"] = {_KEY: _digest(header, data)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns its data by eight bytes
    return len(text).to_bytes(8, "little") + text + data


def check_snapshot(path: Path) -> bool:
    """Read a snapshot whole and compare it with its checksum; False for one of before there were any.

    Raises BenchError when the file is missing, cut off or changed.
    """
    try:
        header, data = _parts(path.read_bytes())
        stored = header.get("__metadata__", {}).get(_KEY)
        whole = len(data) == max(tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _damaged(path, f"it cannot be read: {error}") from error
    if not whole or stored not in (None, _digest(header, data)):
        raise _damaged(path, "it is not as it was written")
    return stored is not None


def generator_width(path: Path) -> int:
    """Return the backbone's width: how many channels the generator's last layer makes an image of."""
    header, _ = _parts(path.read_bytes())
    layers = {int(match[1]): name for name in header if (match := _LAYER.fullmatch(name))}
    if not layers:
        return 0
    first, second = header[layers[max(layers)]]["shape"][:2]
    return int(
        first if second == 3 else second
    )  # a transposed convolution's inputs come first, an mlp's layer's second


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _digest(header: dict[str, Any], data: bytes) -> str:
    tensors = {name: value for name, value in header.items() if name != "__metadata__"}
    digest = hashlib.sha256(json.dumps(tensors, sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> BenchError:
    return BenchError(
        f"The snapshot {path} is damaged: {why}",
        hint="Bring it back from a copy, or `bench clean` the run and train it again.",
    )
