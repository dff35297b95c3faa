"""Shells complete verbs, studies, rows, runs and objectives, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from helpers.tiny_study import write_tiny_study

from bench.__main__ import run
from bench.config.reading import load_study
from bench.runs.plan import make_plan


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the study `tiny`, planned, whose row vae has a seed of its own."""
    monkeypatch.chdir(tmp_path)
    write_tiny_study(tmp_path, objectives=["nsgan", "vae"], protocols=["controlled", "published"])
    make_plan(load_study()).with_seeds({7}, ("vae",), ("controlled",)).write(tmp_path / "runs")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bench rep", {"report", "replay"}),
        ("bench run v", {"vae"}),
        ("bench run --study tiny n", {"nsgan"}),
        ("bench plan ", {"nsgan", "vae"}),
        ("bench remove va", {"vae"}),
        ("bench status --study t", {"tiny"}),
        ("bench show vae", {"vae-controlled/0", "vae-published/0", "vae/7"}),
        ("bench check wgan-", {"wgan-gp", "wgan-lp"}),
        ("bench list st", {"studies"}),
        ("bench run --study nowhere n", set()),
        ("bench --config missing.toml run n", set()),
    ],
)
def test_what_is_offered(
    line: str, offered: set[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    assert run([], program="bench") == 0
    printed = capfd.readouterr()
    assert {text.partition(",")[2] for text in printed.out.split()} == offered
    assert printed.err == ""


def test_bash_completes_with_the_documented_line(folder: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    program = folder / "bench"
    program.write_text(
        f"#!{sys.executable}\nimport atexit, sys\nfrom bench.__main__ import main\n"
        "heavy = {'torch', 'pandas', 'matplotlib'}\n"
        "atexit.register(lambda: print(*heavy & set(sys.modules), end='', file=sys.stderr))\nmain()\n"
    )
    program.chmod(0o755)
    code = 'eval "$(bench completion bash)"; COMP_WORDS=(bench run v); COMP_CWORD=2; _bench_completion bench v run'
    done = subprocess.run(
        [bash, "-c", f'{code}; echo "${{COMPREPLY[@]}}"'],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["vae"], "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell: str, bench: Bench) -> None:
    assert "_BENCH_COMPLETE" in bench("completion", shell)
