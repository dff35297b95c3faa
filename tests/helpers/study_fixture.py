"""Writes a study folder as training and evaluation leave it, without training: for tests of results and report."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.ndimage import gaussian_filter

from bench.data.faces import FACTORS, MODE_FACTORS, draw_faces
from bench.evaluation.conditional import class_name
from bench.files import read_json, read_jsonl, write_jsonl, write_record
from bench.metrics.settings import EvaluationSettings
from bench.objectives import load
from bench.review.identities import planned_training
from bench.runs.portable import training_id

OBJECTIVES = ("nsgan", "minimax", "lsgan", "wgan", "wgan-gp", "ebgan", "began", "vae")
# Frechet distance, coverage and blur of each objective's samples: what `quick` roughly gives.
CHARACTER = {
    "nsgan": (31.0, 0.62, 0.6),
    "minimax": (58.0, 0.31, 1.2),
    "lsgan": (34.5, 0.57, 0.7),
    "wgan": (96.0, 0.11, 2.4),
    "wgan-gp": (41.0, 0.49, 0.9),
    "ebgan": (71.0, 0.22, 1.6),
    "began": (63.0, 0.18, 1.1),
    "vae": (49.0, 0.27, 1.4),
}
TRAIN, HELDOUT = "a1" * 32, "b2" * 32
ENVIRONMENT = {
    "bench": "0.1.0",
    "python": "3.11.7",
    "system": "Linux x86_64",
    "packages": {"torch": "2.11.0", "torchvision": "0.26.0", "numpy": "2.4.6"},
    "device": "Example CPU @ 2.1 GHz",
    "device_type": "cpu",
    "capability": "AVX512",
    "threads": 1,
    "commit": "0123456789ab",
}
HOSTILE = (
    r"""<script>alert("x")</script> | *a* _b_ `c` $\frac{1}{0}$ & % # {} ~ ^ \input{/etc/passwd} </style> """
    "[d](javascript:e)"
)


@dataclass(frozen=True)
class Fate:
    """How one run ended, where it is not simply done. `reason` is what status.json says."""

    state: str = "done"
    steps: int | None = None
    reason: str | None = None
    evaluated: bool = True
    collapsed: bool = False
    continued_on: tuple[str, ...] = ()
    phase: str | None = None


@dataclass(frozen=True)
class StudyFixture:
    """What to write: `fates` by (label, protocol, seed); a fate of None leaves the run unbegun.

    With `labels`, factors of drawn faces, nsgan obeys them and `wgan` does not; metrics and grids are those of such a
    study. With `codes`, numbers of values, nsgan uses all of its own and of one continuous code, and `wgan` none. With
    `input`, what the inputs of pairs are, `wgan` draws averages and does not hear its latents.
    `floor_source` is the split that stands in for generated images in floors; None: lines that do not say.
    """

    name: str = "example"
    title: str = "example: drawn faces"
    notice: str | None = "This is a check of the machinery. It compares nothing."
    objectives: tuple[str, ...] = OBJECTIVES
    protocols: tuple[str, ...] = ("controlled",)
    seeds: tuple[int, ...] = (0, 1)
    resolution: int = 32
    final_step: int = 900
    log_every: int = 25
    sample_seeds: int = 1
    floor_source: str | None = "heldout"
    fates: Mapping[tuple[str, str, int], Fate | None] = field(default_factory=dict)
    card_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    entry_notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backbone_hashes: Mapping[str, str] = field(default_factory=dict)
    caption: str = "Controlled rows share learning rate 1e-3."
    source: str = "faces"
    labels: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    input: str = ""

    @property
    def snapshots(self) -> tuple[int, ...]:
        return self.final_step // 4, self.final_step // 2, self.final_step

    @property
    def evaluation(self) -> EvaluationSettings:
        return EvaluationSettings(
            extractors=("lite0", "judge"), samples=1000, snapshot_samples=500, sample_seeds=self.sample_seeds
        )

    def write(self, runs_root: Path) -> Path:
        """Write runs_root/<name>/ and return it."""
        study = runs_root / self.name
        runs = [
            (label, protocol, seed) for seed in self.seeds for label in self.objectives for protocol in self.protocols
        ]
        plan = self._plan(runs)
        write_json(study / "plan.json", plan)
        paths = {(run["label"], run["protocol"], run["seed"]): run["path"] for run in plan["runs"]}
        for label, protocol, seed in runs:
            fate = self.fates.get((label, protocol, seed), Fate())
            if fate is not None:
                _write_run(self, plan, study / paths[label, protocol, seed], label, protocol, seed, fate)
        return study

    def _plan(self, runs: list[tuple[str, str, int]]) -> dict[str, Any]:
        recipe = {
            "optimizer": "adam",
            "learning_rate_discriminator": 1e-3,
            "learning_rate_generator": 1e-3,
            "betas": [0.5, 0.999],
            "alpha": 0.99,
            "epsilon": 1e-8,
            "discriminator_steps": 1,
            "norm": "layer",
            "warm_up": None,
        }
        data = {"source": self.source, "path": None, "recipe": "none", "resolution": self.resolution}
        data |= {"labels": list(self.labels)} if self.labels else {}
        data |= {"input": self.input} if self.input else {}
        plan: dict[str, Any] = {
            "schema": 1,
            "bench_version": "0.1.0",
            "study": self.name,
            "title": self.title,
            "notice": self.notice,
            "caption": self.caption,
            "baseline": "nsgan",
            "primary_metric": "fjd_lite0" if self.labels else "fd_lite0",
            "secondary": ["coverage_lite0", "recall_lite0", "precision_lite0"],
            "generator": "raw",
            "final_step": self.final_step,
            "seeds": list(self.seeds),
            "protocols": list(self.protocols),
            "data": data | {"train_count": 10000, "heldout_count": 4000, "partial": False, "seed": 0},
            "backbone": {"resolution": self.resolution, "width": 16, "latent": 100, "latent_law": "normal"}
            | ({"codes": {"categorical": list(self.codes), "continuous": 1}} if self.codes else {}),
            "schedule": {"generator_steps": self.final_step, "batch": 16, "halve_every": 100000, "learning_rate": 1e-3},
            "recipe": recipe,
            "training": {
                "ema_decay": 0.999,
                "snapshots": 3,
                "log_every": self.log_every,
                "precision": "fp32",
                "threads": 1,
            },
            "evaluation": self.evaluation.model_dump(mode="json"),
            "evaluation_id": self.evaluation.id(),
            "entries": [
                self._entry(label, protocol, recipe) for label in self.objectives for protocol in self.protocols
            ],
        }
        ids = {run: training_id(training_of(plan, *run)) for run in runs}
        plan["runs"] = [
            {
                "path": f"{label}-{protocol}/seed-{seed}-{ids[label, protocol, seed]}",
                "label": label,
                "objective": _objective(label),
                "protocol": protocol,
                "seed": seed,
                "id": ids[label, protocol, seed],
            }
            for label, protocol, seed in runs
        ]
        return plan

    def _entry(self, label: str, protocol: str, recipe: dict[str, Any]) -> dict[str, Any]:
        card = load(_objective(label)).describe() | dict(self.card_changes.get(label, {}))
        mine, deviations = recipe, []
        if protocol == "published":
            stated = json.loads(json.dumps({key: value for key, value in card["published"].items() if key in recipe}))
            mine = recipe | stated
            deviations = [f"{key} {value}" for key, value in stated.items() if value != recipe[key]]
        notes = card["controlled_notes"] if protocol == "controlled" else []
        return {
            "label": label,
            "objective": _objective(label),
            "protocol": protocol,
            "settings": {name: value["default"] for name, value in card["settings"].items()},
            "recipe": mine,
            "card": card,
            "deviations": deviations,
            "notes": [*notes, *self.entry_notes.get(label, ())],
        }


def realistic(name: str = "quick", **changes: Any) -> StudyFixture:
    """Return `quick` as it usually ends: two seeds, everything done."""
    return StudyFixture(name=name, title=f"{name}: a check of the machinery on drawn faces", **changes)


def troubled(seeds: int = 5, **changes: Any) -> StudyFixture:
    """Return a study with every trouble: diverged, failed, unevaluated, interrupted, unbegun, collapsed, moved."""
    last = seeds - 1
    return StudyFixture(
        name="troubled",
        title="troubled: drawn faces",
        notice=None,
        seeds=tuple(range(seeds)),
        fates={
            ("minimax", "controlled", last): Fate("diverged", 412, "non-finite loss in generator step 412"),
            ("wgan", "controlled", last): Fate("failed", 230, HOSTILE),
            ("ebgan", "controlled", last): Fate(evaluated=False),
            ("began", "controlled", 0): Fate(collapsed=True),
            ("vae", "controlled", last): Fate("running", 640, phase="training"),
            ("lsgan", "controlled", last): None,
            ("wgan-gp", "controlled", 0): Fate(continued_on=("torch 2.12.0, Other CPU, AVX2",)),
        },
        **changes,
    )


def _objective(label: str) -> str:
    return next((name for name in sorted(OBJECTIVES, key=len, reverse=True) if label.startswith(name)), "nsgan")


def training_of(plan: dict[str, Any], label: str, protocol: str, seed: int) -> dict[str, Any]:
    """Return what a run's spec.json has as `training`."""
    (entry,) = (entry for entry in plan["entries"] if (entry["label"], entry["protocol"]) == (label, protocol))
    training = planned_training(plan, entry, seed)
    return training | {
        "objective": training["objective"] | {"file": None},
        "data": training["data"] | {"path": None},
    }


def hash_text(text: str) -> int:
    """Return a number that depends on the text alone (Python's own hash is salted)."""
    return int.from_bytes(text.encode()[-6:].rjust(6, b"\0"), "big") * 2654435761 % 2**40


def _write_run(
    fixture: StudyFixture, plan: dict[str, Any], folder: Path, label: str, protocol: str, seed: int, fate: Fate
) -> None:
    training = training_of(plan, label, protocol, seed)
    objective = _objective(label)
    reached = fixture.final_step if fate.steps is None else fate.steps
    rng = np.random.default_rng([hash_text(label), hash_text(protocol), seed])
    pace = 0.035 * (1 + OBJECTIVES.index(objective) / 6)
    write_json(folder / "environment.json", ENVIRONMENT)
    write_json(folder / "card.json", load(objective).describe())
    write_json(
        folder / "spec.json",
        {
            "schema": 1,
            "id": training_id(training),
            "study": fixture.name,
            "label": label,
            "protocol": protocol,
            "training": training,
            "evaluation": plan["evaluation"],
            "code": {"objective": f"0b{objective}", "training": "7r41n"},
        },
    )
    write_json(
        folder / "architecture.json",
        {
            "backbone_hash": fixture.backbone_hashes.get(label, "5d1b8a3e0c9f4e27"),
            "parameters": {
                "generator": 209_680,
                "discriminator": 43_312,
                "trunk": 42_240,
                "norm": 0 if fixture.protocols == ("published",) else 224,
                "head": 1_024 if objective not in ("vae", "ebgan", "began") else 102_400,
                "decoder": 209_456 if objective in ("ebgan", "began") else 0,
            },
        },
    )
    write_json(
        folder / "status.json",
        {
            "schema": 1,
            "state": fate.state,
            "generator_steps": reached,
            "total_generator_steps": fixture.final_step,
            "discriminator_steps": 0 if objective == "vae" else reached,
            "images_seen": reached * 16,
            "device_seconds": round(reached * pace, 3),
            "steps_per_second": round(1 / pace, 3),
            "attempts": 1,
            "reason": fate.reason,
            "device": "cpu",
            "phase": fate.phase,
            "updated": "2026-01-01T00:00:00+00:00",
            "continued_on": list(fate.continued_on),
            "data_sha256": {"train": TRAIN, "heldout": HELDOUT},
        },
    )
    _write_log(fixture, folder, objective, reached, pace, rng, fate, training["recipe"])
    for step in fixture.snapshots:
        if step <= reached:
            progress = step / fixture.final_step
            write_bytes(
                folder / "samples" / f"step-{step:08d}.png",
                grid_png(
                    fixture.resolution,
                    objective,
                    seed,
                    progress,
                    fate.collapsed,
                    3 if fixture.labels else 5 if fixture.input else 8,
                ),
            )
    if fate.evaluated and fate.state == "done":
        for name, content in pictures(fixture.resolution, objective, seed).items():
            write_bytes(folder / "samples" / name, content)
        if fixture.codes:
            grid = pictures(fixture.resolution, objective, seed)["interpolations.png"]
            write_bytes(folder / "samples" / "traversals.png", grid)
    if fate.evaluated and fate.state != "failed":
        _write_metrics(fixture, folder, objective, protocol, reached, rng, fate)


def _write_log(
    fixture: StudyFixture,
    folder: Path,
    objective: str,
    reached: int,
    pace: float,
    rng: np.random.Generator,
    fate: Fate,
    recipe: dict[str, Any],
) -> None:
    steps = sorted({*range(fixture.log_every, reached + 1, fixture.log_every), *fixture.snapshots})
    lines = []
    for step in (step for step in steps if step <= reached):
        fade, noise = float(np.exp(-step / 250)), rng.normal(0, 0.04, 4)
        terms = {"real": 0.35 + 0.5 * fade + noise[0], "fake": 0.4 + 0.3 * fade + noise[1]}
        if objective == "wgan-gp":
            terms["penalty"] = 0.2 + 0.9 * fade + abs(noise[2])
        mine: dict[str, float | None] = {"fake": 1.1 - 0.6 * fade + noise[3]}
        if objective == "vae":
            terms, mine = {}, {"reconstruction": 320 + 900 * fade + 40 * noise[0], "kl": 28 - 20 * fade + noise[1]}
        if fate.state == "diverged" and step > reached - 60:
            mine = dict.fromkeys(mine)
        lines.append(
            {
                "generator_steps": step,
                "discriminator_steps": 0 if objective == "vae" else step,
                "images_seen": step * 16,
                "device_seconds": round(step * pace, 3),
                "learning_rate": {
                    player: recipe[f"learning_rate_{player}"] for player in ("discriminator", "generator")
                },
                "discriminator": terms,
                "generator": mine,
                "observed": {"gradient_norm": 0.8 + fade},
            }
        )
    append_jsonl(folder / "log.jsonl", lines)


def _write_metrics(
    fixture: StudyFixture,
    folder: Path,
    objective: str,
    protocol: str,
    reached: int,
    rng: np.random.Generator,
    fate: Fate,
) -> None:
    distance, coverage, _ = CHARACTER[objective]
    distance *= float(rng.normal(1, 0.05)) * (0.93 if protocol == "published" else 1.0)
    coverage *= float(rng.normal(1, 0.06))
    if fate.collapsed:
        distance, coverage = distance * 2.2, 0.004
    for step in (step for step in fixture.snapshots if step <= reached):
        late = 1 + 3.5 * float(np.exp(-3 * step / fixture.final_step))
        append_jsonl(
            folder / "metrics.jsonl",
            [_line(fixture, step, "raw", 0, "fd_lite0@500", distance * late + 1.4, 2.9, 500)],
        )
    if reached < fixture.final_step:
        return
    lines = []
    for sample_seed in range(fixture.sample_seeds):
        for generator in ("raw", "ema"):
            better = 0.9 if generator == "ema" else 1.0
            wobble = float(rng.normal(1, 0.01))
            values = {
                "fd_lite0": (distance * better * wobble, 1.42),
                "fd_lite0_train": (distance * better * wobble - 0.3, 1.38),
                "kid_lite0": (distance * better * 0.0021, 0.00012),
                "kid_deviation_lite0": (0.00031, 0.00004),
                "coverage_lite0": (min(coverage * wobble / better, 0.96), 0.968),
                "recall_lite0": (min(coverage * 0.8 * wobble, 0.9), 0.91),
                "precision_lite0": (min(0.35 + coverage * 0.6, 0.95) * wobble, 0.92),
                "density_lite0": (0.3 + coverage, 1.002),
                "unique_lite0": (0.02 if fate.collapsed else 0.93, 0.997),
                "is_lite0": (3.1 + coverage, 4.4),
                "fd_judge": (distance / 9, 0.21),
                "modes_judge": (float(round(coverage * 700)), 655.0),
                "modes_judge_share": (round(coverage * 700) / 655, 1.0),
                "nearest_train": (0.8 + coverage / 4, 1.0),
                "diversity_lite0": (0.5 + coverage / 2, 1.003),
                "vendi_lite0": (0.2 + coverage, 0.998),
                "support_lite0": (40_000 * coverage, 61_000.0),
                "ms_ssim": (0.5 - coverage / 2, 0.162),
                "ct_lite0": (6 * coverage - 1, 0.21),
            }
            if fixture.codes:
                values |= _coded(fixture.codes, objective, rng)
            if fixture.input:
                values |= _paired(fixture.input, objective)
            if fixture.labels:
                values |= _told(fixture.labels, objective, distance, rng)
            lines += [
                _line(fixture, fixture.final_step, generator, sample_seed, metric, value, floor, 1000)
                for metric, (value, floor) in values.items()
            ]
    append_jsonl(folder / "metrics.jsonl", lines)


def _told(
    labels: tuple[str, ...], objective: str, distance: float, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return what is measured of samples that were told labels."""
    sizes = [len(FACTORS[name]) for name in labels]
    chance = float(np.prod(1 / np.array(sizes)))
    accuracy = (chance if objective == "wgan" else 0.8) + float(rng.normal(0, 0.01))
    factors = {f"label_accuracy_judge+{name}": (accuracy ** (1 / len(labels)), 1.0) for name in labels}
    classes = {
        f"{kind}+{class_name(number, {name: FACTORS[name] for name in labels})}": value
        for number in range(int(np.prod(sizes)))
        for kind, value in (
            ("label_accuracy_judge", (accuracy, 1.0)),
            ("coverage_lite0", (0.4 + number / 100, 0.97)),
            ("kid_lite0", (0.02 + number / 1000, 0.0001)),
        )
    }
    return {
        "fjd_lite0": (distance * (1.9 if objective == "wgan" else 1.1), 2.1),
        "label_accuracy_judge": (accuracy, 0.999),
        "label_accuracy_gated_judge": (accuracy * 0.9, 0.97),
        "gan_test_lite0": (0.99 if objective == "wgan-gp" else accuracy, 0.97),
        "gan_train_lite0": (accuracy * 0.95, 0.97),
        "intra_kid_lite0": (0.03, 0.0002),
        "worst_class_coverage_lite0": (0.4, 0.95),
        **factors,
        **classes,
    }


def _paired(kind: str, objective: str) -> dict[str, tuple[float, float | None]]:
    """Return what is measured of pairs of drawn faces; of maps of parts the floors are known."""
    blurred = objective == "wgan"
    law = {"hidden_entropy": (0.01 if blurred else 0.6, 1.0), "hidden_law": (2.1 if blurred else 0.4, 0.08)}
    near = {
        "l1": (0.18 if blurred else 0.23, 0.21),
        "psnr": (13.0, 11.7),
        "ssim": (0.5, 0.43),
        "pair_distance_lite0": (0.9, 0.81),
        "intra_diversity_lite0": (0.01 if blurred else 0.5, 0.79),
    }
    if kind != "parts":
        near, law = {name: (value, None) for name, (value, _) in near.items()}, {}
    return {"kept_judge": (0.99 if blurred else 0.7, 1.0), **near, **law}


def _coded(sizes: tuple[int, ...], objective: str, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return what is measured of samples with codes; of a row that uses them, code number i decides factor number i."""
    used = 0.0 if objective == "wgan" else 0.8
    names = [*(f"categorical{place + 1}" for place in range(len(sizes))), "continuous1"]
    parts = {
        f"{metric}+{code}.{factor}": (used if row == column else 0.01, 0.002)
        for metric in ("code_information_judge", "code_effect_judge")
        for row, code in enumerate(names)
        for column, factor in enumerate(MODE_FACTORS)
    }
    return {
        "codes_used_judge": (used + float(rng.normal(0, 0.002)), 0.003),
        "mig_judge": (used * 0.9, 0.002),
        "trait_correlation_recogniser": (0.2 + used / 2, 0.07),
        f"trait_correlation_recogniser+continuous1.{'yaw' if used else 'glow'}": (0.2 + used / 2, 0.07),
        **parts,
    }


def _line(
    fixture: StudyFixture,
    step: int,
    generator: str,
    sample_seed: int,
    metric: str,
    value: float,
    floor: float,
    samples: int,
) -> dict[str, Any]:
    split = "heldout" if metric == "fd_lite0_train" and fixture.floor_source else fixture.floor_source
    return {
        "schema": 1,
        "evaluation_id": fixture.evaluation.id(),
        "generator_steps": step,
        "generator": generator,
        "sample_seed": sample_seed,
        "metric": metric,
        "value": value,
        "floor": floor,
        "samples": samples,
        "reference": "train" if metric.endswith("_train") else "heldout",
        "reference_samples": samples,
        "extractor": "lite0",
        "extractor_sha256": "e3" * 32,
        "data_sha256": HELDOUT,
        **({"floor_source": split, "floor_samples": samples} if split else {}),
    }


@lru_cache(maxsize=4)
def _faces(resolution: int) -> npt.NDArray[np.float64]:
    return draw_faces(7, range(64), resolution).astype(np.float64)


@lru_cache(maxsize=64)
def _blurred(resolution: int, objective: str, progress: float) -> npt.NDArray[np.uint8]:
    """Return 64 drawn faces, blurred and mixed with grey as an early or weak generator's samples would be."""
    images = _faces(resolution)
    sigma = CHARACTER[objective][2] * (1 + 3 * (1 - progress)) * resolution / 64
    blurred = gaussian_filter(images, (0, 0, sigma, sigma))
    grey = blurred.mean(axis=(0, 2, 3), keepdims=True)
    noise = np.random.default_rng(0).normal(0, 6, blurred.shape)
    return np.clip(progress**0.5 * blurred + (1 - progress**0.5) * grey + noise, 0, 255).astype(np.uint8)


@lru_cache(maxsize=256)
def grid_png(resolution: int, objective: str, seed: int, progress: float, collapsed: bool, rows: int = 8) -> bytes:
    """Return an 8x8 grid of such faces: another order for every seed, one face 64 times where collapsed.

    `rows`: of a study with labels there is one for each value of the first factor, of pairs there are five.
    """
    images = np.roll(_blurred(resolution, objective, progress), seed * 5, axis=0)
    if collapsed:
        images = np.repeat(images[:1], 64, axis=0)
    tiles = images.reshape(8, 8, 3, resolution, resolution)
    grid = tiles.transpose(0, 3, 1, 4, 2).reshape(8 * resolution, 8 * resolution, 3)
    buffer = io.BytesIO()
    Image.fromarray(grid[: rows * resolution]).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


@lru_cache(maxsize=64)
def pictures(resolution: int, objective: str, seed: int) -> dict[str, bytes]:
    """Return interpolations.png and nearest.png as evaluation would write them: blurred faces over faces."""
    with Image.open(io.BytesIO(grid_png(resolution, objective, seed, 1.0, collapsed=False))) as image:
        grid = np.asarray(image)
    faces = _faces(resolution)[:8].astype(np.uint8).transpose(2, 0, 3, 1).reshape(resolution, 8 * resolution, 3)
    gap = np.full((resolution // 8, 8 * resolution, 3), 128, np.uint8)
    rows = ("generated", "nearest of 10,000 training images in 16 x 16 pixels", f"nearest in {HOSTILE}")
    facts = PngInfo()
    facts.add_text("bench", json.dumps([{"row": row} for row in rows]))
    found = {}
    for name, pixels in (
        ("interpolations.png", grid[: 6 * resolution]),
        ("nearest.png", np.concatenate([grid[:resolution], gap, faces, faces[:, ::-1]])),
    ):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1, pnginfo=facts)
        found[name] = buffer.getvalue()
    return found


def write_json(path: Path, value: Any) -> None:
    """Write JSON without flushing to the disk, which costs a test seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def append_jsonl(path: Path, values: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(value) + "\n" for value in values)


def write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def sum_records(study: Path) -> None:
    """Give a written study's records the checksums that training and evaluation give them."""
    for file in study.rglob("*.json*"):
        if file.suffix == ".jsonl":
            write_jsonl(file, read_jsonl(file))
        else:
            write_record(file, read_json(file))


def plan_of(study: Path) -> dict[str, Any]:
    """Read a written study's plan back."""
    plan = read_json(study / "plan.json")
    assert isinstance(plan, dict)
    return plan
