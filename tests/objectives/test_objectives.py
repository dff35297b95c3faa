"""Every objective of the package, found by discovery, meets the contract."""

from __future__ import annotations

import pytest

from bench.objectives import load, names, unlabelled_names
from bench.validation.contract import CHECKS, check_objective

OVER_OTHERS = [name for name in names() if load(name)().parts()]
BASES = [name for name in unlabelled_names() if load(name).head == "score" and name not in OVER_OTHERS]


@pytest.mark.parametrize("name", names())
def test_contract(name: str) -> None:
    report = check_objective(name)
    assert report.passed, report.text()


@pytest.mark.slow
@pytest.mark.parametrize("name", OVER_OTHERS)
@pytest.mark.parametrize("base", BASES)
def test_contract_over_every_base(name: str, base: str) -> None:
    at_once = {"start": 0} if "start" in load(name).model_fields else {}  # not after so many steps
    checks = [check for check in CHECKS if not check.once]
    report = check_objective(name, checks, settings={"base": base, **at_once})
    assert report.passed, report.text()
