"""Commands to type next can be typed: they name the folders, the file and the study that were typed."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Protocol

import click
import pytest
from helpers.sharing_fixture import write_study

from bench.__main__ import main, run
from bench.cli import bench as group
from bench.cli.hints import command_line, with_typed_options

TYPED = ("--config", "my studies.toml", "--runs", "r", "--reports", "p", "--data", "d")
GLOBALS = shlex.join(TYPED)


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


@pytest.fixture
def context(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> click.Context:
    """The context of `bench --config ... status --study tiny`."""
    monkeypatch.chdir(workplace)
    context = group.make_context("bench", [*TYPED, "status"])
    with context:
        command = group.get_command(context, "status")
        assert command is not None
        command.make_context("status", ["--study", "tiny"], parent=context)
    return context


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        ("Type `bench run --all` first.", f"Type `bench {GLOBALS} run --all --study tiny` first."),
        ("Type `bench run --all --study other`.", f"Type `bench {GLOBALS} run --all --study other`."),
        ("`bench list`; `bench show`", f"`bench {GLOBALS} list`; `bench {GLOBALS} show --study tiny`"),
        ("bench data prepare --images PATH", f"bench {GLOBALS} data prepare --images PATH --study tiny"),
        ("`bench init` writes one", "`bench init` writes one"),
        ("`bench verify FILE`", f"`bench {GLOBALS} verify FILE --study tiny`"),
        ("bench writes no such file", "bench writes no such file"),
        ("with bench run alone", "with bench run alone"),
    ],
)
def test_a_hint_keeps_what_was_typed(context: click.Context, hint: str, typed: str) -> None:
    assert with_typed_options(hint, context) == typed


def test_words_are_quoted(context: click.Context) -> None:
    with context:
        assert command_line("verify", "a b.zip", "--study", "x") == f"bench {GLOBALS} verify 'a b.zip' --study x"


def test_errors_and_next_steps_of_every_kind(workplace: Path, bench: Bench) -> None:
    roots = ("--runs", "r", "--reports", "p")
    write_study(workplace / "r")
    assert "bench --runs r --reports p verify q.zip" in bench(*roots, "export", "quick", "-o", "q.zip")
    output = bench(*roots, "import", "q.zip", "--as", "here")
    assert f"bench {shlex.join(roots)} report --study here" in output
    assert "`bench --runs r run --all --study tiny`" in bench("--runs", "r", "status", "--study", "tiny", code=2)
    assert "`bench --runs r run --all --study tiny`" in bench("--runs", "r", "evaluate", "--study", "tiny", code=2)
    assert "bench --runs r run ./mine.py" in bench("--runs", "r", "new", "mine")
    assert "`bench --config other.toml plan`" in bench("init", "other.toml")


@pytest.mark.usefixtures("bench")
def test_the_command_is_named_as_it_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate"], program="ganbench") == 2
    assert "`ganbench run --all`" in capsys.readouterr().err


def test_the_command_has_a_second_name() -> None:
    """frappe-bench installs a command `bench` too."""
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    scripts = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts["ganbench"] == scripts["bench"] == f"{main.__module__}:{main.__name__}"
