"""The drawn faces: pure functions of (seed, index), uniform modes, and no mode factor hidden by another."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bench.data import faces
from bench.errors import BenchError

# Every ninth pixel of three faces of seed 0 at 64 pixels, as (index, hexadecimal RGB of 8 x 8 pixels).
FROZEN: tuple[tuple[int, str], ...] = (
    (
        0,
        "439969479f6e48a16f479e6d4297683d8d60378258337a52479e6d4ba5734ca7744aa472469c6c3f916338855a337a52"
        "489f6e4ca67440835e1c1a1d1514162a573e388459327951469b6b4aa2714d3225221d1e291c160f0d0f37815731764f"
        "41926445996a425239211715121012323424347b532f714c3a855b3e8b603e8d610f0e0f0d0b0d347c5430734d2d6c48"
        "337751357c546f57427317186a14165b4a372c6b482a64432c6a47c61b23ae181fa6171e9a151b851218821217265c3e",
    ),
    (
        7,
        "c5ccd7d2d9e4d7dfead6dee9d0d7e2c6cdd8bcc3ceb6bdc7c7ced9d4dbe6d9e1ed5c2574702d8dc7cfd9bdc4ceb6bdc7"
        "c3cad4cfd6e1421b52672a817931987f33a0bac1cbb4bbc5b8bfc9c4cbd540251538292120222c292c37b5bcc6b1b7c1"
        "a9afb8b4bbc4afb3bb8b5a3b46221b996442aeb5beabb1bb989ea6a2a8b1a8aeb762432c785236a8aeb8a7adb6a3a9b2"
        "898e9692979f77809f1b24644e41614d5da79da3ab999fa77d8288132375132377162786182b93182c961c33ac8e939b",
    ),
    (
        1_000_003,
        "b5524fc25955cf605dd96663dd6965da6764d0625ec05956b95451ca5e5bda6864ea9c3ae5b319e8716ddd6a67cb605d"
        "ba5552ce615ef4bf1bfffa62ffdc56e4bb3ce46f6cd06461b85551cc615d502f1a1a191e16131756321ce36f6ccf6461"
        "b0514ec45c59452916301d17492b184f2e1ada6b67c65f5ca54b48b55552331e102919112d1b13321d108a453db65754"
        "974442a34b48cc842fa179126e4f14dba11bb15451a24b498b3f3ccf9d13d09e13d7a314c99813d7a314cb9a138d403e",
    ),
)
FROZEN_FACTORS = {
    "skin": 4,
    "background": 2,
    "shirt": 0,
    "glasses": 2,
    "hat": 0,
    "hair_style": 1,
    "hair_colour": 0,
    "eyes": 2,
    "mouth": 0,
    "beard": 3,
}
FROZEN_MODE = 74


def test_another_process_draws_the_same_bytes_without_torch() -> None:
    script = (
        "import sys, hashlib; from bench.data import faces;"
        "print(hashlib.sha256(faces.draw_faces(5, [17, 2_000_003], 64).tobytes()).hexdigest(), 'torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
    assert output.split() == [hashlib.sha256(faces.draw_faces(5, [17, 2_000_003], 64).tobytes()).hexdigest(), "False"]


@pytest.mark.parametrize("resolution", faces.RESOLUTIONS)
def test_a_face_does_not_depend_on_its_batch(resolution: int) -> None:
    together = faces.draw_faces(1, [4, 0, 9, 4], resolution)
    assert together.shape == (4, 3, resolution, resolution)
    assert together.dtype == np.uint8
    assert np.array_equal(together[0], together[3])
    assert np.array_equal(together[2].transpose(1, 2, 0), faces.draw_face(1, 9, resolution))


def test_batches_of_every_length_agree_with_single_faces() -> None:
    """Batches are hashed a hundred at a time: the seams must not show."""
    calls: list[tuple[int, int]] = []
    many = faces.draw_faces(2, range(205), 32, progress=lambda done, total: calls.append((done, total)))
    for index in (0, 99, 100, 199, 200, 204):
        assert np.array_equal(many[index].transpose(1, 2, 0), faces.draw_face(2, index, 32))
    assert calls == [(100, 205), (200, 205), (205, 205)]
    assert faces.draw_faces(2, [], 64).shape == (0, 3, 64, 64)


def test_seeds_and_indices_give_different_faces() -> None:
    drawn = [faces.draw_face(seed, index, 32).tobytes() for seed in range(-2, 8) for index in (0, 1, 2, 1_000_000)]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(("index", "pixels"), FROZEN)
def test_faces_stay_what_they_are(index: int, pixels: str) -> None:
    """A change of the drawing is a new data set. One level of difference is left to other processors' last digits."""
    expected = np.frombuffer(bytes.fromhex(pixels), dtype=np.uint8).reshape(8, 8, 3).astype(int)
    found = faces.draw_face(0, index)[::9, ::9].astype(int)
    assert np.abs(found - expected).max() <= 1


def test_factors_stay_what_they_are() -> None:
    assert faces.factors(0, 0) == FROZEN_FACTORS
    assert faces.mode_index(faces.factors(0, faces.HELDOUT_START)) == FROZEN_MODE


def test_small_pictures_are_the_mean_of_large_ones() -> None:
    large = faces.draw_faces(0, range(20), 64).astype(float).reshape(20, 3, 32, 2, 32, 2).mean(axis=(3, 5))
    assert np.abs(large - faces.draw_faces(0, range(20), 32)).max() <= 1.0


def test_a_fine_picture_shows_the_same_face() -> None:
    fine = faces.draw_faces(0, range(20), 128).astype(float).reshape(20, 3, 64, 2, 64, 2).mean(axis=(3, 5))
    assert np.abs(fine - faces.draw_faces(0, range(20), 64)).mean() < 3.0


def test_factors_are_uniform_and_independent() -> None:
    chosen = [faces.factors(0, index) for index in range(8_000)]
    for name, values in faces.FACTORS.items():
        counts = np.bincount([one[name] for one in chosen], minlength=len(values))
        assert stats.chisquare(counts).pvalue > 1e-4, name
    for first, second in combinations(faces.FACTORS, 2):
        table = np.zeros((len(faces.FACTORS[first]), len(faces.FACTORS[second])))
        np.add.at(table, ([one[first] for one in chosen], [one[second] for one in chosen]), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-5, (first, second)
    modes = np.bincount([faces.mode_index(one) for one in chosen], minlength=faces.mode_count())
    assert stats.chisquare(modes).pvalue > 1e-4


def test_there_are_1080_modes_and_each_has_its_number() -> None:
    assert faces.mode_count() == 1080
    numbers = [faces.mode_index(faces.mode_factors(index)) for index in range(faces.mode_count())]
    assert numbers == list(range(1080))
    assert faces.mode_factors(0) == dict.fromkeys(faces.MODE_FACTORS, 0)


def test_traits_stay_in_their_ranges() -> None:
    traits = [faces.face(0, index).traits for index in range(500)]
    for name, (low, high) in faces.TRAITS.items():
        values = np.array([one[name] for one in traits])
        assert low <= values.min() < low + 0.03 * (high - low)
        assert high - 0.03 * (high - low) < values.max() < high


@pytest.mark.parametrize(("resolution", "faces_tried"), [(64, 24), (32, 12)])
def test_no_mode_factor_is_ever_hidden(resolution: int, faces_tried: int) -> None:
    """Changing one mode factor changes enough of the picture to be seen, whatever else the face wears."""
    least = {"skin": 96, "background": 1600, "shirt": 320, "glasses": 72, "hat": 220}
    share = (resolution / 64) ** 2
    for index in range(faces_tried):
        who = faces.face(11, index)
        for name in faces.MODE_FACTORS:
            for first, second in combinations(range(len(faces.FACTORS[name])), 2):
                seen = changed(variant(who, name, first, resolution), variant(who, name, second, resolution))
                assert seen >= share * least[name], (index, name, first, second)


def test_even_the_most_dressed_face_shows_its_skin() -> None:
    """Sunglasses, a cap, long hair and a full beard together leave a quarter of the head's skin, neck and ears."""
    for index in range(40):
        who = faces.face(12, index)
        dressed = {**who.factors, "glasses": 2, "hat": 1, "hair_style": 4, "beard": 3}
        for tone in range(4):
            first = replace(who, factors=dressed)
            assert changed(variant(first, "skin", tone, 64), variant(first, "skin", tone + 1, 64)) >= 80


def test_every_factor_is_seen_where_nothing_covers_it() -> None:
    plain = {"glasses": 0, "hat": 0, "hair_style": 3, "beard": 3}
    for index in range(10):
        who = faces.face(13, index)
        who = replace(who, factors={**who.factors, **plain})
        for name, values in faces.FACTORS.items():
            pictures = [variant(who, name, value, 64) for value in range(len(values))]
            for first, second in combinations(pictures, 2):
                assert changed(first, second) >= 4, (index, name)


def test_skin_tones_keep_their_distance_in_any_light() -> None:
    """A bare face's brightness alone tells neighbouring tones apart in 19 of 20 lights and poses."""
    tones = range(len(faces.FACTORS["skin"]))
    bare = {"glasses": 0, "hat": 0, "hair_style": 0, "beard": 0}
    levels = np.zeros((len(tones), 60))
    for index in range(60):
        who = faces.face(14, index)
        for tone in tones:
            middle = variant(replace(who, factors={**who.factors, **bare}), "skin", tone, 64)[22:46, 24:40]
            levels[tone, index] = np.median(middle @ np.array([0.3, 0.59, 0.11]))
    lighter, darker = np.percentile(levels[:-1], 5, axis=1), np.percentile(levels[1:], 95, axis=1)
    assert (lighter > darker + 4).all()


def test_a_description_names_what_is_seen() -> None:
    chosen = dict.fromkeys(faces.FACTORS, 0)
    text = faces.describe(chosen)
    for words in ("porcelain skin", "bald", "brown eyes", "a closed mouth", "a red shirt", "a sand background"):
        assert words in text
    dressed = {**chosen, "hair_style": 4, "glasses": 2, "hat": 2, "beard": 3}
    text = faces.describe(dressed)
    for words in ("long black hair", "a full beard", "sunglasses", "a beanie", "a red shirt"):
        assert words in text
    assert "eyes" not in text


def test_mistakes_are_explained() -> None:
    with pytest.raises(BenchError, match="32, 64 or 128"):
        faces.draw_face(0, 0, 48)
    with pytest.raises(BenchError, match="0 or more"):
        faces.draw_face(0, -1)
    with pytest.raises(BenchError, match="no mode 1080"):
        faces.mode_factors(1080)
    with pytest.raises(BenchError, match='did you mean "hat"'):
        faces.check_factor("hats", 0)
    with pytest.raises(BenchError, match="0 to 2"):
        faces.describe({**dict.fromkeys(faces.FACTORS, 0), "hat": 3})


def test_drawing_takes_milliseconds() -> None:
    """Five times the time that one core needs, so that a busy machine passes and a slip does not."""
    faces.draw_faces(0, range(5))
    started = time.process_time()
    faces.draw_faces(0, range(100))
    assert (time.process_time() - started) / 100 < 0.010


def variant(who: faces.Face, name: str, value: int, resolution: int) -> npt.NDArray[np.int64]:
    return faces.draw(replace(who, factors={**who.factors, name: value}), resolution).astype(np.int64)


def changed(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> int:
    """Count the pixels that differ by more than 24 levels in some channel."""
    return int((np.abs(first - second).max(axis=2) > 24).sum())
