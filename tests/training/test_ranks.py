"""One run over several processes: every objective's gradients and weights are those of the single process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from click.testing import CliRunner

from bench.cli import bench
from bench.files import read_json
from bench.networks.backbone import Norm
from bench.networks.conditioning import Conditioning
from bench.objectives import names
from bench.validation.certificates import RANKS_FILE
from bench.validation.contract.ranks import Certificate, Trial, certify


@pytest.mark.parametrize(("count", "norm", "packing"), [(2, "batch", 1), (4, "layer", 2)])
def test_every_objective_over_ranks(count: int, norm: Norm, packing: int) -> None:
    certificates = certify(names(), (count,), Trial(steps=3, norm=norm, packing=packing))
    assert len(certificates) == len(names())
    assert all(certificate.holds for certificate in certificates), certificates


def test_a_certificate_holds_only_where_all_agrees() -> None:
    good = Certificate("nsgan", 2, 50, 1e-15, 1e-10, alike=True)
    assert good.holds
    assert not replace(good, gradients=1e-8).holds
    assert not replace(good, weights=1e-5).holds
    assert not replace(good, losses=1e-8).holds
    assert not replace(good, alike=False).holds


WRONG = '''
from torch import distributed

from bench.objectives.nsgan import NonSaturating


class Mine(NonSaturating):
    """Sees another batch in each process."""

    def generator_loss(self, D, fake, real, step):
        scale = 1 + distributed.get_rank() if distributed.is_initialized() else 1
        return {"fake": scale * super().generator_loss(D, fake, real, step)["fake"]}
'''


def test_check_certifies_over_ranks_and_finds_a_user_s_objective_that_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(WRONG)
    done = CliRunner().invoke(bench, ["check", "nsgan", str(file), "--ranks", "2"], standalone_mode=False)
    assert done.return_value == 1
    right, wrong = [line for line in done.output.splitlines() if "over 2 ranks" in line]
    assert right.startswith("nsgan")
    assert right.endswith("agree")
    assert "mine.py" in wrong
    assert "DIFFER" in wrong
    found = json.loads(CliRunner().invoke(bench, ["check", str(file), "--ranks", "2", "--json"]).output)
    assert found[0]["passed"]
    assert not found[0]["ranks"]["holds"]
    assert found[0]["ranks"]["gradients"] > 0.1
    assert CliRunner().invoke(bench, ["check", "nsgan", "--ranks", "0"]).exit_code == 2


def test_every_objective_has_its_certificates() -> None:
    """Regenerate with `python benchmarks/rank_certificates.py`."""
    rows = read_json(RANKS_FILE)["rows"]
    assert set(rows) == set(names())
    for row in rows.values():
        assert {one["ranks"] for one in row} == {2, 4}
        assert all(Certificate(objective="", **one).holds and one["steps"] == 50 for one in row)


def test_every_way_of_telling_labels_has_its_certificates() -> None:
    told = read_json(RANKS_FILE)["told"]["rows"]
    assert set(told) == {*get_args(Conditioning)} - {"none"}
    for row in told.values():
        assert {one["ranks"] for one in row} == {2, 4}
        assert all(Certificate(objective="", **one).holds and one["steps"] == 50 for one in row)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["layer", "spectral", "none"])
def test_fifty_steps_of_every_objective_over_ranks(norm: Norm) -> None:
    certificates = certify(names(), (2, 4), Trial(norm=norm))
    assert all(certificate.holds for certificate in certificates), certificates


def assert_single_steps_agree(objectives: Sequence[str], count: int, norm: Norm) -> None:
    """Compare losses and gradients of one step in fp32; what is left are the roundings of another order of sums."""
    certificates = certify(objectives, (count,), Trial(steps=1, norm=norm, dtype=torch.float32))
    assert len(certificates) == len(objectives)
    for one in certificates:
        assert one.losses is not None
        assert one.losses < 1e-5, one
        assert one.gradients < 1e-5, one


def test_a_single_step_in_fp32_agrees_to_rounding() -> None:
    assert_single_steps_agree(("nsgan", "wgan-gp", "rasgan"), 2, "batch")


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("count", [2, 4])
def test_single_steps_of_every_objective_in_fp32_agree_to_rounding(count: int, norm: Norm) -> None:
    assert_single_steps_agree(names(), count, norm)
