"""What a row's code does, as one hash: the weights after a compressed run of it.

A hash of the source also changes when only a docstring or the formatting does. A fingerprint changes when the bits of
training change: it is the SHA-256 of networks, averaged weights, objective state and counters after a run of eight
iterations with the schedule squeezed into them. On another kind of
machine the same code gives other bits, so it proves something on its own kind alone.

    python -m bench.training.fingerprint --spec spec.json --data FOLDER --device cpu
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.data import PreparedData, is_prepared
from bench.data.build import array_sha256, input_record, write_labels
from bench.data.prepared import PreparedSet
from bench.data.readers.base import Labels
from bench.errors import BenchError
from bench.files import write_record
from bench.gpus import entered
from bench.objectives import load
from bench.runs.folder import RunFolder
from bench.runs.plan import RunSpec, TrainingSpec
from bench.training.environment import describe_machine, kind_of_machine, prepare_process
from bench.training.loop import Interrupted, Pace, Trainer
from bench.training.ranks import Ranks

VERSION = 1  # of what is compressed and hashed: fingerprints of another version say nothing
ITERATIONS = 8
CUT_AT = 5  # the run is interrupted and taken up again there, so that checkpoints are covered
HALVE_EVERY = 3


def compressed(spec: TrainingSpec) -> TrainingSpec:
    """Return a spec whose first eight iterations show all that a run of `spec` does: the same for all its seeds.

    The rate is halved twice; a lazy penalty is due in every other discriminator step; the warm-up covers two iterations
    and comes again after four, with one discriminator step more than usual; the noise falls to zero within the eight.
    """
    recipe = spec.recipe
    changes: dict[str, Any] = {}
    if recipe.lazy_penalty > 1:
        changes["lazy_penalty"] = 2
    if recipe.warm_up is not None:
        changes["warm_up"] = recipe.warm_up.model_copy(
            update={
                "generator_steps": min(recipe.warm_up.generator_steps, 2),
                "discriminator_steps": min(recipe.warm_up.discriminator_steps, recipe.discriminator_steps + 1),
                "repeat_every": 4 if recipe.warm_up.repeat_every else None,
            }
        )
    if recipe.instance_noise > 0:
        changes["instance_noise_steps"] = ITERATIONS - 1
    objective = load(spec.objective.file or spec.objective.name).model_validate(spec.objective.settings)
    settings = objective.model_dump(mode="json") | objective.compressed_settings()
    return spec.model_copy(
        update={
            "objective": spec.objective.model_copy(update={"settings": settings}),
            "recipe": recipe.model_copy(update=changes),
            # One iteration more than are taken: the last one of a run is evaluated, which is no training.
            "budget": spec.budget.model_copy(update={"generator_steps": ITERATIONS + 1, "halve_every": HALVE_EVERY}),
            "training": spec.training.model_copy(update={"snapshots": 1, "log_every": ITERATIONS + 1}),
            "seed": 0,
        }
    )


def row_key(spec: TrainingSpec) -> str:
    """Return what two runs share exactly when one fingerprint speaks for both."""
    text = json.dumps(compressed(spec).model_dump(mode="json", exclude={"data": {"path"}}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(spec: RunSpec, data: PreparedData, device: torch.device) -> dict[str, Any]:
    """Return {"weights": the hash, "machine": the kind of machine that gives it, "version"}.

    Call it in a process that `prepare_process` has set up for the run's threads.
    """
    small = spec.model_copy(update={"training": compressed(spec.training)})
    with tempfile.TemporaryDirectory() as name:
        images = _first_images(data, small.training.budget.batch, Path(name))
        folder = RunFolder(Path(name) / "run")
        for last in (CUT_AT, ITERATIONS):
            trainer = Trainer(folder, small, images, device, Pace(stop=_after(last, folder)), Ranks())
            try:
                trainer.run()
            except Interrupted:
                continue
            break  # it diverged: that, too, is what the code does
    machine = kind_of_machine(describe_machine(device))
    return {"version": VERSION, "weights": _state_hash(trainer.state.state_dict()), "machine": machine}


def _after(last: int, folder: RunFolder) -> Any:
    """Return a question that is answered "stop" in iteration number `last`, counted from the run's start.

    The loop asks once in every iteration.
    """
    taken = folder.status().generator_steps

    def stop() -> bool:
        nonlocal taken
        taken += 1
        return taken >= last

    return stop


def _first_images(data: PreparedData, batch: int, folder: Path) -> PreparedData:
    """Return so few of the training images that the eight iterations go through several epochs."""
    count = min(data.train.count, 2 * batch + batch // 2)
    images = np.ascontiguousarray(data.train.images()[:count])
    path = folder / "images"
    path.mkdir()
    np.save(path / "images.npy", images)
    manifest = data.train.manifest | {"count": count, "sha256": array_sha256(images)}
    labels = data.train.labels()
    if labels is not None:
        manifest["labels"] = write_labels(path, Labels(data.train.factors, labels[:count]))
    inputs = data.train.inputs()
    if inputs is not None:
        np.save(path / "inputs.npy", np.ascontiguousarray(inputs[:count]))
        manifest["input"] = input_record(manifest["input"]["kind"], path / "inputs.npy")
    write_record(path / "manifest.json", manifest)
    return PreparedData(PreparedSet.open(path), data.heldout)


def _state_hash(state: Any) -> str:
    digest = hashlib.sha256()

    def add(where: str, value: Any) -> None:
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous()
            digest.update(f"{where} {plain.dtype} {tuple(plain.shape)}\n".encode())
            digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                add(f"{where}/{key}", value[key])
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                add(f"{where}/{index}", item)
        else:
            digest.update(f"{where} {value!r}\n".encode())

    # The optimisers' settings are left out: libraries add keys to them. What they do is in the weights.
    add("", {name: value for name, value in state.items() if not name.startswith(("optimizer", "meter"))})
    return digest.hexdigest()[:32]


def main(arguments: list[str] | None = None) -> int:
    """Print the fingerprints of the rows of several spec.json files as JSON lines, in order."""
    parser = argparse.ArgumentParser(prog="bench.training.fingerprint", description=__doc__)
    parser.add_argument("--spec", type=Path, action="append", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    for path in options.spec:
        spec = RunSpec.read(path)
        prepare_process(spec.training.training.threads)
        data = is_prepared(spec.training.data, options.data)
        if data is None:
            raise BenchError(f"The images of {spec.name} are not prepared in {options.data}")
        device = torch.device(options.device)
        with entered(device):
            print(json.dumps(fingerprint(spec, data, device)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
