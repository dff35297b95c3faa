"""The page of claims: verdicts first, what refutes each, its arms' numbers, and a figure of all differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tiny_study import write_tiny_study

from bench.config.arms import ArmName
from bench.config.claims import Claim
from bench.config.models import Config
from bench.config.reading import load_config
from bench.report.claimed.figure import claims_figure
from bench.report.claimed.page import claims_frame, compose_claims
from bench.report.claimed.words import TESTS, outcome, refutation
from bench.report.model import Group, Table
from bench.statistics.arms import Arm
from bench.statistics.claims import ClaimResult, compare, decided, joined_result

OF, THAN = ArmName("tiny", "wgan", "controlled"), ArmName("tiny", "nsgan", "controlled")
RNG = np.random.default_rng(0)


def result(mean: float = 0.0, lost: int = 0, seeds: int = 8, first_seed: int = 0, **keys: Any) -> ClaimResult:
    given = {"id": "c", "text": "T <b>", "source": "S", "of": ("wgan",), "measure": "fd_judge", "direction": "lower"}
    claim = Claim(**(given | ({} if "level" in keys else {"than": "nsgan"}) | keys))
    share = claim.measure == "collapsed"
    values = [float(mean < 0)] * seeds if share else (mean + RNG.normal(100, 1, seeds - lost)).tolist()
    first = Arm("wgan", tuple(enumerate(values, start=first_seed)), seeds, lost)
    others = [0.0] * seeds if share else RNG.normal(100, 1, seeds).tolist()
    second = None if claim.than is None else Arm("nsgan", tuple(enumerate(others)), seeds)
    than = THAN if second else None
    return joined_result(claim, [compare(claim, OF, than, first, second, 1.0 if second else None)], lost)


@pytest.fixture(scope="module")
def results() -> list[ClaimResult]:
    given = [
        result(-20, id="lower"),
        result(+20, id="higher"),
        result(0, id="alike"),
        result(0, id="same", direction="same"),
        result(0, id="negligible", refuted_by="no difference"),
        result(20, id="lost", lost=2),
        result(0, id="few", seeds=4),
        result(0, id="level", level=50.0),
        result(0, id="level-lost", level=50.0, lost=1),
        result(0, id="unpaired", first_seed=100),
        result(-1, id="share", measure="collapsed", direction="higher"),
        result(-1, id="share-level", measure="collapsed", direction="higher", level=0.5),
    ]
    return decided(given)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = write_tiny_study(tmp_path_factory.mktemp("claimed"), objectives=["nsgan", "wgan"])
    claim = 'id = "c"\ntext = "T"\nsource = "S"\nof = "wgan"\nthan = "nsgan"\nmeasure = "fd_judge"\ndirection = "lower"'
    file.write_text(file.read_text() + f"\n[[claim]]\n{claim}\n")
    return load_config(file)


def test_verdicts_stand_first_and_every_claim_has_its_arms(
    results: list[ClaimResult], config: Config, tmp_path: Path
) -> None:
    page = compose_claims(results, config, tmp_path)
    first = page.sections[0]
    (table,) = [block for block in first.blocks if isinstance(block, Table)]
    verdicts = {row.cells[0].text: row.cells[1].text for row in table.rows}
    assert verdicts == {one.claim.id: one.verdict for one in results}
    wanted = {"lower": "supported", "higher": "refuted", "alike": "undecided", "same": "supported", "few": "undecided"}
    assert {name: verdicts[name] for name in wanted} == wanted
    assert {name: verdicts[name] for name in ("negligible", "lost")} == {"negligible": "refuted", "lost": "refuted"}
    groups = [block for block in page.sections[1].blocks if isinstance(block, Group)]
    assert len(groups) == len(results)
    arms = {one.claim.id: group.blocks[-1] for one, group in zip(results, groups, strict=True)}
    assert isinstance(lost := arms["lost"], Table)
    assert [row.cells[0].text for row in lost.rows] == ["wgan", "nsgan"]
    assert lost.rows[0].cells[-1].text == "6 of 8, 2 lost"
    assert isinstance(alone := arms["level"], Table)
    assert len(alone.rows) == 1


def test_every_test_has_a_name_and_every_verdict_its_numbers(results: list[ClaimResult]) -> None:
    tests = {one.test for result in results for one in result.compared if one.test}
    assert tests == set(TESTS)
    for one in results:
        said = outcome(one)
        assert said.lower().startswith(one.verdict)
        assert refutation(one)
    assert "2.77" in refutation(next(one for one in results if one.claim.id == "same"))


def test_the_figure_turns_differences_towards_the_claim(results: list[ClaimResult]) -> None:
    figure = claims_figure(results)
    assert figure is not None
    shown = figure.data.set_index("claim")["difference"]
    assert shown["lower"] > 15
    assert shown["higher"] < -15
    assert {"level", "few"} & set(shown.index) == {"few"}  # a level has no spread of equals
    assert len(figure.table.rows) == len(figure.data)
    assert claims_figure([one for one in results if one.claim.level is not None]) is None
    frame = claims_frame(results)
    assert len(frame) == len(results)
    assert frame["p_holm"].notna().sum() == len(results) - sum(bool(one.open_because) for one in results)
