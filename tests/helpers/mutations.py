"""Seeded mutations: of text, of bytes, and of values in JSON. For tests that everything ends in a clear word."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

# What a value of any type may be changed into: other types, extremes, what other programs take for something else.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, 5e-324),
    *("", " ", "nan", "0", "=HYPERLINK(1)", "../../x", "/etc/passwd", "a/b", "\ud800", "\0", "é" * 300, "x" * 70_000),
    *([], {}, [[]], [None], [1, "a"], {"": 1}, {"a": {"b": []}}, ["nsgan", {"label": 3}], "nsgan", "raw"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value, tables and lists included."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def mutated_value(value: Any, draws: random.Random) -> tuple[Any, str]:
    """Return a copy of a JSON value with one place changed, removed, doubled or renamed, and what was done where."""
    changed = copy.deepcopy(value)
    found = list(places(changed))
    path = draws.choice(found) if found else ()
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    what = draws.choice(["change"] * 6 + ["remove", "double", "rename"])
    new = copy.deepcopy(draws.choice(VALUES))
    if not path:
        return new, "changed all"
    if what == "remove":
        del parent[path[-1]]
    elif what == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[path[-1]]))
    elif what == "rename" and isinstance(parent, dict):
        parent[draws.choice([f"{path[-1]}x", "", "schema", "name"])] = parent.pop(path[-1])
    else:
        parent[path[-1]] = new
        what = f"change to {str(new)[:30]!r}"
    return changed, f"{what} at {'.'.join(map(str, path))}"


def mutated_bytes(content: bytes, draws: random.Random) -> tuple[bytes, str]:
    """Return content with bytes flipped, cut, doubled, or of another encoding, and what was done."""
    at = draws.randrange(len(content) + 1)
    length = draws.choice([1, 1, 2, 7, 100])
    what = draws.choice(["flip", "cut", "drop", "double", "insert", "bom", "utf-16", "latin-1", "empty", "nest"])
    part = content[at : at + length]
    changed = {
        "flip": lambda: (
            content[:at] + bytes(byte ^ (1 << draws.randrange(8)) for byte in part) + content[at + length :]
        ),
        "cut": lambda: content[:at],
        "drop": lambda: content[:at] + content[at + length :],
        "double": lambda: content[:at] + part * 2 + content[at + length :],
        "insert": lambda: content[:at] + draws.choice([b"\0", b"[", b"}", b'"', b"=", b"\n", b"\xe9"]) + content[at:],
        "bom": lambda: b"\xef\xbb\xbf" + content,
        "utf-16": lambda: content.decode(errors="replace").encode("utf-16"),
        "latin-1": lambda: content[:at] + "é".encode("latin-1") + content[at:],
        "empty": lambda: b"",
        "nest": lambda: content[:at] + b"[" * 5_000 + content[at:],
    }[what]()
    return changed, f"{what} at byte {at}"


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
