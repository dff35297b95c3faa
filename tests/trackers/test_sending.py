"""What trackers are sent of runs, read back with their own readers; nothing twice, and nothing that breaks a run."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.extras import needed
from helpers.study_fixture import Fate, realistic
from helpers.tiny_study import on_cpu, write_tiny_study

from bench.__main__ import run as type_bench
from bench.errors import BenchError
from bench.files import read_json, read_jsonl, write_jsonl, write_record
from bench.runs.folder import RunFolder
from bench.trackers import adapters
from bench.trackers.adapters import TRACKERS, Point, RunFacts, Tracker, named_trackers
from bench.trackers.following import following
from bench.trackers.sending import Sender

ROOT = Path(__file__).parents[2]
SCORE = "metrics/fd_lite0_n1000/raw"
Key = tuple[str, int]


@dataclass
class Notes:
    """A stream that keeps what it is given: points by name and step, with how often each came."""

    facts: RunFacts
    points: dict[Key, list[float]] = field(default_factory=dict)
    moments: list[float] = field(default_factory=list)
    grids: list[int] = field(default_factory=list)
    states: list[str | None] = field(default_factory=list)

    def scalars(self, points: Sequence[Point]) -> None:
        for point in points:
            self.moments.append(point.moment)
            for name, value in point.values.items():
                self.points.setdefault((name, point.generator_steps), []).append(value)

    def grid(self, generator_steps: int, picture: Path, moment: float) -> None:
        assert picture.is_file()
        self.grids.append(generator_steps)

    def flush(self) -> None:
        return None

    def close(self, state: str | None) -> None:
        self.states.append(state)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Notes]:
    """What a tracker named "notes" was given, by stream."""
    kept: dict[str, Notes] = {}

    def opens(facts: RunFacts, folder: Path) -> Notes:
        return kept.setdefault(facts.stream, Notes(facts))

    monkeypatch.setitem(TRACKERS, "notes", Tracker("notes", "json", opens))  # type: ignore[arg-type]
    return kept


def one_run(tmp_path: Path, **changes: object) -> tuple[Path, RunFolder]:
    study = realistic(objectives=("wgan-gp",), seeds=(0,), **changes).write(tmp_path / "runs")  # type: ignore[arg-type]
    return study.parent, RunFolder(next(study.glob("*/seed-*")))


def sender(root: Path, tmp_path: Path, tracker: str = "notes", again: bool = False) -> Sender:
    return Sender(tracker, root, "quick", tmp_path / "logs", again=again)


def test_everything_is_sent_once_and_run_folders_stay_as_they_are(tmp_path: Path, notes: dict[str, Notes]) -> None:
    root, folder = one_run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert sender(root, tmp_path).send() > 100
    (kept,) = notes.values()
    log = read_jsonl(folder.log_file)
    for line in log:
        assert kept.points["discriminator/penalty", line["generator_steps"]] == [line["discriminator"]["penalty"]]
    assert kept.points["observed/gradient_norm", 900] == [log[-1]["observed"]["gradient_norm"]]
    # Beside every score its floor; N in the name, since snapshots have fewer samples.
    assert kept.points["floors/fd_lite0_n1000/raw", 900] == [1.42]
    assert [step for name, step in kept.points if name == "metrics/fd_lite0_n500/raw"] == [225, 450, 900]
    assert (SCORE, 900) in kept.points
    assert kept.grids == [225, 450, 900]
    assert kept.states == ["done"]
    assert (kept.facts.label, kept.facts.seed, kept.facts.settings["budget.generator_steps"]) == ("wgan-gp", 0, 900)
    spread = max(kept.moments) - min(kept.moments)
    assert spread == pytest.approx(log[-1]["device_seconds"] - log[0]["device_seconds"], rel=0.01)
    assert sender(root, tmp_path).send() == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert sender(root, tmp_path, again=True).send() > 100


def test_a_run_that_is_continued_sends_no_step_twice(tmp_path: Path, notes: dict[str, Notes]) -> None:
    """It goes back to its checkpoint, and repeats the steps after it with the same bits."""
    root, folder = one_run(tmp_path)
    whole = read_jsonl(folder.log_file)
    write_jsonl(folder.log_file, whole[:20])
    folder.write_status(replace(folder.status(), state="running", phase="training"))
    following_it = sender(root, tmp_path)
    following_it.send()
    write_jsonl(folder.log_file, whole[:12])
    assert following_it.send() == 0
    write_jsonl(folder.log_file, whole[:25])
    assert following_it.send() > 0
    following_it.close()
    write_jsonl(folder.log_file, whole)
    folder.write_status(replace(folder.status(), state="done", phase=None))
    sender(root, tmp_path).send()  # another process
    (kept,) = notes.values()
    assert {len(values) for values in kept.points.values()} == {1}
    assert [step for name, step in kept.points if name == "generator/fake"] == [
        line["generator_steps"] for line in whole
    ]
    assert kept.states == [None, "done"]


def test_an_end_that_comes_after_all_values_is_sent_once(tmp_path: Path, notes: dict[str, Notes]) -> None:
    root, folder = one_run(tmp_path)
    done = folder.status()
    folder.write_status(replace(done, phase="evaluating"))
    first = sender(root, tmp_path)
    first.send()
    first.close()
    folder.write_status(done)
    for _ in range(2):
        assert sender(root, tmp_path).send() == 0
    (kept,) = notes.values()
    assert kept.states == [None, "done"]


@pytest.mark.parametrize("broken", ["scalars", "grid"])
def test_what_a_tracker_took_before_it_failed_is_not_sent_again(
    tmp_path: Path, notes: dict[str, Notes], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """It takes the log and fails with the scores, or takes both and a grid, and fails with the second."""
    root, _ = one_run(tmp_path)
    takes, taken = getattr(Notes, broken), []

    def fails_the_second_time(self: Notes, *given: object) -> None:
        taken.append(given)
        if len(taken) == 2:
            raise ConnectionError("the store is away")
        takes(self, *given)

    monkeypatch.setattr(Notes, broken, fails_the_second_time)
    with pytest.raises(ConnectionError):
        sender(root, tmp_path).send()
    assert sender(root, tmp_path).send() > 0
    (kept,) = notes.values()
    assert {len(values) for values in kept.points.values()} == {1}
    assert kept.grids == [225, 450, 900]
    assert (SCORE, 900) in kept.points


def test_a_run_of_other_code_is_another_stream(tmp_path: Path, notes: dict[str, Notes]) -> None:
    root, folder = one_run(tmp_path)
    sender(root, tmp_path).send()
    write_record(folder.spec_file, read_json(folder.spec_file) | {"code": {"objective": "new", "training": "new"}})
    assert sender(root, tmp_path).send() > 100
    assert len(notes) == 2


def test_what_is_not_finite_has_no_point(tmp_path: Path, notes: dict[str, Notes]) -> None:
    fates = {("wgan-gp", "controlled", 0): Fate("diverged", 300, "non-finite loss")}
    root, _ = one_run(tmp_path, fates=fates)
    sender(root, tmp_path).send()
    (kept,) = notes.values()
    assert ("generator/fake", 300) not in kept.points
    assert ("discriminator/real", 300) in kept.points
    assert kept.states == ["diverged"]


def test_a_damaged_run_keeps_no_other_from_being_sent(tmp_path: Path, notes: dict[str, Notes]) -> None:
    study = realistic(objectives=("nsgan", "wgan-gp"), seeds=(0,)).write(tmp_path / "runs")
    next(study.glob("nsgan-*/seed-*/spec.json")).write_text("{")
    damaged = sender(study.parent, tmp_path)
    assert damaged.send() > 100
    assert [kept.facts.label for kept in notes.values()] == ["wgan-gp"]
    assert [path.partition("/")[0] for path in damaged.left_out] == ["nsgan-controlled"]


@pytest.mark.parametrize("content", ["{", '{"stream": "x", "lag": 1}', "[]"])
def test_runs_that_are_not_sent_are_named(
    tmp_path: Path, notes: dict[str, Notes], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """Here what is kept of what was sent is damaged."""
    root, folder = one_run(tmp_path)
    sender(root, tmp_path).send()
    next(tmp_path.glob("logs/notes/sent/*/*/*.json")).write_text(content)
    words = ["--runs", str(root), "export-logs", "--study", "quick", "--to", "notes"]
    words += ["--log-folder", str(tmp_path / "logs")]
    assert type_bench([*words, "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["tracker"], told["sent"], told["error"]) == ("notes", 0, None)
    assert list(told["left_out"]) == [folder.path.relative_to(root / "quick").as_posix()]
    assert type_bench(words) == 1
    assert ".json" in capsys.readouterr().out
    assert type_bench([*words, "--again", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["left_out"] == {}


def test_nothing_is_sent_before_there_is_a_plan(tmp_path: Path, notes: dict[str, Notes]) -> None:
    assert sender(tmp_path / "runs", tmp_path).send() == 0


def test_names_are_checked_before_anything_starts() -> None:
    assert named_trackers("") == ()
    with pytest.raises(BenchError, match="tensorboard"):
        named_trackers("tensorbord")
    missing = "a_library_that_nobody_has"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRACKERS, "absent", Tracker("absent", missing, adapters.TensorBoard))
        with pytest.raises(BenchError) as error:
            named_trackers("absent")
    assert "ganbench[absent]" in str(error.value.hint)


BROKEN = """
import sys
from bench.trackers import adapters
from bench.trackers.following import main
def fails(facts, folder):
    raise ConnectionError("no\\nroute")
adapters.TRACKERS["tensorboard"] = adapters.Tracker("tensorboard", "json", fails)
sys.exit(main())
"""


def test_a_broken_tracker_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, _ = one_run(tmp_path)
    monkeypatch.setattr("bench.trackers.following.python_command", lambda module: [sys.executable, "-c", BROKEN])
    told: list[str] = []
    with following(["tensorboard"], root, "quick", tmp_path / "logs", told.append):
        pass
    assert len(told) == 1
    assert "ConnectionError: no route" in told[0]


def test_tensorboard_reads_what_it_was_sent(tmp_path: Path) -> None:
    """In the way that a user meets it: a training that is followed, then sent again to no effect."""
    needed("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        write_tiny_study(tmp_path)
        assert type_bench(on_cpu(["run", "--all", "--log", "tensorboard"])) == 0
        assert type_bench(["export-logs", "--to", "tensorboard"]) == 0
    (place,) = {path.parent for path in (tmp_path / "logs").rglob("events*")}
    assert place.relative_to(tmp_path).parts[:4] == ("logs", "tensorboard", "tiny", "nsgan-controlled")
    found = EventAccumulator(str(place), size_guidance={"scalars": 0, "images": 0}).Reload()
    folder = RunFolder(next((tmp_path / "runs" / "tiny").glob("*/seed-*")))
    losses = [(line["generator_steps"], line["generator"]["fake"]) for line in read_jsonl(folder.log_file)]
    assert [(event.step, event.value) for event in found.Scalars("generator/fake")] == [
        (step, pytest.approx(value)) for step, value in losses
    ]
    assert [event.step for event in found.Images("samples")] == [6, 12]
    assert found.Images("samples")[-1].encoded_image_string == folder.sample_file(12).read_bytes()
    line = next(line for line in read_jsonl(folder.metrics_file) if line["metric"] == "fd_judge" and line["final"])
    (score,) = [event for event in found.Scalars("metrics/fd_judge_n50/raw") if event.step == 12]
    assert score.value == pytest.approx(line["value"])


def export(root: Path, tmp_path: Path, tracker: str, *more: str) -> None:
    """Type `bench export-logs` in a process of its own: these libraries warn when they are imported."""
    words = ["--runs", str(root), "export-logs", "--study", "quick", "--to", tracker, *more]
    command = [sys.executable, "-m", "bench", *words, "--log-folder", str(tmp_path / "logs")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "MLFLOW"))}
    environment |= {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_an_offline_run(tmp_path: Path) -> None:
    needed("wandb")
    from wandb.proto import wandb_internal_pb2

    root, folder = one_run(tmp_path, final_step=100)
    export(root, tmp_path, "wandb")
    (file,) = (tmp_path / "logs" / "wandb" / "wandb").glob("offline-run-*/run-*.wandb")
    losses, scores, kinds = {}, {}, set()
    for content in leveldb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        kinds.add(record.WhichOneof("record_type"))
        values = {".".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
        if "generator/fake" in values:
            losses[int(values["generator_steps"])] = float(values["generator/fake"])
        if SCORE in values:
            scores[int(values["generator_steps"])] = float(values[SCORE])
    assert losses == {line["generator_steps"]: line["generator"]["fake"] for line in read_jsonl(folder.log_file)}
    assert list(scores) == [100]
    assert "environment" not in kinds  # the host's name, the user's, the command


def leveldb_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file in LevelDB's log format, as wandb writes it after a header of 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(content):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_a_run(tmp_path: Path) -> None:
    needed("mlflow")
    from mlflow import MlflowClient

    root, folder = one_run(tmp_path, final_step=100)
    export(root, tmp_path, "mlflow")
    export(root, tmp_path, "mlflow", "--again")  # which finds the run by its tag
    client = MlflowClient(f"sqlite:///{tmp_path / 'logs' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("bench-quick")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.data.tags["label"]) == ("FINISHED", "wgan-gp")
    assert found.data.params["budget.generator_steps"] == "100"
    history = {metric.step: metric.value for metric in client.get_metric_history(found.info.run_id, "generator/fake")}
    assert history == {line["generator_steps"]: line["generator"]["fake"] for line in read_jsonl(folder.log_file)}
    pictures = [file.path for file in client.list_artifacts(found.info.run_id, "samples")]
    assert sorted(pictures) == [f"samples/step-{step:08d}.png" for step in (25, 50, 100)]


def test_no_tracker_reports_its_own_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")  # somebody's own choice stays
    seen = SimpleNamespace()

    def opens(facts: RunFacts, folder: Path) -> Notes:
        seen.environment = dict(os.environ)
        return Notes(facts)

    Tracker("notes", "json", opens).open(RunFacts("s", "l", "p", 0, "x"), tmp_path)  # type: ignore[arg-type]
    assert seen.environment["WANDB_ERROR_REPORTING"] == "false"
    assert seen.environment["MLFLOW_DISABLE_TELEMETRY"] == "false"
