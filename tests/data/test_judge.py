"""The judge: right on held-out faces, unsure of what is no face, and exactly the shipped weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Generator, Tensor

from bench.data import DataRequest, faces, prepare
from bench.data.judge import KNOWN, Knowledge
from bench.data.judge import training as judge_training
from bench.data.judge.network import FEATURES, Judge, JudgeOutput, confidence, load_judge, modes
from bench.data.judge.training import Shown, accuracy, blurred, drawn
from bench.errors import BenchError

COUNT = 600
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FACES = KNOWN["faces"]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge(FACES)


@pytest.fixture(scope="module")
def large() -> Shown:
    return drawn(0, faces.HELDOUT_START, COUNT, 64)


@pytest.fixture(scope="module")
def small() -> Shown:
    return drawn(0, faces.HELDOUT_START, COUNT, 32)


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_the_shipped_weights_are_the_ones_named(known: Knowledge) -> None:
    assert hashlib.sha256(known.weights.read_bytes()).hexdigest() == known.sha256
    assert known.weights.stat().st_size < 1_700_000
    with safe_open(known.weights, framework="pt") as file:
        assert sum(file.get_tensor(name).numel() for name in file.keys()) < 410_000  # noqa: SIM118 - no mapping


def test_the_judge_is_frozen(judge: Judge) -> None:
    assert not judge.training
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    assert all(tensor.dtype in {torch.float32, torch.int64} for tensor in judge.state_dict().values())


@pytest.mark.parametrize(("size", "least"), [("large", 0.98), ("small", 0.95)])
def test_modes_of_heldout_faces_are_recovered(
    size: str, least: float, judge: Judge, request: pytest.FixtureRequest
) -> None:
    shares = accuracy(judge, FACES, request.getfixturevalue(size))
    assert shares["mode"] >= least
    assert shares["confident"] >= least - 0.03
    assert shares["confident and right"] >= shares["confident"] - 0.01
    for name, share in shares.items():
        if name in faces.MODE_FACTORS:
            assert share >= 0.99
        elif name in faces.FACTORS:  # sunglasses hide eyes, hats hide hair: chance alone reaches 0.2 to 0.33
            assert share >= 0.55, name


def test_large_pictures_are_averaged_to_64_pixels(judge: Judge) -> None:
    shares = accuracy(judge, FACES, drawn(0, faces.HELDOUT_START, 60, 128))
    assert shares["mode"] >= 0.96


def test_output_has_the_promised_shapes(judge: Judge, small: Shown) -> None:
    output = judge(small.images)
    assert output.features.shape == (COUNT, FEATURES)
    assert output.features.dtype == torch.float32
    assert {name: logits.shape for name, logits in output.logits.items()} == {
        name: (COUNT, len(values)) for name, values in faces.FACTORS.items()
    }
    mode, confident = modes(output, FACES.mode_factors)
    assert mode.dtype == torch.int64
    assert confident.dtype == torch.bool
    assert torch.equal(mode[confident], true_modes(small)[confident]) or accuracy(judge, FACES, small)["mode"] < 1.0


def test_an_image_is_judged_the_same_in_any_batch(judge: Judge, large: Shown) -> None:
    """Chunks bound the memory; a batch's other images and its length change no more than the last digits."""
    whole, part = judge(large.images[:150]), judge(large.images[100:150])
    assert torch.allclose(whole.features[100:150], part.features, atol=1e-4)
    assert torch.equal(modes(whole, FACES.mode_factors)[0][100:150], modes(part, FACES.mode_factors)[0])
    assert torch.equal(judge(large.images[:150]).features, whole.features)


def grey(_: Tensor, random: Generator) -> Tensor:
    return torch.linspace(0, 255, COUNT)[:, None, None, None].expand(COUNT, 3, 64, 64)


def coloured(_: Tensor, random: Generator) -> Tensor:
    return (255.0 * torch.rand(COUNT, 3, 1, 1, generator=random)).expand(COUNT, 3, 64, 64)


def white_noise(_: Tensor, random: Generator) -> Tensor:
    return 255.0 * torch.rand(COUNT, 3, 64, 64, generator=random)


def blobs(_: Tensor, random: Generator) -> Tensor:
    coarse = 255.0 * torch.rand(COUNT, 3, 5, 5, generator=random)
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic", align_corners=False)


def mean_of_eight(images: Tensor, random: Generator) -> Tensor:
    order = torch.stack([torch.randperm(len(images), generator=random)[:8] for _ in range(COUNT)])
    return images[order].mean(dim=1)


def heavy_blur(images: Tensor, random: Generator) -> Tensor:
    return blurred(images, torch.full((len(images),), 4.0))


def tiny(images: Tensor, random: Generator) -> Tensor:
    return torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(images, 16), size=(64, 64))


def upside_down_mosaic(images: Tensor, random: Generator) -> Tensor:
    return torch.cat([images[:, :, 32:], images[:, :, :32]], dim=2)


@pytest.mark.parametrize(
    "spoil", [grey, coloured, white_noise, blobs, mean_of_eight, heavy_blur, tiny, upside_down_mosaic]
)
def test_what_is_no_face_does_not_pass_the_gate(
    spoil: Callable[[Tensor, Generator], Tensor], judge: Judge, large: Shown
) -> None:
    pictures = spoil(large.images.float(), Generator().manual_seed(3)).clamp(0, 255).to(torch.uint8)
    for resolution in (64, 32):
        shown = pictures if resolution == 64 else torch.nn.functional.avg_pool2d(pictures.float(), 2).to(torch.uint8)
        assert float(modes(judge(shown), FACES.mode_factors)[1].float().mean()) <= 0.02


def test_confidence_falls_with_blur(judge: Judge, large: Shown) -> None:
    """A slightly soft face is still recognised; each further step of blur is trusted less, not more."""
    means = []
    for deviation in (0.5, 1.0, 1.8, 2.4, 3.2):
        soft = blurred(large.images[:200].float(), torch.full((200,), deviation)).clamp(0, 255).to(torch.uint8)
        means.append(float(confidence(judge(soft), FACES.mode_factors).mean()))
    assert means == sorted(means, reverse=True)
    assert means[1] > 0.85
    assert means[-1] < 0.3


def test_the_gate_is_the_product_over_the_mode_factors() -> None:
    logits = {name: torch.zeros(2, len(values)) for name, values in faces.FACTORS.items()}
    for name in faces.MODE_FACTORS:
        logits[name][:, 1] = 6.0
    logits["hat"][1, 1] = 2.0
    mode, confident = modes(JudgeOutput(torch.zeros(2, FEATURES), logits), FACES.mode_factors)
    assert mode.tolist() == [faces.mode_index(dict.fromkeys(faces.MODE_FACTORS, 1))] * 2
    assert confident.tolist() == [True, False]
    assert modes(JudgeOutput(torch.zeros(2, FEATURES), logits), FACES.mode_factors, gate=0.5)[1].tolist() == [
        True,
        True,
    ]


def test_features_tell_spoilt_faces_from_good_ones(judge: Judge, large: Shown) -> None:
    """Two halves of the real faces lie nearer to each other than blurred or repeated ones do."""
    features = judge(large.images).features
    soft = judge(blurred(large.images[300:].float(), torch.full((300,), 2.5)).to(torch.uint8)).features
    one = judge(large.images[:1].repeat(300, 1, 1, 1)).features

    def apart(first: Tensor, second: Tensor) -> float:
        return float((first.mean(0) - second.mean(0)).square().sum() + (first.std(0) - second.std(0)).square().sum())

    floor = apart(features[:300], features[300:])
    assert apart(features[:300], soft) > 10 * floor
    assert apart(features[:300], one) > 10 * floor
    assert 0.5 < float(features.std(0).mean()) < 2.0


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 48, 48, dtype=torch.uint8), torch.zeros(3, 64, 64).byte()]
)
def test_other_input_is_refused(images: Tensor, judge: Judge) -> None:
    with pytest.raises(BenchError, match="The judge takes"):
        judge(images)


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "faces.safetensors"
    damaged.write_bytes(FACES.weights.read_bytes()[:-1] + b"\0")
    monkeypatch.setattr(Knowledge, "weights", damaged)
    with pytest.raises(BenchError, match="SHA-256"):
        load_judge(FACES)
    damaged.unlink()
    with pytest.raises(BenchError, match="missing"):
        load_judge(FACES)


def test_training_is_repeated_bit_for_bit() -> None:
    few = drawn(judge_training.FACES_SEED, 0, 64)
    first, second = (judge_training.weights(judge_training.train(few, FACES, steps=3)) for _ in range(2))
    assert first == second
    assert first != judge_training.weights(judge_training.train(few, FACES, steps=3, seed=1))


def test_training_learns() -> None:
    """A few steps already halve the distance to the answers on what it saw."""
    few = drawn(judge_training.FACES_SEED, 0, 96)
    losses: list[float] = []
    judge_training.train(
        few, FACES, steps=100, progress=lambda what, done, total: losses.append(float(what.split()[-1]))
    )
    assert losses[-1] < 0.9 * 13.0


def test_junk_has_no_face_labels() -> None:
    few = drawn(judge_training.FACES_SEED, 0, 64)
    light, targets = judge_training.batch(few, FACES, Generator().manual_seed(0))
    assert light.shape[1:] == (3, 64, 64)
    assert light.abs().max() <= 1.0
    for name, target in targets.items():
        assert torch.allclose(target.sum(1), torch.ones(len(target)))
        assert torch.allclose(target[-judge_training.JUNK_IMAGES :], torch.tensor(1.0 / len(faces.FACTORS[name])))
    assert len(light) == len(targets["hat"])


def true_modes(tested: Shown) -> Tensor:
    mode = torch.zeros(len(tested), dtype=torch.int64)
    for name in faces.MODE_FACTORS:
        mode = mode * len(faces.FACTORS[name]) + tested.labels[name]
    return mode


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_judge_of_fashion_mnist_knows_its_classes_and_no_noise(tmp_path: Path) -> None:
    known = KNOWN["fashion-mnist"]
    request = DataRequest(
        source="fashion-mnist", path=str(DEBIAN), labels=("class",), train_count=50, heldout_count=1000
    )
    tested = judge_training.photographed(prepare(request, tmp_path, workers=1).heldout)
    judge = load_judge(known)
    shares = accuracy(judge, known, tested)
    assert known.mode_count == 10
    assert shares["class"] >= 0.90  # 0.925 of all 10,000
    assert shares["confident and right"] >= 0.95 * shares["confident"] >= 0.6
    random = Generator().manual_seed(3)
    soft = blurred(tested.images[:200].float(), torch.full((200,), 3.0))
    for pictures in (
        255 * torch.rand(200, 3, 32, 32, generator=random),
        mean_of_eight(tested.images.float(), random),
        soft,
    ):
        shown = pictures[:200].clamp(0, 255).to(torch.uint8)
        assert float(modes(judge(shown), known.mode_factors)[1].float().mean()) <= 0.1
