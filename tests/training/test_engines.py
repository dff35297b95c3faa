"""The ways to carry an iteration out: eagerly, recorded for replay, compiled. All take the same steps."""

from __future__ import annotations

import copy
import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.training_fixture import CPU, labelled_if_needed, study, trained
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data import prepare
from bench.files import read_jsonl
from bench.networks.conditioning import Batch
from bench.objectives import load, names
from bench.runs.folder import RunFolder
from bench.runs.plan import TrainingSpec, make_plan
from bench.training.engine import CompiledEngine, EagerEngine, make_engine
from bench.training.graph import NOT_CAPTURED, GraphEngine, first_error
from bench.training.iteration import Batches, frozen, run_iteration
from bench.training.loop import Interrupted, Pace, build_state, train
from bench.training.ranks import Ranks
from bench.training.rng import StaticStepRNG, StepRNG
from bench.training.state import TrainingState
from bench.validation.contract.ranks import relative_difference
from bench.validation.contract.scene import conditions

STEPS = 2
# Rows whose iterations differ from each other in what they are made of, or that draw more than latents.
UNEVEN = {
    "warm-up": ("wgan", {"warm_up": {"generator_steps": 1, "discriminator_steps": 3, "repeat_every": 4}}),
    "lazy penalty": ("wgan-gp", {"discriminator_steps": 2, "lazy_penalty": 3}),
    "fading noise": ("nsgan", {"instance_noise": 0.3, "instance_noise_steps": 2}),
    "packs": ("hinge", {"packing": 2, "norm": "spectral"}),
}


def spec_of(objective: str, **recipe: Any) -> TrainingSpec:
    entry = {"objective": objective, "label": "row", **({"recipe": recipe} if recipe else {})}
    return make_plan(study(objectives=(entry,), **labelled_if_needed(objective))).runs[0].training


def batches(step: int) -> Batch:
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(step)) * 2 - 1
    return Batch(images.to(memory_format=torch.channels_last))


def batches_for(objective: str) -> Batches:
    """Return `batches`, with labels (another composition in each) or input images where the objective needs some."""
    data = spec_of(objective).data
    sizes = data.expected_factor_sizes
    if data.input is not None:
        return lambda step: batches(step)._replace(condition=batches(1000 + step).images)
    return lambda step: batches(step)._replace(condition=conditions(8, sizes, step).float() if sizes else None)


def assert_same_state(first: TrainingState, second: TrainingState) -> None:
    assert (first.discriminator_steps, first.images_seen) == (second.discriminator_steps, second.images_seen)
    assert first.meter.sums.keys() == second.meter.sums.keys()
    assert len(first.tensors()) == len(second.tensors())
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first.tensors(), second.tensors(), strict=True))


@pytest.mark.parametrize("objective", names())
def test_recorded_iterations_are_the_eager_ones(objective: str) -> None:
    eager, recorded = build_state(spec_of(objective), CPU), build_state(spec_of(objective), CPU)
    graphs = GraphEngine(recorded)
    for step in range(STEPS):
        EagerEngine(eager).run_iteration(step, batches_for(objective))
        graphs.run_iteration(step, batches_for(objective))
    assert_same_state(eager, recorded)


@pytest.mark.parametrize("case", UNEVEN)
def test_recorded_iterations_of_several_shapes(case: str) -> None:
    objective, recipe = UNEVEN[case]
    eager, recorded = (build_state(spec_of(objective, **recipe), CPU) for _ in range(2))
    graphs = GraphEngine(recorded)
    shapes = set()
    for step in range(6):
        shapes.add(recorded.schedule.shape(step, recorded.discriminator_steps))
        EagerEngine(eager).run_iteration(step, batches)
        graphs.run_iteration(step, batches)
    assert len(shapes) == {"packs": 1, "lazy penalty": 3}.get(case, 2)
    assert_same_state(eager, recorded)


class HostReads(TorchDispatchMode):
    """Collects the operations that make the host wait for a device, or send a value made on the host."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "equal", "_unique2", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.listening = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        if self.listening and name in self.WAITING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))

    def leave_out(self, optimizer: torch.optim.Optimizer) -> None:
        """Do not listen during its steps: on a CPU it reads its learning rate, on a GPU it does not."""
        optimizer.register_step_pre_hook(lambda *_: setattr(self, "listening", False))
        optimizer.register_step_post_hook(lambda *_: setattr(self, "listening", True))


@pytest.mark.parametrize("objective", names())
def test_no_iteration_waits_for_the_device(objective: str) -> None:
    state = build_state(spec_of(objective), CPU)
    graphs = GraphEngine(state)
    graphs.run_iteration(0, batches_for(objective))  # records: makes its places
    reads = HostReads()
    reads.leave_out(state.optimizer_G)
    reads.leave_out(state.optimizer_D)
    shape = state.schedule.shape(1, state.discriminator_steps)
    with reads:
        run_iteration(state, shape, graphs._scalars, graphs._reals.__getitem__)
    assert not reads.found
    with reads:
        bool(torch.zeros(()) > 0)
    assert reads.found == ["_local_scalar_dense"]


def test_fixed_draws_stay_in_place_and_hold_what_is_drawn() -> None:
    draws = StepRNG(3, CPU, {"k": 0.5})
    fixed = StaticStepRNG(draws)
    for one in (draws, fixed):
        one.seek(0)
        one.begin("discriminator", 1)
    place = fixed.normal("latent", (4, 2))
    assert torch.equal(place, draws.normal("latent", (4, 2)))
    for one in (draws, fixed):
        one.seek(1)
    fixed.refill(fixed.requested)
    assert fixed.normal("latent", (4, 2)) is place
    assert torch.equal(place, draws.normal("latent", (4, 2)))
    assert fixed.state["k"] is draws.state["k"]


def test_a_resumed_recorded_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    data = prepare(study().data, tmp_path / "data")
    training = {"snapshots": 2, "log_every": 2, "engine": "graph"}
    changes: dict[str, Any] = {
        "objectives": ({"objective": "wgan-gp", "label": "row", "recipe": {"lazy_penalty": 2}},),
        "training": training,
    }
    whole, _, status = trained(tmp_path / "whole", data, **changes)
    assert status.engine is not None
    assert status.engine.startswith("eager, not graph: ")
    assert "CUDA device" in status.engine
    run = make_plan(study(**changes)).runs[0]
    parts = RunFolder(tmp_path / "parts")
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(parts, run, data, CPU, _stop_after(2))
    assert train(parts, run, data, CPU).state == "done"
    assert whole.snapshot_file(8).read_bytes() == parts.snapshot_file(8).read_bytes()
    assert _losses(whole) == _losses(parts)

    eager, _, _ = trained(tmp_path / "eager", data, **(changes | {"training": training | {"engine": "eager"}}))
    assert whole.snapshot_file(8).read_bytes() == eager.snapshot_file(8).read_bytes()


def _stop_after(steps: int) -> Pace:
    taken = iter(range(steps))
    return Pace(stop=lambda: next(taken, None) is None)


def _losses(folder: RunFolder) -> list[Any]:
    return [{**line, "device_seconds": 0} for line in read_jsonl(folder.log_file)]


def test_the_engine_is_part_of_what_a_run_is() -> None:
    ids = {make_plan(study(training={"engine": name})).runs[0].id for name in ("auto", "eager", "graph", "compiled")}
    assert len(ids) == 4


def test_auto_is_eager_on_a_cpu_and_several_ranks_are_always() -> None:
    state = build_state(spec_of("nsgan"), CPU)
    assert isinstance(make_engine("auto", state), EagerEngine)
    state.ranks = Ranks(0, 2)
    engine = make_engine("graph", state)
    assert isinstance(engine, EagerEngine)
    assert "several ranks" in engine.reason


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_run_begun_as_a_cuda_graph_goes_on_on_a_cpu(optimizer: str) -> None:
    state, other = (build_state(spec_of("wgan", optimizer=optimizer), CPU) for _ in range(2))
    EagerEngine(state).run_iteration(0, batches)
    saved = copy.deepcopy(state.state_dict())
    for name in ("optimizer_G", "optimizer_D"):
        saved[name]["param_groups"][0] |= {"capturable": True, "lr": torch.tensor(0.0)}  # as the graph engine leaves it
    other.load_state_dict(saved)
    for one in (state, other):
        EagerEngine(one).run_iteration(1, batches)
    assert_same_state(state, other)


SPECTRAL = [name for name in names() if load(name).card.published.norm == "spectral"]


@pytest.mark.parametrize("objective", SPECTRAL)
def test_a_step_in_bf16_under_the_published_spectral_norm(objective: str) -> None:
    assert len(SPECTRAL) >= 7
    losses = {}
    for precision in ("fp32", "bf16"):
        entry = {"objective": objective, "label": "row", "recipe": {"norm": "spectral"}}
        changes = {"training": {"precision": precision}, **labelled_if_needed(objective)}
        state = build_state(make_plan(study(objectives=(entry,), **changes)).runs[0].training, CPU)
        EagerEngine(state).run_iteration(0, batches_for(objective))
        losses[precision] = state.meter.take_means()
    for group, terms in losses["fp32"].items():
        assert losses["bf16"][group] == pytest.approx(terms, rel=0.05, abs=0.01)


def test_only_the_warning_of_the_trial_before_a_capture_is_left_out() -> None:
    assert NOT_CAPTURED in Path(inspect.getfile(torch.optim.Optimizer)).read_text()

    def warn_once(message: str) -> TrainingState:
        state = build_state(spec_of("nsgan"), CPU)
        pending = [message]
        step = state.optimizer_D.register_step_pre_hook
        step(lambda *_: warnings.warn(pending.pop(), stacklevel=1) if pending else None)
        return state

    GraphEngine(warn_once(f"{NOT_CAPTURED} or some ...")).run_iteration(0, batches)
    with pytest.raises(UserWarning, match="another"):
        GraphEngine(warn_once("another")).run_iteration(0, batches)


class BrokenCapture:
    """In place of torch.cuda.graph: ending a capture that broke raises over what broke it, as torch's does."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            raise RuntimeError("operation failed due to a previous error during capture")


def test_a_failed_capture_says_what_broke_it_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "graph", BrokenCapture)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    eager, state = (build_state(spec_of("nsgan"), CPU) for _ in range(2))
    graphs = GraphEngine(state)
    graphs.run_iteration(0, batches)
    EagerEngine(eager).run_iteration(0, batches)

    def breaks() -> None:
        with frozen(state.D):
            raise RuntimeError("operation not permitted when stream is capturing\nand more")

    assert graphs._captured(breaks) is breaks
    assert graphs.reason.endswith("not permitted when stream is capturing")  # the first line of the first error
    for one in (graphs, EagerEngine(eager)):
        one.run_iteration(1, batches)
    assert_same_state(eager, state)


def test_the_first_error_is_sought_among_errors_of_its_kind() -> None:
    first, last = RuntimeError("first"), RuntimeError("last")
    first.__context__, last.__context__ = KeyError("handled before"), first
    assert first_error(last) is first


def first_moments(state: TrainingState) -> torch.Tensor:
    """Return G's and D's gradients of the first step, as the optimisers have kept them."""
    optimizers = (state.optimizer_G, state.optimizer_D)
    states = [state for optimizer in optimizers for state in optimizer.state.values()]
    return torch.cat([state.get("exp_avg", state.get("square_avg")).flatten() for state in states])


def compiled_and_eager(objective: str) -> tuple[CompiledEngine, float]:
    """Take one step both ways; return the compiled engine and by how much the gradients differ, relatively."""
    eager, compiled = build_state(spec_of(objective), CPU), build_state(spec_of(objective), CPU)
    engine = CompiledEngine(compiled)
    EagerEngine(eager).run_iteration(0, batches_for(objective))
    engine.run_iteration(0, batches_for(objective))
    return engine, relative_difference(first_moments(compiled), first_moments(eager))


@pytest.mark.slow
def test_what_cannot_be_compiled_is_eager_and_says_why() -> None:
    engine, difference = compiled_and_eager("wgan-gp")
    assert "second derivatives" in engine.reason
    assert difference == 0


@pytest.mark.slow
def test_a_lazy_penalty_keeps_a_run_from_being_compiled_wherever_it_is_taken_up() -> None:
    state, resumed = (build_state(spec_of("wgan-gp", lazy_penalty=3), CPU) for _ in range(2))
    engine = CompiledEngine(state)
    engine.run_iteration(0, batches)
    resumed.load_state_dict(copy.deepcopy(state.state_dict()))
    later = CompiledEngine(resumed)
    assert not any(resumed.schedule.shape(1, resumed.discriminator_steps).lazy_penalties)
    for step in range(1, 4):  # the penalty is due in the last
        engine.run_iteration(step, batches)
        later.run_iteration(step, batches)
    assert engine.reason == later.reason
    assert "second derivatives" in later.reason
    assert_same_state(state, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("objective", names())
def test_compiled_iterations_agree_to_rounding(objective: str) -> None:
    engine, difference = compiled_and_eager(objective)
    # BEGAN's L1 error has a sign at each pixel, which a rounding may turn: the gradient then differs by about 1 %.
    assert difference < (0.05 if objective == "began" else 1e-4)
    assert engine.reason is None or "input gradients" in engine.reason


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("objective", names())
def test_captured_iterations_agree_with_eager_ones(objective: str) -> None:
    cuda = torch.device("cuda")
    eager, captured = build_state(spec_of(objective), cuda), build_state(spec_of(objective), cuda)
    graphs = GraphEngine(captured)
    batch = Batch(*(None if part is None else part.to(cuda) for part in batches_for(objective)(0)))
    EagerEngine(eager).run_iteration(0, lambda step: batch)
    graphs.run_iteration(0, lambda step: batch)
    assert graphs.reason is None
    assert relative_difference(first_moments(captured), first_moments(eager)) < 1e-4
