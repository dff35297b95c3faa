"""Plain text for the terminal. Labels, reasons and paths come from outside, and may hold anything."""

from __future__ import annotations

import json
import re
from typing import Any

import click

# Control characters but for tab and newline: ESC begins the sequences that move the cursor, set a window's title or
# fill the clipboard. The second part reverses the order of letters, so that a line reads otherwise than it is.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return a text without the characters that a terminal would obey instead of showing."""
    return _UNPRINTABLE.sub("", text)


def say(text: str, *, err: bool = False) -> None:
    """Print lines to stdout, or to stderr."""
    click.echo(printable(text), err=err)


def print_json(value: Any) -> None:
    """Print a value as JSON, keys in order. What JSON may hold raw and a terminal would obey is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
