"""Records carry checksums: no bit of one changes unseen, and no line goes missing from within."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.files import append_jsonl, is_summed, read_json, read_jsonl, write_jsonl, write_record

LINES: list[dict[str, Any]] = [{"step": step, "loss": step / 7, "name": "ä"} for step in range(3)]


def flipped(content: bytes) -> Iterator[bytes]:
    """Yield the content with one bit of each byte flipped, of every place in a byte in turn."""
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1 << (index % 8)
        yield bytes(changed)


def test_no_flipped_bit_changes_a_record_unseen(tmp_path: Path) -> None:
    file, values = tmp_path / "status.json", {"state": "done", "generator_steps": 12, "seconds": 0.1}
    write_record(file, values)
    assert read_json(file) == values
    assert is_summed(file)
    for content in flipped(file.read_bytes()):
        file.write_bytes(content)
        try:
            found = read_json(file)
        except BenchError:
            continue
        # What is left: a space that became another, or the name of the checksum, which then is a key of its own.
        assert {key: found[key] for key in values} == values


def test_no_flipped_bit_changes_a_line_unseen_and_the_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    append_jsonl(file, LINES)
    content = file.read_bytes()
    first = content.index(b"\n") + 1
    unnamed = unseen = 0
    for changed in flipped(content):
        file.write_bytes(changed)
        try:
            found = read_jsonl(file)
        except BenchError as error:
            unnamed += "log.jsonl, line " not in error.message
        else:
            unseen += found not in (LINES, LINES[:2])  # without its last newline a line counts as torn
    assert (unnamed, unseen) == (0, 0)
    file.write_bytes(content[:first] + content[first:].replace(b'"step": 1', b'"step": 5'))
    with pytest.raises(BenchError, match="line 2"):
        read_jsonl(file)


@pytest.mark.parametrize(("left", "line"), [([1, 2], 1), ([0, 2], 2), ([0, 2, 1], 2), ([0, 0, 1, 2], 2)])
def test_a_line_that_was_taken_out_moved_or_repeated_is_named(tmp_path: Path, left: list[int], line: int) -> None:
    file = tmp_path / "log.jsonl"
    append_jsonl(file, LINES[:2])
    append_jsonl(file, LINES[2:])
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[index] for index in left))
    with pytest.raises(BenchError, match=f"line {line},"):
        read_jsonl(file)


def test_lines_of_before_the_checksums_are_read_and_covered_by_what_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES[:2]))
    assert read_jsonl(file) == LINES[:2]
    assert not is_summed(file)
    append_jsonl(file, LINES[2:])
    assert read_jsonl(file) == LINES
    assert is_summed(file)
    file.write_text(file.read_text().replace('"step": 0', '"step": 5'))
    with pytest.raises(BenchError, match="line 3"):
        read_jsonl(file)


def test_lines_longer_than_a_block_are_chained_too(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    long = [{"text": str(number) * 10_000} for number in range(3)]
    for line in long:
        append_jsonl(file, [line])
    with file.open("a") as torn:
        torn.write("torn" * 5_000)
    append_jsonl(file, LINES)
    assert read_jsonl(file) == [*long, *LINES]
    write_jsonl(file, long[1:])
    assert read_jsonl(file) == long[1:]
