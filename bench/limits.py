"""How much is read of what others wrote: images, archives, records. Each bound leaves room above what bench writes.

A file beyond a bound is refused by name before it is decoded, so that no file costs more time or memory than these say.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

# Images. bench's largest picture is a grid of 20 x 8 images of 128 x 128 pixels, 2.6 million pixels.
MOST_PICTURE_PIXELS = 1 << 22
# A photograph: from here on Pillow itself warns of decompression bombs. In RGB it takes 268 MB.
MOST_PHOTO_PIXELS = 89_478_485

MOST_IMAGE_BYTES = 4 * MOST_PHOTO_PIXELS + (1 << 20)  # such a photograph uncompressed, in RGBA

MOST_PICTURE_SIDE = 16_383  # WebP's own

# An archive. A study of 1,000 runs with every picture and snapshot has about 50,000 members.
MOST_MEMBERS = 100_000
MOST_DIRECTORY_BYTES = 32 << 20  # of a zip, and of archive.json: about 300 bytes a member
# Text of runs and reports shrinks by 3 to 30; what shrinks by more than this was made to fill a disk.
MOST_RATIO, RATIO_FROM_BYTES = 200, 1 << 20
MOST_TEXT_BYTES = 1 << 20  # a record of one JSON value, such as spec.json: about 5 kB
MOST_PLAN_BYTES = 16 << 20  # 5,000 runs take 1.3 MB
MOST_LINES_BYTES = 64 << 20  # log.jsonl: 100,000 lines take 40 MB
MOST_PICTURE_BYTES = 16 << 20  # more than MOST_PICTURE_PIXELS take uncompressed
MOST_REPORT_BYTES = 64 << 20  # a report's page has about 4 MB
MOST_WEIGHTS_BYTES = 4 << 30  # both generators of the widest backbone take 1.9 GB
MOST_UNPACKED_BYTES = 4 << 30  # everything but weights; 1,000 runs take about 1 GB

# Text. JSON in Python takes up to 25 times its bytes, and nests as deep as this process's stack.
MOST_DEPTH = 32  # bench's deepest record has 7 levels
MOST_CHARACTERS = 1 << 16  # of one text: a reason may quote a compiler
MOST_FORMULA_CHARACTERS = 2_000  # a loss in LaTeX; the longest card has 200, and drawing takes 1 ms a letter

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def bounded_json(content: bytes, most_bytes: int = MOST_TEXT_BYTES) -> Any:
    """Parse JSON of others within the bounds. Raises ValueError, saying which one is passed or what is no JSON.

    NaN and infinity, which are no JSON, are refused, and so are texts that UTF-8 cannot hold.
    """
    if len(content) > most_bytes:
        raise ValueError(f"has {len(content):,} bytes, more than {most_bytes:,}")
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", content)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MOST_DEPTH:
            raise ValueError(f"nests deeper than {MOST_DEPTH} levels")
    value = json.loads(content.decode())
    check_values(value)
    return value


def check_values(value: Any, where: str = "") -> None:
    """Raise ValueError, naming the key, for a text or a number in a JSON value that no record of bench has."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_values(key, f"a key of {where}" if where else "a key")
            check_values(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_values(item, f"{where}[{index}]")
    elif isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise ValueError(f"{where}: a text of {len(value):,} characters, more than {MOST_CHARACTERS:,}")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"{where}: half a character (a lone surrogate)")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} is no number")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"{where}: a number of more than 63 bits")
