"""Mutated files of studies: each is read or refused with the file and the place, and nothing else happens."""

from __future__ import annotations

import random
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.mutations import mutated_bytes, mutated_value

from bench.config.reading import load_config
from bench.errors import BenchError
from bench.runs.plan import make_plan

ROOT = Path(__file__).parents[2]
FULL = """
default_study = "one"

[common]
objectives = ["nsgan", { objective = "wgan-gp", label = "gp", penalty_weight = 5.0, norm = "none" }]
baseline = "nsgan"
secondary_metrics = ["coverage_lite0"]

[common.recipe]
learning_rate = 2e-4
betas = [0.5, 0.9]
warm_up = { generator_steps = 3, discriminator_steps = 2 }

[common.settings]

[study.one]
title = "One"
protocols = ["controlled", "published"]
seeds = "0-1"
twin_seeds = [7]
data = { source = "faces", resolution = 32, train_count = 100, heldout_count = 60 }
budget = { generator_steps = 10, batch = 8, halve_every = 5 }

[study.one.training]
snapshots = 2
threads = 1

[study.one.evaluation]
samples = 50
snapshot_samples = 50
inception_splits = 5

[study.two]
extends = "one"
title = "Two"
learning_rates = [1e-4, 2e-4]
baseline = "nsgan@0.0001"
twin_seeds = []

[study.two.backbone]
width = 16
"""
RAW = (
    *("3", "-1", "0.5", "1e400", "nan", "inf", "true", '""', '"x"', "[]", "{}", "[1, 2]", "[[]]", "[{}]", "1979-05-27"),
    *(
        '["nsgan"]',
        '{objective = "nsgan"}',
        "07:32:00",
        "[nan]",
        '"~nobody/x.py"',
        '"\\u0000.py"',
        '"a/b.py"',
        "1" * 50,
    ),
)
KEYS = ("x", "study", "common", "name", "extends", "seeds", "recipe")
VALUE = re.compile(r"(?<== )[^\n]+|\"[^\"\n]*\"|\d+(?:\.\d+)?")
KEY = re.compile(r"^[a-z_]+(?= =)|(?<=\[)[a-z._]+(?=\]\n)|(?<=[{,] )[a-z_]+(?= =)", re.MULTILINE)


def mutated_toml(draws: random.Random) -> bytes:
    """Return FULL with one to three mutations: of a value, a key, a line, bytes, or of its tables."""
    text = FULL
    for _ in range(draws.choice([1, 1, 1, 2, 3])):
        what = draws.choice(["value", "value", "value", "key", "line", "twice", "tables", "bytes"])
        if what == "value":
            text = replaced(VALUE, text, draws.choice(RAW), draws)
        elif what == "key":
            text = replaced(KEY, text, draws.choice(KEYS), draws)
        elif what in ("line", "twice"):
            lines = text.splitlines(keepends=True)
            at = draws.randrange(len(lines))
            lines[at] = "" if what == "line" else lines[at] * 2
            text = "".join(lines)
        elif what == "tables":
            try:
                text = toml_of(mutated_value(tomllib.loads(text), draws)[0])
            except (tomllib.TOMLDecodeError, TypeError, AttributeError):  # broken before, or no table any more
                continue
        else:
            return mutated_bytes(text.encode("utf-8", "surrogatepass"), draws)[0]
    return text.encode("utf-8", "surrogatepass")


def replaced(pattern: re.Pattern[str], text: str, new: str, draws: random.Random) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = draws.choice(found)
    return text[: match.start()] + new + text[match.end() :]


def toml_of(table: dict[str, Any]) -> str:
    return "".join(f"{quoted(key)} = {inline(value)}\n" for key, value in table.items())


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isalnum() or c in " -_./=" else f"\\u{ord(c) % 65536:04x}" for c in text) + '"'


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else "nan" if value is None else str(value)


def outcome_of(path: Path) -> str:
    """Read the file and plan its studies: "planned", or "refused" with a message that says where."""
    try:
        config = load_config(path)
    except BenchError as error:
        names_a_place(error.message, path)
        return "refused"
    try:
        for study in config.studies.values():
            make_plan(study)
    except BenchError as error:
        assert re.match(r'Study "(one|two|x|[^"]*)" cannot be planned:\n', error.message)  # noqa: PT017
        return "refused"
    return "planned"


def names_a_place(message: str, path: Path) -> None:
    assert str(path) in message
    places = r"line \d+|end of document|(study|common|default_study)\b|nests"
    assert re.search(places, message.replace(str(path), "")), message


def count_outcomes(folder: Path, seed: int, count: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in range(count):
        draws = random.Random(f"{seed}/{number}")
        path = folder / "bench.toml"
        path.write_bytes(mutated_toml(draws))
        try:
            found[outcome_of(path)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, number {number}:\n{path.read_bytes()!r}") from error
    return found


def test_the_file_that_is_mutated_is_sound(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(FULL)
    assert outcome_of(tmp_path / "bench.toml") == "planned"


def test_every_mutated_file_is_planned_or_refused_with_its_place(tmp_path: Path) -> None:
    found = count_outcomes(tmp_path, 0, 150)
    assert found["refused"] > 50
    assert found["planned"] > 5


@pytest.mark.slow
def test_ten_thousand_mutated_files(tmp_path: Path) -> None:
    assert count_outcomes(tmp_path, 1, 10_000).total() == 10_000


def test_a_byte_order_mark_is_no_mistake_and_latin_1_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    assert outcome_of(path) == "planned"
    path.write_bytes(FULL.replace('"Two"', '"Zwölf"').encode("latin-1"))
    with pytest.raises(BenchError, match=r"line 35: the byte 0xf6 is not UTF-8"):
        load_config(path)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (FULL[FULL.index("[common]") :], "study = 3\n", "study = 3: must be a table"),
        (FULL[FULL.index("[common]") : FULL.index("[study.one]")], "common = 1\n", "common = 1: must be a table"),
        ('default_study = "one"', "default_study = []", "default_study"),
        ('extends = "one"', "extends = []", "study.two.extends"),
        ('title = "Two"', 'title = "Two"\nprimary_metric = ["fid"]', "study.two.primary_metric"),
        ("penalty_weight = 5.0", "penalty_weight = nan", "penalty_weight"),
    ],
)
def test_values_of_another_kind_are_named(tmp_path: Path, old: str, new: str, place: str) -> None:
    (tmp_path / "bench.toml").write_text(FULL.replace(old, new, 1))
    with pytest.raises(BenchError, match=re.escape(place)):
        load_config(tmp_path / "bench.toml")
