"""What reaches the terminal: text from outside as it is, whole lines in a pipe, no complaint when the reader leaves."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from helpers.sharing_fixture import write_study
from helpers.study_fixture import HELDOUT, TRAIN, Fate, realistic, write_json
from helpers.tiny_study import write_tiny_study
from rich import console as rich_console
from rich.table import Table
from rich.text import Text

from bench.cli.console import Console, counting_bar, plain_table
from bench.cli.text import print_json, say
from bench.config.reading import load_config
from bench.execution.running import lay_out
from bench.runs.folder import Status, read_plan
from bench.runs.plan import make_plan
from bench.watch.progress import has_ended, images_of, progress_of

ROOT = Path(__file__).parents[2]
# rich markup that closes nothing (an error), that colours, an emoji code; a colour, a title and a cleared screen as a
# terminal's control sequences, with ESC and with the one-byte CSI; letters from right to left
NASTY = "[/x] [red]r[/red] :smile: \x1b[31mcolour \x1b]0;title\x07 \x9b2J \u202eback"
SHOWN = "[/x] [red]r[/red] :smile: [31mcolour ]0;title 2J back"


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


def is_clean(output: str) -> bool:
    return all(character.isprintable() or character in "\n\t" for character in output)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_console_shows_text_as_it_is(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "300")
        monkeypatch.setenv("TERM", "xterm")
    console = Console()
    assert console.is_terminal is terminal
    with console.capture() as captured:
        console.print(NASTY)
        console.print(plain_table([NASTY], [[NASTY]], title=NASTY))
        console.print(Table(NASTY, caption=NASTY))
        console.print(Text(NASTY))
        console.print(NASTY, style="red")
    output = captured.get()
    assert output.count("[/x]") == output.count("[red]r[/red]") == output.count(":smile:") == 8
    for attack in ("\x1b[31mcolour", "\x1b]0;", "\x9b", "\x07", "\u202e"):
        assert attack not in output
    assert ("\x1b" in output) is terminal  # rich's own colours are left


@pytest.mark.parametrize("width", [60, 80])
def test_a_table_that_does_not_fit_is_a_list_of_its_rows(width: int) -> None:
    label, why = "a-label-that-goes-on-" * 2 + "controlled/seed-0", "out of memory " * 8
    rows = [(label, "failed", "100,000 / 100,000", why), ("vae/seed-1", "done", "", "")]
    console = rich_console.Console(file=io.StringIO(), width=width)
    console.print(plain_table(("run", "state", "steps", "why"), rows, width=width))
    console.print(plain_table(("run", "state"), [("vae", "done")], width=width))
    printed = str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in printed]
    assert lines[:2] == [label, "  state failed  steps 100,000 / 100,000"]
    assert lines[-4:] == ["vae/seed-1", "  state done", "run  state", "vae  done"]
    assert all(len(line) <= width for line in printed)
    assert " ".join("".join(lines[2:-4]).split()) == why.strip()


def test_a_bar_shows_text_as_it_is() -> None:
    console = Console()
    with console.capture() as captured, counting_bar(console) as bar:
        bar.add_task(NASTY, total=1)
    assert SHOWN in captured.get()


def test_lines_and_json_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say(NASTY)
    assert capsys.readouterr().out == SHOWN + "\n"
    print_json({"reason": NASTY})
    output = capsys.readouterr().out
    assert is_clean(output)
    assert json.loads(output) == {"reason": NASTY}


@pytest.fixture
def nasty_runs(workplace: Path) -> str:
    """A runs folder of a nasty name, whose study has a nasty title, reasons and a stale folder. Returns its name."""
    title = "[/x] [red]r[/red] :smile: \x7f \x9b2J"  # TOML allows no ESC
    write_tiny_study(workplace, objectives=["nsgan", "vae"], title=title)
    runs = f"runs{NASTY}"
    plan = make_plan(load_config(workplace / "bench.toml").study(None))
    for planned in plan.runs:
        lay_out(planned, plan, workplace / runs, "planned").write_status(
            Status(state="failed", reason=NASTY, phase=NASTY)
        )
    (workplace / runs / "tiny" / "nsgan-controlled" / f"seed-9-{NASTY.replace('/', '')}").mkdir()
    return runs


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("plan",), 0, SHOWN),
        (("run", "--all", "--dry-run"), 0, "2 of 2 runs"),
        (("run", NASTY), 2, SHOWN),
        (("evaluate",), 2, "trained"),
        (("clean", "--yes"), 0, "Removed 1 folder."),
        (("list", "studies"), 0, "[/x] [red]r[/red] :smile:"),
        (("doctor",), 0, "device cpu"),
        (("status",), 2, SHOWN),
        (("show", NASTY), 2, SHOWN),
        (("report",), 2, SHOWN),
        (("export",), 2, SHOWN),
        (("import", NASTY), 2, SHOWN),
        (("verify", NASTY), 2, SHOWN),
        (("compare", NASTY, NASTY), 2, SHOWN),
        (("replay", NASTY), 2, SHOWN),
        (("check", NASTY), 2, SHOWN),
        (("theory", NASTY), 2, SHOWN),
        (("modes", NASTY), 2, SHOWN),
        (("new", NASTY), 2, SHOWN),
        (("new", "mine", "--directory", NASTY), 0, SHOWN),
        (("init", f"{NASTY}.toml"), 0, SHOWN),
        (("data", "prepare", "--study", NASTY), 2, SHOWN),
        ((NASTY,), 2, SHOWN),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and value[0] != NASTY else None,
)
def test_every_verb_shows_text_from_outside_as_it_is(
    words: tuple[str, ...], code: int, says: str, nasty_runs: str, workplace: Path, bench: Bench
) -> None:
    output = bench("--runs", nasty_runs, "--data", f"data{NASTY}", *words, code=code)
    assert says in output
    assert is_clean(output)


def test_a_study_that_somebody_else_wrote(workplace: Path, bench: Bench) -> None:
    plan_file = write_study(workplace / "runs") / "plan.json"
    reports = ("--reports", f"reports{NASTY}")
    for words in (("report",), ("verify",)):
        output = bench(*reports, *words, "--study", "quick")
        assert is_clean(output)
        assert "[/x]" in output
    assert is_clean(bench(*reports, "compare", "quick", "quick"))

    plan = json.loads(plan_file.read_text())
    for run in plan["runs"]:
        run["label"] = NASTY
    write_json(plan_file, plan)
    for words in (("status",), ("show", plan["runs"][0]["id"], "--json"), ("show", plan["runs"][0]["id"])):
        output = bench(*words, "--study", "quick")
        assert is_clean(output)
    assert SHOWN in bench("status", "--study", "quick")


def test_in_a_pipe_every_run_is_one_line(workplace: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    labels = [f"nsgan-with-a-label-that-says-everything-about-its-settings-{number}" for number in (1, 2)]
    reason = "a reason of many words " * 10
    study = realistic("tiny", objectives=tuple(labels), fates={(labels[0], "controlled", 0): Fate("failed", 3, reason)})
    study.write(workplace / "runs")
    lines = bench("status").splitlines()
    assert len(lines) == 1 + 4 + 1 + 1  # headings, runs, counts, in what bench.toml differs
    assert lines[1].startswith(f"{labels[0]}-controlled/seed-0")
    assert lines[1].rstrip().endswith(reason.strip())
    assert lines[-2] == "1 failed, 3 done"


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--help",), 0), (("status",), 0), (("status", "--json"), 0), (("status", "--study", "nowhere"), 2)],
    ids=["help", "table", "json", "error"],
)
def test_a_reader_that_has_left_is_no_error(words: tuple[str, ...], code: int, workplace: Path) -> None:
    realistic("tiny", objectives=("nsgan",)).write(workplace / "runs")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "bench", *words]
    done = subprocess.run(command, cwd=workplace, env=_environment(), stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == code


def test_list_into_head(workplace: Path) -> None:
    script = f"{sys.executable} -m bench list metrics; echo code $? >&3"
    done = subprocess.run(
        ["sh", "-c", f"( {script} ) 3>&2 2>errors.txt | head -n 1"],
        cwd=workplace,
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("metrics")
    assert done.stderr == "code 0\n"
    assert (workplace / "errors.txt").read_text() == ""


def test_a_file_name_that_is_no_text_is_printed(workplace: Path) -> None:
    name = os.fsencode(workplace) + b"/caf\xe9.toml"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "init", name],
        cwd=workplace,
        env=_environment(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"Wrote ")


def test_a_notebooks_backend_for_figures_is_not_ours(workplace: Path) -> None:
    realistic("tiny", objectives=("nsgan",)).write(workplace / "runs")
    environment = _environment() | {"MPLBACKEND": "module://matplotlib_inline.backend_inline_that_is_not_here"}
    command = [sys.executable, "-m", "bench", "report"]
    done = subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(ROOT)}


def test_a_finished_run_of_other_images_shows_as_stale(tmp_path: Path) -> None:
    realistic(objectives=("nsgan",)).write(tmp_path)
    assert images_of(tmp_path, "quick", tmp_path / "data") is None  # nothing is prepared here, so nothing is known
    for heldout, state in ((HELDOUT, "done"), ("c3" * 32, "stale")):
        images = {"train": TRAIN, "heldout": heldout}
        rows = progress_of(read_plan(tmp_path, "quick"), tmp_path / "quick", images)
        assert {row["state"] for row in rows} == {state}
        assert all(map(has_ended, rows))
