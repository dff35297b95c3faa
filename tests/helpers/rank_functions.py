"""What one of several ranks is told to do in tests; a module of its own, since its process imports it by name."""

from __future__ import annotations

import torch
from helpers.training_fixture import CPU, study

from bench.networks.conditioning import Batch
from bench.runs.plan import make_plan
from bench.training.engine import make_engine
from bench.training.loop import build_state
from bench.training.ranks import Ranks


def bf16_step(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    try:
        entry = {"objective": "nsgan", "label": "row", "recipe": {"norm": "batch"}}
        spec = make_plan(study(objectives=(entry,), training={"precision": "bf16"})).runs[0].training
        state = build_state(spec, CPU, Ranks(rank, 2))
        images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
        make_engine("auto", state).run_iteration(0, lambda step: Batch(images))
        torch.save((state.meter.take_means(), dict(state.G.named_buffers())), f"{folder}/{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()
