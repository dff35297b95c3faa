"""Importing a user's own Python files."""

from __future__ import annotations

import os
from pathlib import Path

from bench.userfile import class_in


class Base:
    value: int


def test_a_file_that_changed_gives_its_new_class(tmp_path: Path) -> None:
    """Also where it was edited within a second and is as long as before, which Python's kept bytecode cannot tell."""
    file, found = tmp_path / "mine.py", []
    for value in (1, 2, 1):
        file.write_text(f"from {__name__} import Base\nclass Mine(Base):\n    value: int = {value}\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        found.append(class_in(file, Base, "test"))
    assert [one.value for one in found] == [1, 2, 1]
    assert found[0] is found[2]
    assert found[0].__annotations__ == {"value": int}  # not text: the file asked for no such future
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
