"""Preparing once: interrupted, killed, twice at a time, on a full disk, damaged afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.data_images import write_zip

from bench.data import DataRequest, PreparedSet, is_prepared, open_prepared, prepare
from bench.errors import BenchError
from bench.files import read_json

IMAGES = 2_600  # more than one checkpoint

CHILD = """
import sys
import time
from pathlib import Path
from bench.data import DataRequest, prepare
from bench.errors import BenchError

def show(stage, done, total):
    print(stage, done, total, flush=True)

if __name__ == "__main__":
    request = DataRequest.model_validate_json(sys.argv[1])
    try:
        data = prepare(request, Path(sys.argv[2]), show, workers=int(sys.argv[3]))
    except BenchError as error:
        sys.exit(f"BenchError: {error}")
    print("sha256", data.train.sha256, data.heldout.sha256)
"""


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> DataRequest:
    numbers = [*range(1, IMAGES + 1), *range(190_000, 190_500)]
    archive = write_zip(tmp_path_factory.mktemp("source") / "a.zip", numbers, distinct=97)
    return DataRequest(source="celeba", path=str(archive), partial=True, resolution=32)


@pytest.fixture(scope="module")
def hashes(request_: DataRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What an undisturbed preparation gives."""
    data = prepare(request_, tmp_path_factory.mktemp("undisturbed"), workers=2)
    assert (data.train.count, data.heldout.count) == (IMAGES, 500)
    return data.train.sha256, data.heldout.sha256


@pytest.fixture(scope="module")
def small_request(tmp_path_factory: pytest.TempPathFactory) -> DataRequest:
    archive = write_zip(tmp_path_factory.mktemp("small") / "a.zip", [*range(1, 601), *range(190_000, 190_500)], 97)
    return DataRequest(source="celeba", path=str(archive), partial=True, resolution=32)


def child(request: DataRequest, root: Path, workers: int = 1, limit: str = "") -> subprocess.Popen[str]:
    code = limit + CHILD
    command = [sys.executable, "-c", code, request.model_dump_json(), str(root), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_prepared_set_is_what_its_manifest_says(tmp_path: Path) -> None:
    request = DataRequest(source="faces", resolution=32, train_count=30, heldout_count=20)
    calls: list[tuple[str, int, int]] = []
    data = prepare(request, tmp_path, lambda *call: calls.append(call))
    assert data.train.path.parent.parent == tmp_path / "prepared"
    images = data.train.images()
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable
    assert images.shape == (30, 3, 32, 32)
    assert images.dtype == np.uint8
    assert read_json(data.train.path / "manifest.json") == data.train.manifest
    expected = {"schema": 1, "source": "faces", "recipe": "none", "split": "test", "resolution": 32, "count": 20}
    assert expected.items() <= data.heldout.manifest.items()
    data.train.verify()
    assert ("preparing training images", 30, 30) in calls
    assert ("preparing held-out images", 20, 20) in calls
    assert open_prepared(data.train.path.parent) == data


def test_faces_are_the_drawn_ones_and_the_held_out_ones_are_others(tmp_path: Path) -> None:
    from bench.data import faces

    data = prepare(DataRequest(source="faces", train_count=4, heldout_count=3, seed=2), tmp_path)
    np.testing.assert_array_equal(data.train.images(), faces.draw_faces(2, range(4), 64))
    start = faces.HELDOUT_START
    np.testing.assert_array_equal(data.heldout.images(), faces.draw_faces(2, range(start, start + 3), 64))


def test_nothing_is_prepared_twice(tmp_path: Path) -> None:
    request = DataRequest(source="faces", resolution=32, train_count=4, heldout_count=3)
    assert is_prepared(request, tmp_path) is None
    assert not list(tmp_path.iterdir()), "asking wrote something"
    first = prepare(request, tmp_path)

    def never(stage: str, done: int, total: int) -> None:
        pytest.fail(f"work was done again: {stage}")

    assert prepare(request, tmp_path, never) == first == is_prepared(request, tmp_path)
    other = DataRequest(source="faces", resolution=32, train_count=5, heldout_count=3)
    assert is_prepared(other, tmp_path) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interruption_loses_nothing(
    request_: DataRequest, hashes: tuple[str, str], tmp_path: Path, workers: int
) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done >= 750:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(request_, tmp_path, interrupt, workers=workers)
    assert is_prepared(request_, tmp_path) is None
    calls: list[tuple[str, int, int]] = []
    data = prepare(request_, tmp_path, lambda *call: calls.append(call), workers=workers)
    assert calls[0] == ("preparing training images", 1000, IMAGES)
    assert (data.train.sha256, data.heldout.sha256) == hashes
    assert not list(tmp_path.rglob("*.partial"))


def test_a_killed_preparation_goes_on_from_its_last_checkpoint(
    request_: DataRequest, hashes: tuple[str, str], tmp_path: Path
) -> None:
    process = child(request_, tmp_path, workers=2)
    assert process.stdout is not None
    for line in process.stdout:
        if " 2250 " in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert is_prepared(request_, tmp_path) is None
    calls: list[tuple[str, int, int]] = []
    data = prepare(request_, tmp_path, lambda *call: calls.append(call), workers=1)
    assert calls[0][1] in (2250, 2500)  # 2,000 images were safe; the kill may come a block later
    assert (data.train.sha256, data.heldout.sha256) == hashes


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_a_killed_worker_is_told_and_costs_what_was_not_written(
    request_: DataRequest, hashes: tuple[str, str], tmp_path: Path
) -> None:
    process = child(request_, tmp_path, workers=2)
    assert process.stdout is not None
    for line in process.stdout:
        if " 750 " in line:
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
            break
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith("BenchError: "), errors
    assert "SIGKILL" in errors
    assert "Traceback" not in errors
    calls: list[tuple[str, int, int]] = []
    data = prepare(request_, tmp_path, lambda *call: calls.append(call), workers=1)
    assert calls[0][1] > 750
    assert (data.train.sha256, data.heldout.sha256) == hashes


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_what_an_interruption_left_is_not_trusted_blindly(small_request: DataRequest, tmp_path: Path) -> None:
    undisturbed = prepare(small_request, tmp_path / "other", workers=1)

    def interrupt(stage: str, done: int, total: int) -> None:
        if done >= 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(small_request, tmp_path, interrupt, workers=1)
    (partial,) = tmp_path.glob("prepared/*.partial")
    images = partial / "train" / "images.npy"
    with images.open("r+b") as file:
        file.truncate(images.stat().st_size - 1)  # less than progress.json says
    assert prepare(small_request, tmp_path, workers=1).train.sha256 == undisturbed.train.sha256


def test_two_processes_prepare_once(small_request: DataRequest, tmp_path: Path) -> None:
    outputs = [process.communicate()[0] for process in [child(small_request, tmp_path) for _ in range(2)]]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert sum("preparing training images" in output for output in outputs) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_write_that_fails_is_told_and_can_be_taken_up_again(
    request_: DataRequest, hashes: tuple[str, str], tmp_path: Path
) -> None:
    # A limit on file sizes makes the writes fail for real, in the middle, as a full disk does.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY))\n"
    process = child(request_, tmp_path, limit=limit)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith("BenchError: Cannot write"), errors
    assert "Traceback" not in errors
    assert is_prepared(request_, tmp_path) is None
    calls: list[tuple[str, int, int]] = []
    data = prepare(request_, tmp_path, lambda *call: calls.append(call), workers=1)
    assert calls[0][1] == 1500  # 1,250 images of 3,072 bytes fitted
    assert (data.train.sha256, data.heldout.sha256) == hashes


def test_too_little_space_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("bench.data.build.SPACE_MARGIN_BYTES", usage.f_bavail * usage.f_frsize + 2**40)
    with pytest.raises(BenchError, match="GB are free there"):
        prepare(DataRequest(source="faces", train_count=3, heldout_count=3), tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(BenchError, match="Cannot write"):
        prepare(DataRequest(source="faces", train_count=3, heldout_count=3), tmp_path / "data")


@pytest.mark.parametrize("damage", ["short", "long", "shape", "gone", "manifest", "version"])
def test_damage_is_seen_on_opening(tmp_path: Path, damage: str) -> None:
    request = DataRequest(source="faces", resolution=32, train_count=4, heldout_count=3)
    train = prepare(request, tmp_path).train
    data = train.images_path.read_bytes()
    manifest = dict(train.manifest)
    if damage in {"short", "long"}:
        train.images_path.write_bytes(data[:-1] if damage == "short" else data + b"x")
    elif damage == "gone":
        train.images_path.unlink()
    elif damage == "manifest":
        (train.path / "manifest.json").write_text("{")
    else:
        manifest |= {"count": 5} if damage == "shape" else {"schema": 2}
        (train.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        BenchError, match="another version" if damage == "version" else "damaged|not valid JSON"
    ) as caught:
        is_prepared(request, tmp_path)
    assert "Delete" in str(caught.value.hint)


def test_a_changed_pixel_is_found_on_opening_and_always_by_verifying(tmp_path: Path) -> None:
    train = prepare(DataRequest(source="faces", resolution=32, train_count=4, heldout_count=3), tmp_path).train
    whole, times = train.images_path.read_bytes(), train.images_path.stat()
    data = bytearray(whole)
    data[-5] ^= 1
    train.images_path.write_bytes(data)
    with pytest.raises(BenchError, match="the SHA-256 of its images is"):
        PreparedSet.open(train.path)
    os.utime(train.images_path, ns=(times.st_atime_ns, times.st_mtime_ns))  # a disk that errs leaves the time
    with pytest.raises(BenchError, match="the SHA-256 of its images is"):
        PreparedSet.open(train.path).verify()
    train.images_path.write_bytes(whole)
    PreparedSet.open(train.path).verify()


def test_what_was_found_sound_is_not_read_again_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = prepare(DataRequest(source="faces", resolution=32, train_count=4, heldout_count=3), tmp_path).train
    read: list[PreparedSet] = []
    monkeypatch.setattr(PreparedSet, "verify", lambda self: read.append(self))
    PreparedSet.open(train.path)
    monkeypatch.setattr("bench.data.prepared._SOUND", set())  # as in another process
    PreparedSet.open(train.path)
    assert read == []
    os.utime(train.images_path, ns=(1, 1))
    PreparedSet.open(train.path)
    assert read == [train]
    (train.path / "checked.json").unlink()
    PreparedSet.open(train.path)
    assert len(read) == 2
