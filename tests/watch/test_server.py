"""The server of `bench watch`: what it answers, to whom, and that it never writes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.study_fixture import Fate, realistic, write_json
from helpers.tiny_study import write_tiny_study

from bench.config.reading import load_config
from bench.data import prepare
from bench.errors import BenchError
from bench.files import append_jsonl, read_json
from bench.runs.folder import RunFolder, Status
from bench.runs.latest import JsonLines
from bench.runs.plan import make_plan
from bench.watch import state
from bench.watch.curves import MOST_POINTS, Curve, Curves
from bench.watch.server import WatchServer
from bench.watch.state import WatchedStudy


@contextmanager
def serving(root: Path, name: str = "quick") -> Iterator[WatchServer]:
    with WatchServer(WatchedStudy(root, name, root / "data")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server: WatchServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def study_of(server: WatchServer, query: str = "") -> dict[str, Any]:
    status, content, _ = ask(server, f"/study.json{query}")
    assert status == 200
    found: dict[str, Any] = json.loads(content)
    return found


@pytest.fixture(autouse=True)
def _read_at_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "REFRESH_SECONDS", 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    fates = {("vae", "controlled", 1): Fate("failed", 300, "out of memory"), ("vae", "controlled", 0): None}
    realistic(objectives=("nsgan", "wgan-gp", "vae"), fates=fates).write(tmp_path / "runs")
    return tmp_path / "runs"


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")]}


def test_it_says_what_there_is_and_writes_nothing(root: Path) -> None:
    before = tree(root)
    with serving(root) as server:
        assert server.url.startswith("http://127.0.0.1:")
        told = study_of(server)
        assert (len(told["runs"]), told["final_step"], told["metric"]["name"]) == (6, 900, "fd_lite0")
        runs = {(run["label"], run["seed"]): run for run in told["runs"]}
        assert {key: run["state"] for key, run in runs.items()} == {
            ("nsgan", 0): "done",
            ("nsgan", 1): "done",
            ("wgan-gp", 0): "done",
            ("wgan-gp", 1): "done",
            ("vae", 0): "planned",
            ("vae", 1): "failed",
        }
        assert runs["vae", 1]["reason"] == "out of memory"
        shown = runs["wgan-gp", 0]
        assert [step for step, _ in shown["curve"]] == [225, 450, 900]
        assert (shown["grid"], shown["score_step"]) == (900, 900)
        assert len({run["colour"][0] for run in told["runs"]}) == 3
        status, content, headers = ask(server, f"/curves/{shown['key']}.json")
        curves = json.loads(content)
        assert status == 200
        assert [(curve["player"], curve["term"]) for curve in curves] == [
            ("discriminator", "real"),
            ("discriminator", "fake"),
            ("discriminator", "penalty"),
            ("generator", "fake"),
        ]
        assert curves[0]["steps"][-1] == 900
        status, content, headers = ask(server, f"/samples/{shown['key']}/900.png")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert content == next(root.glob("quick/wgan-gp-*/seed-0-*/samples/step-00000900.png")).read_bytes()
        for path in ("/", "/watch.css", "/watch.js"):
            status, content, headers = ask(server, path)
            assert status == 200
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert ask(server, "/", method="HEAD")[:2] == (200, b"")
    assert tree(root) == before


def test_only_what_changed_is_sent_again(root: Path) -> None:
    with serving(root) as server:
        first = study_of(server)
        again = f"?since={first['revision']}&generation={first['generation']}"
        assert study_of(server, again)["runs"] == []
        folder = RunFolder(next(root.glob("quick/nsgan-*/seed-1-*")))
        append_jsonl(folder.log_file, [{"generator_steps": 925, "generator": {"fake": 9.5}}])
        (changed,) = study_of(server, again)["runs"]
        assert (changed["label"], changed["seed"], changed["logged_step"]) == ("nsgan", 1, 925)
        plan = read_json(root / "quick" / "plan.json")
        plan["runs"] = plan["runs"][:2]
        write_json(root / "quick" / "plan.json", plan)
        assert len(study_of(server, again)["runs"]) == 2  # another plan: all of it


def test_a_server_that_is_started_again_tells_an_open_page_everything(root: Path) -> None:
    before = WatchedStudy(root, "quick", root / "data").changes()
    time.sleep(0.002)  # numbers are of milliseconds
    after = WatchedStudy(root, "quick", root / "data").changes(before["revision"], before["generation"])
    assert len(after["runs"]) == 6


def test_runs_of_images_that_are_no_longer_here_are_stale(tmp_path: Path) -> None:
    plan = make_plan(load_config(write_tiny_study(tmp_path)).study("tiny"))
    plan.write(tmp_path)
    (run,) = plan.runs
    folder = RunFolder(tmp_path / "tiny" / run.folder)
    run.write(folder.spec_file)
    digests = prepare(run.training.data, tmp_path / "data").digests()
    for seen, state_of_run in ((digests, "done"), ({**digests, "train": "c3" * 32}, "stale")):
        folder.write_status(Status("done", 12, 12, data_sha256=seen))
        (told,) = WatchedStudy(tmp_path, "tiny", tmp_path / "data").changes()["runs"]
        assert told["state"] == state_of_run


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9999", 200),  # the other end of an ssh tunnel
        ("localhost", 200),
        ("[::1]:80", 200),
        ("bench.example", 403),
        ("127.0.0.1.bench.example:80", 403),
        ("", 403),
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(root: Path, host: str, status: int) -> None:
    with serving(root) as server:
        for path in ("/", "/study.json", "/samples/0/900.png"):
            assert ask(server, path, Host=host)[0] == status


def test_other_sites_get_no_picture_and_nobody_writes(root: Path) -> None:
    with serving(root) as server:
        assert ask(server, "/samples/0/900.png", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
        assert ask(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200  # a followed link
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(server, "/study.json", method=method)[0] == 501


@pytest.mark.parametrize(
    "path",
    [
        "/../plan.json",
        "/runs/quick/plan.json",
        "/plan.json",
        "/samples/0/../../spec.json",
        "/samples/0/..%2f..%2fspec.json",
        "/samples/0/123.png",
        "/samples/999/900.png",
        "/samples/-1/900.png",
        "/curves/999.json",
        "/static/watch.html",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(root: Path, path: str) -> None:
    with serving(root) as server:
        assert ask(server, path)[0] == 404


def test_links_and_plans_that_lead_out_of_the_study_are_refused(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    grid = next(root.glob("quick/nsgan-*/seed-0-*/samples/step-00000900.png"))
    outside.write_bytes(grid.read_bytes())
    grid.unlink()
    grid.symlink_to(outside)
    other = grid.with_name("step-00000450.png")
    other.write_text("no picture")
    with serving(root) as server:
        key = next(run["key"] for run in study_of(server)["runs"] if (run["label"], run["seed"]) == ("nsgan", 0))
        assert ask(server, f"/samples/{key}/900.png")[0] == 404
        assert ask(server, f"/samples/{key}/450.png")[0] == 404
    plan = read_json(root / "quick" / "plan.json")
    plan["runs"][0]["path"] = "../../outside"
    write_json(root / "quick" / "plan.json", plan)
    with serving(root) as server:
        assert "outside" in study_of(server)["error"]


def test_a_damaged_run_costs_only_itself(root: Path) -> None:
    for damage in ("{", '{"schema": 1, "state": "done", "generator_steps": []}'):
        next(root.glob("quick/nsgan-*/seed-0-*/status.json")).write_text(damage)
        with serving(root) as server:
            states = [run["state"] for run in study_of(server)["runs"]]
        assert states.count("done") >= 3
        assert len(states) == 6


def test_it_waits_for_the_first_run(tmp_path: Path) -> None:
    with serving(tmp_path / "runs") as server:
        assert study_of(server)["waiting"]
        assert ask(server, "/curves/0.json")[0] == 404
        realistic(objectives=("nsgan",)).write(tmp_path / "runs")
        assert len(study_of(server)["runs"]) == 2


def test_a_taken_port_is_told(root: Path) -> None:
    with serving(root) as server, pytest.raises(BenchError):
        WatchServer(WatchedStudy(root, "quick", root / "data"), server.server_address[1])


def test_hundreds_of_runs_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    realistic(objectives=("nsgan", "lsgan"), seeds=tuple(range(100)), final_step=100).write(tmp_path)
    watched = WatchedStudy(tmp_path, "quick", tmp_path / "data")
    assert len(watched.changes()["runs"]) == 200
    read: list[Path] = []
    added = JsonLines.added
    monkeypatch.setattr(JsonLines, "added", lambda self: read.append(self._path) or added(self))
    told = watched.changes()
    assert watched.changes(told["revision"], told["generation"])["runs"] == []
    assert read == []
    folder = RunFolder(next(tmp_path.glob("quick/lsgan-*/seed-7-*")))
    append_jsonl(folder.log_file, [{"generator_steps": 101, "generator": {"fake": 1.0}}])
    assert len(watched.changes(told["revision"], told["generation"])["runs"]) == 1
    assert {path.parent for path in read} == {folder.path}


def test_a_curve_is_bounded_and_keeps_its_mean_and_gaps() -> None:
    curve = Curve()
    for step in range(1, 10_001):
        curve.add(step, None if step == 5000 else float(step))
    told = curve.as_json()
    assert MOST_POINTS / 2 < len(told["steps"]) <= MOST_POINTS + 1
    assert told["values"].count(None) == 1
    assert told["steps"][-1] > 9960
    assert all(
        abs(step - value) <= 0.001 * step for step, value in zip(told["steps"], told["values"], strict=True) if value
    )


def test_curves_follow_a_log_that_was_cut_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    curves = Curves(folder)
    append_jsonl(folder.log_file, [{"generator_steps": step, "generator": {"fake": 1.0}} for step in (10, 20, 30)])
    assert curves.as_json()[0]["steps"] == [10, 20, 30]
    folder.log_file.unlink()
    append_jsonl(folder.log_file, [{"generator_steps": 10, "generator": {"fake": 2.0}}])
    assert curves.as_json() == [{"player": "generator", "term": "fake", "steps": [10], "values": [2.0]}]
