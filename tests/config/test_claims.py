"""Claims in a file of studies: read strictly, mistakes with their lines, arms found in the file's studies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.tiny_study import write_tiny_study

from bench.config.arms import ArmName, arms_by_study, find_arm
from bench.config.reading import load_claims, load_config, packaged_config
from bench.errors import BenchError
from bench.runs.plan import make_plan

ROOT = Path(__file__).parents[2]
FIRST = {"id": "a", "text": "T", "source": "S", "of": "wgan", "measure": "fd_judge", "direction": "lower"}


def with_claims(folder: Path, *claims: str) -> Path:
    file = write_tiny_study(folder, objectives=["nsgan", "wgan"], protocols=["controlled", "published"])
    file.write_text(file.read_text() + "".join(f"\n[[claim]]\n{text}\n" for text in claims), encoding="utf-8")
    return file


def claim(**changes: object) -> str:
    keys = {"than": "nsgan-published", **FIRST, "of": "wgan-controlled"} | changes
    return "\n".join(f"{key} = {_toml(value)}" for key, value in keys.items() if value is not None)


def _toml(value: object) -> str:
    return str(value).replace("'", '"') if isinstance(value, list | float | int) else f'"{value}"'


def test_the_package_has_claims_enough_and_every_arm_of_them_is_planned() -> None:
    config = load_claims()
    assert len(config.claims) >= 20
    assert (
        config.path.read_bytes() == packaged_config("claims.toml").read_bytes() == (ROOT / "claims.toml").read_bytes()
    )
    arms = arms_by_study(config, config.claims)
    for name, labels in arms.items():
        plan = make_plan(config.study(name))
        assert set(labels) == {entry.label for entry in plan.entries if not entry.same_as}, "an arm of no claim"
        assert {run.training.seed for run in plan.select(labels)} == set(range(8))
    assert {study for study in config.studies if study not in arms} == set()


def test_an_arm_of_several_protocols_is_named_with_its_own(tmp_path: Path) -> None:
    config = load_config(with_claims(tmp_path, claim()))
    assert find_arm(config, "wgan-published") == ArmName("tiny", "wgan", "published")
    assert find_arm(config, "tiny/nsgan-controlled") == ArmName("tiny", "nsgan", "controlled")
    assert arms_by_study(config, config.claims) == {"tiny": ("wgan", "nsgan")}
    with pytest.raises(BenchError, match="several protocols"):
        find_arm(config, "wgan")
    with pytest.raises(BenchError, match='"nsgan"'):
        find_arm(config, "nsgann")
    with pytest.raises(BenchError, match='no study "tny"'):
        find_arm(config, "tny/nsgan")


@pytest.mark.parametrize(
    ("changes", "key", "word"),
    [
        ({"than": "wga-published"}, "than", "no row"),
        ({"of": ["wgan-controlled", "nsgan"]}, "of", "several protocols"),
        ({"of": "nsgan-published"}, "than", "one of the arms"),
        ({"measure": "fd_jugde"}, "measure", '"fd_judge"'),
        ({"measure": "follows."}, "measure", "no measure"),
        ({"measure": "fd_lite0"}, "measure", "extractors"),
        ({"step": 5}, "step", "6, 12"),
        ({"step": 6, "measure": "opposed"}, "step", "whole run"),
        ({"measure": "collapsed", "direction": "same"}, "measure", "share"),
        ({"direction": "lowr"}, "direction", '"lower"'),
        ({"directoin": "lower"}, "directoin", '"direction"'),
        ({"id": "a"}, "id", "two claims"),
        ({"id": "No Id"}, "id", "pattern"),
        ({"than": None}, "claim", "level"),
        ({"than": None, "level": 1.0, "direction": "same"}, "claim", "tolerance"),
        ({"level": 1.0}, "claim", "one of the two"),
        ({"tolerance": 0.1}, "claim", "tolerance"),
        ({"direction": "same", "refuted_by": "no difference"}, "claim", "refuted_by"),
        ({"source": None}, "source", "missing"),
    ],
)
def test_a_mistake_is_told_with_its_own_line(tmp_path: Path, changes: dict[str, object], key: str, word: str) -> None:
    file = with_claims(tmp_path, claim(), claim(**{"id": "b"} | changes))
    with pytest.raises(BenchError) as raised:
        load_config(file)
    (line,) = raised.value.message.splitlines()[1:]
    number = int(re.match(r"  line (\d+), ", line)[1])  # type: ignore[index]
    lines = file.read_text().splitlines()
    second = [place for place, text in enumerate(lines, start=1) if text == "[[claim]]"][1]
    assert number >= second
    assert word in line
    assert lines[number - 1].startswith(f"{key} =") or (lines[number - 1] == "[[claim]]" and key in ("claim", "source"))


def test_a_file_without_claims_has_none_to_test(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"\[\[claim\]\]"):
        load_claims(write_tiny_study(tmp_path))
    with pytest.raises(BenchError, match="claim"):
        load_config(_with_a_table(tmp_path))


def _with_a_table(folder: Path) -> Path:
    file = write_tiny_study(folder)
    file.write_text(file.read_text() + "\n[claim]\nid = 'a'\n")
    return file
