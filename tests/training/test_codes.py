"""Training with codes: a draw for each step of D, the same in every engine and rank; nothing else changes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.told import recorded_as_eager, run_without_waiting
from helpers.training_fixture import CPU, study
from torch import Tensor

from bench.data import PreparedData, prepare
from bench.evaluation.codes import changed_alone
from bench.evaluation.samples import drawn_conditions, generate
from bench.execution.evaluating import load_snapshot
from bench.files import read_jsonl
from bench.networks.codes import Codes, DrawnCodes
from bench.networks.conditioning import Batch
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, make_plan
from bench.training.engine import EagerEngine
from bench.training.fingerprint import fingerprint
from bench.training.loop import build_state, train
from bench.training.state import TrainingState
from bench.validation.contract.ranks import Trial, certify

BACKBONE = {"width": 4, "latent": 8, "codes": {"categorical": (3, 2), "continuous": 2}}


def spec_of(objective: str = "infogan", settings: dict[str, Any] | None = None, **recipe: Any) -> RunSpec:
    entry = {"objective": objective, "label": "row", "settings": settings or {}, "recipe": recipe or None}
    return make_plan(study(objectives=(entry,), backbone=BACKBONE)).runs[0]


def state_of(*given: Any, **recipe: Any) -> TrainingState:
    return build_state(spec_of(*given, **recipe).training, CPU)


def batch(step: int) -> Batch:
    random = torch.Generator().manual_seed(step)
    images = torch.rand(8, 3, 32, 32, generator=random) * 2 - 1
    return Batch(images.to(memory_format=torch.channels_last))


def codes_given(state: TrainingState, steps: int) -> list[tuple[Tensor, Tensor]]:
    """Train, and return what G was called with, call by call: latents and codes."""
    seen: list[tuple[Tensor, Tensor]] = []
    call = state.call_G

    def noting(latents: Tensor, codes: Tensor) -> Any:
        seen.append((latents, codes))
        return call(latents, codes)

    state.call_G = noting
    for step in range(steps):
        EagerEngine(state).run_iteration(step, batch)
    return seen


def test_every_step_of_the_discriminator_has_codes_of_its_own_which_shift_no_other_draw() -> None:
    seen = codes_given(state_of("nsgan", discriminator_steps=2), 2)
    assert len(seen) == 4
    for index, (_, codes) in enumerate(seen):
        first, second, rest = codes.split([3, 2, 2], dim=1)
        assert first.sum(1).tolist() == second.sum(1).tolist() == [1.0] * 8
        assert rest.abs().max() <= 1
        assert not any(torch.equal(codes, other) for _, other in seen[:index])
    plain = build_state(make_plan(study()).runs[0].training, CPU)
    EagerEngine(plain).run_iteration(0, batch)
    plain.rng.begin("discriminator", 0)
    plain.rng.seek(0)
    assert torch.equal(plain.rng.latents("normal", 8, 8), seen[0][0])


def test_the_generator_s_step_is_held_against_the_codes_of_its_own_images() -> None:
    state = state_of(discriminator_steps=2)
    seen = codes_given(state, 1)
    assert isinstance(state.rng.codes, DrawnCodes)
    assert torch.equal(state.rng.codes.numbers, seen[-1][1])


@pytest.mark.parametrize("base", ["nsgan", "wgan-gp"])
def test_without_its_terms_it_is_its_base_bit_for_bit(base: str) -> None:
    zero = {"base": base, "categorical_weight": 0.0, "continuous_weight": 0.0}
    over, plain = state_of("infogan", zero), state_of(base)
    for step in range(3):
        for state in (over, plain):
            EagerEngine(state).run_iteration(step, batch)
    mine, theirs = dict(over.D.named_parameters()), dict(plain.D.named_parameters())
    assert mine.keys() - theirs.keys() == {"recognise.classes.weight"}
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())
    assert all(torch.equal(*pair) for pair in zip(over.G.parameters(), plain.G.parameters(), strict=True))


def test_added_kernels_change_no_initial_weight() -> None:
    told, plain = state_of("nsgan"), build_state(make_plan(study()).runs[0].training, CPU)
    assert all(torch.equal(told.G.state_dict()[name], value) for name, value in plain.G.state_dict().items())
    assert torch.equal(told.G.told_scale, torch.tensor([3**0.5] * 3 + [2**0.5] * 2 + [1.0] * 2))


@pytest.mark.parametrize("settings", [{}, {"variance": "learned", "base": "wgan-gp"}])
def test_recorded_iterations_are_eager_ones_with_other_codes_than_at_the_recording(settings: dict[str, Any]) -> None:
    eager, recorded = state_of("infogan", settings), state_of("infogan", settings)
    assert recorded_as_eager(eager, recorded, batch, 4)


def test_no_iteration_with_codes_waits_for_the_device() -> None:
    state = state_of("infogan", {"variance": "learned"})
    run_without_waiting(state, batch)


def test_codes_over_ranks() -> None:
    certificates = certify(["nsgan", "infogan"], (2,), Trial(steps=2, norm="batch", coded=True))
    assert all(certificate.holds for certificate in certificates), certificates


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(study().data, tmp_path_factory.mktemp("data"), workers=1)


def test_resuming_is_bit_exact_and_fingerprints_cover_codes(data: PreparedData) -> None:
    once, again = (fingerprint(spec_of(), data, CPU)["weights"] for _ in range(2))
    assert once == again  # it cuts the run and takes it up again
    backbone = BACKBONE | {"codes": {"categorical": (3, 2), "continuous": 1}}
    other = make_plan(study(objectives=({"objective": "infogan", "label": "row"},), backbone=backbone)).runs[0]
    assert fingerprint(other, data, CPU)["weights"] != once


def test_a_run_keeps_what_recognises_its_codes_and_logs_how_well(tmp_path: Path, data: PreparedData) -> None:
    folder, spec = RunFolder(tmp_path / "run"), spec_of()
    spec.write(folder.spec_file)
    assert train(folder, spec, data, CPU).state == "done"
    assert load_snapshot(folder.snapshot_file(8), "ema", spec).told_scale.shape == (7,)
    assert all(line["observed"]["code_bound"] <= torch.tensor(6.0).log() for line in read_jsonl(folder.log_file))


@pytest.mark.slow
def test_codes_are_read_again_and_change_the_image(tmp_path: Path) -> None:
    """One code of six values and one number: after 1,000 small steps D reads them, and the image follows them."""
    law = Codes((6,), 1)
    entry = {"objective": "infogan", "label": "row", "recipe": {"norm": "spectral"}}
    changes: dict[str, Any] = {
        "data": {"source": "faces", "resolution": 32, "train_count": 6000, "heldout_count": 300},
        "backbone": {"width": 16, "latent": 32, "codes": law._asdict()},
        "budget": {"generator_steps": 1000, "batch": 64, "halve_every": 10_000},
        "training": {"snapshots": 1, "log_every": 500},
        "recipe": {"learning_rate": 2e-4},
    }
    run = make_plan(study(objectives=(entry,), **changes)).runs[0]
    folder = RunFolder(tmp_path / "run")
    run.write(folder.spec_file)
    assert train(folder, run, prepare(run.training.data, tmp_path / "data"), CPU).state == "done"
    assert read_jsonl(folder.log_file)[-1]["observed"]["code_bound"] > 0.9 * math.log(6)
    G = load_snapshot(folder.snapshot_file(1000), "raw", run)
    conditions = drawn_conditions(law, 200, 0)
    changed = next(changed_alone(law, conditions.samples, 0))
    first, second = (
        generate(G, 200, 0, latent=32, law="normal", device=CPU, conditions=conditions._replace(samples=codes)).float()
        for codes in (conditions.samples, changed)
    )
    other_latents = (first[:100] - first[100:]).abs().mean()
    assert float((first - second).abs().mean() / other_latents) > 0.3
