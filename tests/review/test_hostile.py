"""Archives made to harm: bombs are refused by the bound that they pass, and mutated records by member and key."""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from helpers.mutations import as_json, mutated_bytes, mutated_value
from helpers.sharing_fixture import members, repack, write_study
from PIL import Image

from bench.errors import BenchError
from bench.limits import MOST_DEPTH, MOST_DIRECTORY_BYTES, MOST_MEMBERS
from bench.report import render
from bench.report.study import load_study
from bench.review.archive import export_study, import_study, verify_archive

Files = dict[str, bytes]
GRID = "samples/step-00000900.png"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sender")
    write_study(folder / "runs")
    return export_study(folder / "runs", "quick", folder / "quick.zip").path


def member(files: Files, name: str) -> str:
    """Return the first run's file of this name, or the study's."""
    return next(found for found in files if found.startswith("runs/") and found.endswith(f"/{name}"))


def forged(archive: Path, target: Path, change: Callable[[Files], None]) -> Path:
    """Write the archive with a change that all of its own checksums vouch for."""

    def sign(files: Files) -> None:
        change(files)
        try:
            report = json.loads(files["reports/quick/manifest.json"])
            for run in report["runs"]:
                for name in run["files"]:
                    run["files"][name] = sha256(files[f"runs/quick/{run['path']}/{name}"]).hexdigest()
            files["reports/quick/manifest.json"] = as_json(report)
        except (ValueError, KeyError, TypeError, IndexError):
            pass  # the manifest itself is what was changed

    return repack(archive, target, sign, sign=True)


def refusals(archive: Path, tmp_path: Path) -> tuple[str, list[str]]:
    """Return why the import is refused, and what verify says fails. Nothing is written."""
    with pytest.raises(BenchError) as error:
        import_study(archive, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    findings = verify_archive(archive)
    return error.value.message, [finding.what for finding in findings if finding.outcome == "FAILS"]


def edited(name: str, *path: str | int, value: object) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        changed = json.loads(files[member(files, name)])
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value
        files[member(files, name)] = as_json(changed)

    return change


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("plan.json", ("entries", 0, "label"), '=HYPERLINK("http://x")'),
        ("plan.json", ("runs", 0, "label"), "-1+1"),
        ("plan.json", ("runs", 0, "seed"), 2**40),
        ("plan.json", ("runs", 0, "path"), "../seed-0-0123456789"),
        ("plan.json", ("primary_metric",), "fd_nothing"),
        ("plan.json", ("entries", 0, "card", "discriminator_loss"), "x" * 200_000),
        ("plan.json", ("entries", 0, "card", "published", "betas"), [0.5]),
        ("plan.json", ("entries", 0, "card", "title"), "half \ud800"),
        ("spec.json", ("training", "objective", "file"), "/tmp/mine.py"),
        ("spec.json", ("label",), "@nsgan"),
        ("status.json", ("state",), "finished"),
        ("status.json", ("failures",), [{"device": 3}]),
        ("status.json", ("schema",), 2),
        ("status.json", ("reason",), "x" * 100_000),
        ("status.json", ("reason",), "=1+1"),
        ("environment.json", ("packages",), []),
        ("architecture.json", ("parameters", "trunk"), "many"),
        ("card.json", ("year",), "2014"),
    ],
)
def test_a_record_that_bench_never_writes_is_refused_by_member_and_key(
    archive: Path, tmp_path: Path, name: str, path: tuple[str | int, ...], value: object
) -> None:
    changed = forged(archive, tmp_path / "forged.zip", edited(name, *path, value=value))
    message, failed = refusals(changed, tmp_path)
    for text in (message, failed[0]):
        assert f"{name}: " in text
        assert str(path[0]) in text


@pytest.mark.parametrize(
    ("name", "line", "key"),
    [
        ("log.jsonl", {"generator_steps": -1}, "generator_steps"),
        ("metrics.jsonl", {"value": "1"}, "metric"),
        ("log.jsonl", [], "line 2"),
    ],
)
def test_a_line_is_refused_by_its_number(archive: Path, tmp_path: Path, name: str, line: object, key: str) -> None:
    def change(files: Files) -> None:
        lines = files[member(files, name)].split(b"\n")
        files[member(files, name)] = b"\n".join([lines[0], as_json(line), *lines[1:]])

    message, failed = refusals(forged(archive, tmp_path / "forged.zip", change), tmp_path)
    assert f"{name}: line 2" in message
    assert key in message
    assert any(f"{name}: line 2" in text for text in failed)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(x) (w) file\nshowpage\n"


@pytest.mark.parametrize(("content", "says"), [(png(13_000, 1_000), "is 13000x1000"), (POSTSCRIPT, "is no PNG")])
def test_a_picture_is_a_png_of_few_pixels(archive: Path, tmp_path: Path, content: bytes, says: str) -> None:
    changed = forged(archive, tmp_path / "forged.zip", lambda files: files.update({member(files, GRID): content}))
    message, failed = refusals(changed, tmp_path)
    assert f"{GRID}: {says}" in message
    assert any(f"{GRID}: {says}" in text for text in failed)


@pytest.mark.parametrize("name", ["plan.json", "status.json", "archive.json", "log.jsonl"])
def test_nested_lists_are_refused_before_they_are_read(archive: Path, tmp_path: Path, name: str) -> None:
    deep = b"[" * 400_000 + b"]" * 400_000

    def change(files: Files) -> None:
        files[name if name == "archive.json" else member(files, name)] = deep + b"\n"

    sign = name != "archive.json"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = forged(archive, tmp_path / "forged.zip", change) if sign else members_only(archive, tmp_path, change)
    with pytest.raises(BenchError, match=f"deeper than {MOST_DEPTH} levels"):
        import_study(path, tmp_path / "runs")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def members_only(archive: Path, tmp_path: Path, change: Callable[[Files], None]) -> Path:
    files = members(archive)
    change(files)
    with zipfile.ZipFile(tmp_path / "plain.zip", "w", zipfile.ZIP_STORED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return tmp_path / "plain.zip"


def test_more_bytes_than_a_record_has_are_refused_before_they_are_unpacked(archive: Path, tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(700_000).hex().encode()  # shrinks by two: no bomb by its ratio
    changed = forged(archive, tmp_path / "forged.zip", lambda files: files.update({member(files, "card.json"): noise}))
    with pytest.raises(BenchError, match=r"card\.json' has 1,400,000 bytes, more than 1,048,576"):
        import_study(changed, tmp_path / "runs")


def test_too_many_members_are_refused_by_their_directory_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for number in range(MOST_MEMBERS + 1):
            file.writestr(zipfile.ZipInfo(f"{number}"), b"")
    with pytest.raises(BenchError, match=r"has 100,001 members, more than 100,000"):
        import_study(tmp_path / "many.zip", tmp_path / "runs")


def test_a_directory_that_claims_to_be_larger_than_any_is_not_read(archive: Path, tmp_path: Path) -> None:
    content = bytes(MOST_DIRECTORY_BYTES) + archive.read_bytes()
    at = content.rindex(b"PK\x05\x06")  # the end record: its size of the directory, and where that begins
    claim = (MOST_DIRECTORY_BYTES + 1).to_bytes(4, "little") + bytes(4)
    (tmp_path / "lying.zip").write_bytes(content[: at + 12] + claim + content[at + 20 :])
    with pytest.raises(BenchError, match=r"its directory has 33,554,433 bytes"):
        import_study(tmp_path / "lying.zip", tmp_path / "runs")


def test_packed_again_or_unpacked_by_a_browser_is_told(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "quick")
    with pytest.raises(BenchError, match="is a folder, not an archive") as caught:
        import_study(tmp_path / "quick", tmp_path / "runs")
    assert "zip -r" in str(caught.value.hint)
    with zipfile.ZipFile(tmp_path / "around.zip", "w") as target:
        for name, data in members(archive).items():
            target.writestr(f"quick/{name}", data)
    with pytest.raises(BenchError, match=r"quick/archive\.json lies in a folder"):
        import_study(tmp_path / "around.zip", tmp_path / "runs")
    found = repack(archive, tmp_path / "finder.zip", lambda files: files.update({"__MACOSX/._runs": b"x"}))
    with pytest.raises(BenchError, match="__MACOSX/") as caught:
        import_study(found, tmp_path / "runs")
    assert "zip -d" in str(caught.value.hint)


def mutated(archive: Path, target: Path, draws: random.Random) -> str:
    """Write the archive with one member, its contents or its bytes mutated; return what was done."""
    if draws.random() < 0.1:
        content, what = mutated_bytes(archive.read_bytes(), random.Random(draws.random()))
        target.write_bytes(content)
        return f"zip: {what}"
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if name.endswith((".json", ".jsonl", ".png"))]
    kinds = sorted({name.rsplit("/", 1)[-1] for name in names})
    kind = draws.choice(kinds)
    name = draws.choice([name for name in names if name.endswith(kind)])
    told = []

    def change(files: Files) -> None:
        content = files[name]
        if name.endswith(".png") or draws.random() < 0.2:
            content, what = mutated_bytes(content, draws)
        elif name.endswith(".jsonl"):
            lines = content.splitlines(keepends=True)
            at = draws.randrange(len(lines))
            value, what = mutated_value(json.loads(lines[at]), draws)
            content = b"".join([*lines[:at], as_json(value) + b"\n", *lines[at + 1 :]])
        else:
            value, what = mutated_value(json.loads(content), draws)
            content = as_json(value)
        files[name] = content
        told.append(what)

    if name == "archive.json":
        with zipfile.ZipFile(target, "w") as file:
            files = members(archive)
            change(files)
            for other, data in files.items():
                file.writestr(other, data)
    else:
        forged(archive, target, change)
    return f"{name}: {told[0]}"


def count_outcomes(archive: Path, folder: Path, seed: int, count: int, page_every: int) -> Counter[str]:
    """Import mutated archives. What is accepted is read as a report reads it; every so many are drawn and verified."""
    found: Counter[str] = Counter()
    for number in range(count):
        draws = random.Random(f"{seed}/{number}")
        path, runs = folder / "mutated.zip", folder / f"runs-{number}"
        what = mutated(archive, path, draws)
        began = time.process_time()
        try:
            try:
                import_study(path, runs)
            except BenchError as error:
                assert "mutated.zip" in error.message or str(runs) in error.message  # noqa: PT017
                assert not runs.exists()
                found["refused"] += 1
                if number % page_every == 0:
                    verify_archive(path)
                continue
            load_study(runs, "quick")
            if number % page_every == 0:
                render(runs, "quick", folder / f"report-{number}")
                verify_archive(path)
            found["accepted"] += 1
        except BenchError as error:
            found[f"unreadable: {error.message[:60]}"] += 1
        except Exception as error:
            print(found)
            raise AssertionError(f"seed {seed}, number {number}: {what}: {error!r}") from error
        assert time.process_time() - began < 60, what
        shutil.rmtree(runs, ignore_errors=True)
        if number % 100 == 99:
            print(number + 1, dict(found), flush=True)
    return found


def test_mutated_archives_are_taken_or_refused(archive: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = count_outcomes(archive, tmp_path, 0, 60, page_every=40)
    assert set(found) == {"refused", "accepted"}
    assert found["refused"] > 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


@pytest.mark.slow
def test_two_thousand_mutated_archives(archive: Path, tmp_path: Path) -> None:
    found = count_outcomes(archive, tmp_path, 1, 2_000, page_every=250)
    print(found)
    assert found.total() == 2_000
