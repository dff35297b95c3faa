"""`bench export` and `bench import`: what leaves the machine, what comes back, and what is refused."""

from __future__ import annotations

import json
import random
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.sharing_fixture import NEAREST, members, repack, snapshot, write_study
from helpers.study_fixture import plan_of, sum_records, write_json

from bench.cli import bench
from bench.errors import BenchError
from bench.files import CHECKSUM, read_json, summed
from bench.report import render
from bench.review.archive import export_study, import_study, verify_archive
from bench.review.archive.container import open_archive
from bench.review.findings import Finding, is_sound
from bench.review.verify import verify
from bench.runs.folder import RunFolder
from bench.runs.portable import imported_from, without_folders
from bench.statistics.results import collect


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study's runs and its archive without weights. Tests leave both as they are."""
    folder = tmp_path_factory.mktemp("sender")
    sum_records(write_study(folder / "runs"))
    export_study(folder / "runs", "quick", folder / "quick.zip")
    return folder


@pytest.fixture
def archive(place: Path) -> Path:
    return place / "quick.zip"


def failures(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if finding.outcome == "FAILS"]


def folders_of(study: Path) -> list[Path]:
    return [study / run["path"] for run in plan_of(study)["runs"] if (study / run["path"]).is_dir()]


def first_run(study: Path) -> Path:
    return folders_of(study)[0]


def test_what_an_archive_holds(place: Path, archive: Path) -> None:
    names = set(members(archive))
    run = first_run(place / "runs" / "quick").relative_to(place).as_posix()
    for name in ("spec.json", "card.json", "environment.json", "architecture.json", "status.json", "log.jsonl"):
        assert f"{run}/{name}" in names
    assert {f"{run}/metrics.jsonl", f"{run}/samples/step-00000900.png", f"{run}/{NEAREST}"} <= names
    assert {"runs/quick/plan.json", "reports/quick/report.html", "reports/quick/manifest.json"} <= names
    unwanted = re.compile(r"failure|checkpoint|lock|photos|safetensors")
    assert [name for name in names if unwanted.search(name)] == []
    assert names - {"archive.json"} == set(json.loads(members(archive)["archive.json"])["files"])


def test_no_member_names_a_folder_of_this_machine(place: Path, archive: Path) -> None:
    for name, content in members(archive).items():
        assert str(place).encode() not in content, name
        assert str(Path.home()).encode() + b"/" not in content, name
    failed = next(c for n, c in members(archive).items() if n.endswith("status.json") and b'"failed"' in c)
    assert json.loads(failed)["reason"] == "FileNotFoundError: .../one.png is gone"


def test_weights_by_choice_and_photographs_never(tmp_path: Path) -> None:
    write_study(tmp_path / "runs", source="celeba")
    done = export_study(tmp_path / "runs", "quick", tmp_path / "quick.zip", "final")
    names = members(done.path)
    assert not [name for name in names if "nearest" in name]
    assert [name for name in names if name.endswith("interpolations.png")]
    size = len(snapshot(900))
    assert done.weights_bytes == {"none": 0, "final": 2 * size, "all": 2 * 2 * size}
    held = [name for name in names if name.endswith(".safetensors")]
    assert len(held) == 2  # the failed run's training is unfinished
    assert all("00000900" in name for name in held)


@pytest.mark.parametrize(("source", "there"), [("faces", True), ("celeba", False)])
def test_sample_grids_of_pairs_leave_where_their_targets_are_drawn(tmp_path: Path, source: str, there: bool) -> None:
    write_study(tmp_path / "runs", source=source, input="edges")
    names = members(export_study(tmp_path / "runs", "quick", tmp_path / "quick.zip", "none").path)
    assert any("/samples/step-" in name for name in names) == there
    assert any(name.endswith("interpolations.png") for name in names)


def test_a_folder_in_a_title_stops_the_export(tmp_path: Path) -> None:
    study = write_study(tmp_path / "runs")
    write_json(study / "plan.json", plan_of(study) | {"title": f"as in {tmp_path}/runs/notes"})
    with pytest.raises(BenchError, match=r"plan\.json names a folder"):
        export_study(tmp_path / "runs", "quick", tmp_path / "quick.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_what_is_worked_on_or_there_is_not_exported(place: Path, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is there already"):
        export_study(place / "runs", "quick", archive)
    with (
        RunFolder(first_run(place / "runs" / "quick")).owned(),
        pytest.raises(BenchError, match="Runs are being worked on: nsgan"),
    ):
        export_study(place / "runs", "quick", tmp_path / "other.zip")


def test_paths_are_shortened_and_addresses_are_not() -> None:
    assert without_folders("no '/a/b c/d.png' here") == "no '.../b c/d.png' here"
    assert without_folders("[Errno 2] /a/b/c.png, ~/x/y or C:\\Users\\me\\z") == "[Errno 2] .../c.png, .../y or ...\\z"
    for text in ("https://arxiv.org/abs/1701.07875", "and/or", "loss/real/fake", r"\frac{1}{2}/(n-1)", "runs/a/b"):
        assert without_folders(text) == text


def test_a_round_trip_loses_nothing_and_packs_to_the_same_bytes(place: Path, archive: Path, tmp_path: Path) -> None:
    done = import_study(archive, tmp_path / "runs")
    study = tmp_path / "runs" / "quick"
    assert sorted(study / run for run in done.added) == sorted(folders_of(study))
    assert (len(done.added), done.there, done.other_code) == (3, (), 3)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["quick"]
    said = imported_from(study / done.added[0])
    assert said is not None
    assert said["archive_sha256"] == open_sha256(archive)
    assert said["newest"] == "2026-01-01T00:00:00+00:00"

    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "unzipped")
    assert {finding.outcome for finding in verify(tmp_path / "unzipped/reports/quick", tmp_path / "runs")} == {"holds"}
    # A report made where the runs were trained fits them here, though their specs name folders there.
    render(place / "runs", "quick", tmp_path / "sent")
    sent, packed = (read_json(tmp_path / name / "manifest.json") for name in ("sent", "unzipped/reports/quick"))
    assert sent["runs"] == packed["runs"]
    export_study(tmp_path / "runs", "quick", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def open_sha256(path: Path) -> str:
    with open_archive(path) as archive:
        return archive.sha256


def test_an_import_adds_what_lacks_and_skips_what_is_there(place: Path, archive: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "runs" / "quick", tmp_path / "quick")
    gone, kept = folders_of(tmp_path / "quick")[:2]
    shutil.rmtree(gone)
    done = import_study(archive, tmp_path)
    assert [tmp_path / "quick" / run for run in done.added] == [gone]
    assert len(done.there) == 2
    assert imported_from(gone) is not None
    assert imported_from(kept) is None
    assert (kept / "checkpoint-00000100.ckpt").exists()


def test_other_runs_and_other_plans_are_refused_and_named(place: Path, archive: Path, tmp_path: Path) -> None:
    import_study(archive, tmp_path)
    run = first_run(tmp_path / "quick")
    with (run / "log.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(BenchError, match=rf"another content.*\n  nsgan-controlled/{run.name} \(its log\.jsonl\)"):
        import_study(archive, tmp_path)
    write_json(tmp_path / "quick" / "plan.json", plan_of(tmp_path / "quick") | {"final_step": 1, "baseline": "vae"})
    with pytest.raises(BenchError, match="they differ in baseline, final_step"):
        import_study(archive, tmp_path)
    done = import_study(archive, tmp_path, "theirs")
    assert len(done.added) == 3
    assert set(collect(tmp_path, "theirs")["study"]) == {"theirs"}
    with pytest.raises(BenchError, match="cannot be a study's name"):
        import_study(archive, tmp_path, "../x")


def test_an_honest_archive_holds_at_every_level(archive: Path) -> None:
    findings = verify_archive(archive)
    assert {finding.outcome for finding in findings} == {"holds"}
    assert {finding.level for finding in findings} == {"archive", "files", "plan", "statistics", "runs"}
    without_weights = verify_archive(archive, lambda run: [])
    assert {finding.outcome for finding in without_weights if finding.level == "metrics"} == {"not checked"}


def edited(member: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        assert old in files[member]
        files[member] = files[member].replace(old, new, 1)

    return change


def refused(archive: Path, runs_root: Path) -> str:
    with pytest.raises(BenchError) as error:
        import_study(archive, runs_root)
    assert not runs_root.exists()
    return error.value.message


def test_a_hand_edited_number_is_named_even_with_forged_checksums(archive: Path, tmp_path: Path) -> None:
    heading, first, *_ = members(archive)["reports/quick/summary.csv"].decode().splitlines()
    cells = first.split(",")
    cells[heading.split(",").index("mean")] = "1.25"
    change = edited("reports/quick/summary.csv", first.encode(), ",".join(cells).encode())
    plain = repack(archive, tmp_path / "plain.zip", change)
    assert "summary.csv was changed" in refused(plain, tmp_path / "runs")
    signed = repack(archive, tmp_path / "signed.zip", change, sign=True)
    assert any("mean: 1.25, recomputed" in what for what in failures(verify_archive(signed)))


def test_labels_swapped_in_a_signed_archive_fail(archive: Path, tmp_path: Path) -> None:
    def swap(files: dict[str, bytes]) -> None:
        for name in [name for name in files if name.endswith("/plan.json")]:
            plan = json.loads(files[name])
            for entry in plan["entries"]:
                entry["label"] = {"nsgan": "vae", "vae": "nsgan"}[entry["label"]]
            files[name] = json.dumps(summed({key: value for key, value in plan.items() if key != CHECKSUM})).encode()
        name = "reports/quick/manifest.json"
        manifest = json.loads(files[name])
        digest = sha256(files["reports/quick/plan.json"]).hexdigest()
        manifest["files"]["plan.json"] = manifest["plan_sha256"] = digest
        files[name] = json.dumps(manifest).encode()

    findings = verify_archive(repack(archive, tmp_path / "signed.zip", swap, sign=True))
    assert any(finding.outcome == "FAILS" for finding in findings)
    assert not is_sound(findings)


def test_a_missing_run_is_named(place: Path, archive: Path, tmp_path: Path) -> None:
    run = first_run(place / "runs" / "quick").name

    def drop(files: dict[str, bytes]) -> None:
        for name in [name for name in files if run in name]:
            del files[name]

    plain = repack(archive, tmp_path / "plain.zip", drop)
    assert f"{run}/card.json is missing" in refused(plain, tmp_path / "runs")
    signed = repack(archive, tmp_path / "signed.zip", drop, sign=True)
    assert f"nsgan-controlled/{run} is missing" in failures(verify_archive(signed))
    assert f"{run}/spec.json is missing" in refused(signed, tmp_path / "runs")


def test_members_that_do_not_belong_are_named(place: Path, archive: Path, tmp_path: Path) -> None:
    run = first_run(place / "runs" / "quick").relative_to(place).as_posix()
    names = ["mine.py", "runs/other/plan.json", f"{run}/checkpoint-00000900.ckpt", f"{run}/imported.json"]
    plain = repack(archive, tmp_path / "plain.zip", lambda files: files.update(dict.fromkeys(names, b"x")))
    for name, problem in zip(names, failures(verify_archive(plain)), strict=True):
        assert problem.startswith(f"{name} is not one of")
    assert all(name in refused(plain, tmp_path / "runs") for name in names)
    signed = repack(plain, tmp_path / "signed.zip", lambda files: None, sign=True)
    assert failures(verify_archive(signed)) == [f"{name} is no part of the study" for name in names]
    assert all(name in refused(signed, tmp_path / "runs") for name in names)


def test_a_run_under_another_runs_name_is_refused(place: Path, archive: Path, tmp_path: Path) -> None:
    run = first_run(place / "runs" / "quick").relative_to(place).as_posix()
    change = edited(f"{run}/spec.json", b'"resolution": 32', b'"resolution": 64')
    signed = repack(archive, tmp_path / "signed.zip", change, sign=True)
    assert "is not the one reported" in refused(signed, tmp_path / "runs")


@pytest.mark.parametrize("name", ["../x", "/x", "runs/../../x", "C:/x", "a\\b", "runs//x"])
def test_names_that_leave_the_folder_are_refused(archive: Path, tmp_path: Path, name: str) -> None:
    trap = Path(shutil.copy(archive, tmp_path / "trap.zip"))
    with zipfile.ZipFile(trap, "a") as file:
        file.writestr(zipfile.ZipInfo("placeholder"), b"x")
        file.getinfo("placeholder").filename = name
    for use in (import_study, lambda path, _: verify_archive(path)):
        with pytest.raises(BenchError, match="is no plain name below its folder"):
            use(trap, tmp_path / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["trap.zip"]


def test_links_twins_and_bombs_are_refused(archive: Path, tmp_path: Path) -> None:
    def with_member(name: str, content: bytes, mode: int = 0) -> Path:
        trap = Path(shutil.copy(archive, tmp_path / "trap.zip"))
        with zipfile.ZipFile(trap, "a", zipfile.ZIP_DEFLATED) as file:
            info = zipfile.ZipInfo("placeholder")
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            file.writestr(info, content)
            info.filename = name
        return trap

    link = with_member("runs/quick/link", b"/etc", stat.S_IFLNK | 0o777)
    assert "is a link" in refused(link, tmp_path / "runs")
    assert "is in it twice" in refused(with_member("runs/quick/plan.json", b"{}"), tmp_path / "runs")
    assert "would grow from" in refused(with_member("runs/quick/zeros", bytes(20_000_000)), tmp_path / "runs")


def test_a_declared_size_that_is_not_the_members(archive: Path, tmp_path: Path) -> None:
    contents = json.loads(members(archive)["archive.json"])
    contents["files"]["runs/quick/plan.json"]["bytes"] += 1
    change = edited("archive.json", members(archive)["archive.json"], json.dumps(contents).encode())
    assert "does not say what an archive holds" in refused(
        repack(archive, tmp_path / "other.zip", change), tmp_path / "runs"
    )


def test_no_changed_byte_gets_through(archive: Path, tmp_path: Path) -> None:
    """Flip single bytes anywhere in the file: the import refuses, or what it writes is what was packed."""
    honest = {name: data for name, data in members(archive).items() if name.startswith("runs/")}
    content, draws = archive.read_bytes(), random.Random(0)
    places = draws.sample(range(len(content)), 25) + [len(content) - draws.randrange(1, 20_000) for _ in range(25)]
    refusals = 0
    for number, at in enumerate(places):
        (tmp_path / "flipped.zip").write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        runs_root = tmp_path / f"runs-{number}"
        try:
            import_study(tmp_path / "flipped.zip", runs_root)
        except BenchError:
            refusals += 1
            assert not runs_root.exists()
            continue
        found = {
            file.relative_to(runs_root.parent).as_posix().replace(runs_root.name, "runs"): file.read_bytes()
            for file in runs_root.rglob("*")
            if file.is_file() and file.name != "imported.json"
        }
        assert found == honest
    assert refusals >= 25


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("text")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a", "b")
    for name, says in (("none.zip", "There is no"), ("text.zip", "no archive"), ("other.zip", r"no archive\.json")):
        with pytest.raises(BenchError, match=says):
            import_study(tmp_path / name, tmp_path / "runs")


def test_a_stopped_import_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "unpacking" and done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_study(archive, tmp_path / "runs", progress=stop)
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_import_killed_half_way_is_made_whole_by_the_next(archive: Path, tmp_path: Path) -> None:
    """Before: a folder of unpacked runs that stays. After: some runs in place, and no plan yet."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".importing.{gone.pid}.abcd_3" / "runs" / "quick"
    left.mkdir(parents=True)
    (left / "plan.json").write_text("{")
    whole = import_study(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["quick"]
    shutil.rmtree(tmp_path / "quick" / whole.added[0])
    (tmp_path / "quick" / "plan.json").unlink()
    again = import_study(archive, tmp_path)
    assert again.added == whole.added[:1]
    assert again.there == whole.added[1:]
    assert (tmp_path / "quick" / "plan.json").exists()


def test_the_commands(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def type_(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(bench, words, standalone_mode=False)
        assert (result.return_value, result.exception) == (code, None), result.output
        return str(result.output)

    output = type_("--runs", str(place / "runs"), "export", "quick")
    assert "Archive  quick.zip" in output
    assert "3 of 4 planned runs" in output
    assert "--weights final would add 6.53 kB" in output
    assert "what was checked holds" in type_("verify", "quick.zip")
    output = type_("import", "quick.zip")
    assert "Imported 3 runs into runs/quick." in output
    again = re.search(r"Imported (\d+) .*, (\d+) were here", type_("import", "quick.zip"))
    assert again
    assert again.groups() == ("0", "3")
    rows = json.loads(type_("status", "--study", "quick", "--json"))
    assert [row["imported"] for row in rows].count(True) == 3
    assert "imported" in type_("status", "--study", "quick")
