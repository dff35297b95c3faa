"""The documentation: its commands are taken as they are written, the cheap ones run, and the website has no hole."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from click.testing import CliRunner
from helpers.extras import needed
from helpers.study_fixture import realistic

from bench.cli import bench
from bench.config.reading import load_config

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROGRAMS = {"bench", "ganbench", ".venv/bin/bench"}
# Verbs that train, measure, download and serve nothing, in the order in which somebody types them.
CHEAP = (
    "init",
    "list",
    "doctor",
    "plan",
    "new",
    "check",
    "status",
    "show",
    "report",
    "export-logs",
    "export",
    "verify",
)
# Options that train, measure or draw; ranks; clusters; what takes real images, and a report whose runs are not these.
LEFT_OUT = {"--on", "--calibrate", "--prove", "--ranks", "--show-training-images", "--metrics"}
NOT_HERE = {
    "bench check",
    "bench verify reports/faces",
    *(f"bench report --study {study}" for study in ("celeba64", "faces-pairs", "mine", "mnist-mlp")),
}


def commands(page: Path) -> Iterator[str]:
    """Yield the shell commands of a page, one each: of indented blocks, of fences for a shell, of inline code."""
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (\S.*)$", outside, re.MULTILINE)
    inline = [code.replace("\n", " ") for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", outside)]
    lines = [line for fence in fences for line in fence.replace("\\\n", " ").splitlines()]
    for line in [*lines, *indented, *inline]:
        without = re.split(r" #|\s{3,}", line.strip())[0]  # a remark beside a command
        for part in re.split(r"&&|;|\||, (?=bench )", without):
            if words := _words(part.strip().strip("()")):
                yield shlex.join(words)


def _words(part: str) -> list[str]:
    """Return the words of a command of this project, else none; `python -m bench` is `bench`."""
    try:
        words = shlex.split(part.replace("[-", "-").replace("]", "").replace(" ...", " X").replace("...", ""))
    except ValueError:
        return []
    if len(words) > 2 and words[0].endswith("python") and words[1:3] == ["-m", "bench"]:
        words = ["bench", *words[3:]]
    if words and words[0] == "$":
        words = words[1:]
    known = len(words) > 1 and (words[0] in PROGRAMS or words[0] == "make" or words[0].endswith("python"))
    return ["bench", *words[1:]] if known and words[0] in PROGRAMS else words if known else []


FOUND = sorted({(command, page.name) for page in PAGES for command in commands(page)})
OF_BENCH = [pair for pair in FOUND if pair[0].startswith("bench ")]
OTHERS = [pair for pair in FOUND if not pair[0].startswith("bench ")]


def test_commands_are_found() -> None:
    """Known ones of each kind, so that the tests below cannot pass by finding nothing."""
    found = {command for command, _ in FOUND}
    assert {
        "bench run --all",
        "bench plan --resolve A,B",
        "bench check ./my_objective.py --ranks 2",
        "make test",
    } <= found
    assert len(OF_BENCH) > 60


@pytest.mark.parametrize("command", sorted({command for command, _ in OF_BENCH}))
def test_a_command_is_one_that_bench_takes(command: str) -> None:
    where = [page for other, page in OF_BENCH if other == command]
    try:
        parsed(bench, shlex.split(command)[1:])
    except click.UsageError as error:
        pytest.fail(f"{', '.join(where)}: {command}: {error.format_message()}")


def parsed(command: click.Command, words: list[str]) -> None:
    """Parse words as click would, without running anything. Raises click.UsageError for what the verb does not take."""
    context = click.Context(command, info_name=command.name)
    values, rest, _ = command.make_parser(context).parse_args(words)
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str) and not value.isupper():
            parameter.type.convert(value, parameter, context)
    if isinstance(command, click.Group):
        if not rest:
            return
        verb = command.get_command(context, rest[0])
        if verb is None:
            raise click.UsageError(f"there is no {rest[0]}")
        parsed(verb, rest[1:])
    elif rest:
        raise click.UsageError(f"does not take {' '.join(rest)}")


def test_what_bench_does_not_take_is_noticed() -> None:
    for wrong in ("runn --all", "run --al-devices", "report --format", "check --ranks", "data fetch", "doctor NAME"):
        with pytest.raises(click.UsageError):
            parsed(bench, shlex.split(wrong))


@pytest.mark.parametrize(("command", "page"), OTHERS)
def test_targets_modules_and_scripts_are_there(command: str, page: str) -> None:
    first, *words = shlex.split(command)
    if first == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[0] in targets, page
    elif words[:1] == ["-m"]:
        module = words[1]
        inside = (ROOT / module.replace(".", "/"), ROOT / "tests" / module.replace(".", "/"))
        own = module.partition(".")[0] in ("bench", "helpers")
        assert not own or any(path.with_suffix(".py").is_file() or path.is_dir() for path in inside), page
    elif words and words[0].endswith(".py") and "/" in words[0]:
        assert (ROOT / words[0]).is_file(), page
        source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / words[0], ROOT / "benchmarks/common.py"))
        unknown = [word for word in words if word.startswith("--") and f'"{word}"' not in source]
        assert not unknown, f"{page}: {command}"


def cheap() -> list[str]:
    chosen = []
    for command in {command for command, _ in OF_BENCH} - NOT_HERE:
        words = shlex.split(command)[1:]
        placeholders = any(re.fullmatch(r"[A-Z_,]+(\.zip)?", word) for word in words)
        if words[0] in CHEAP and not placeholders and not LEFT_OUT & set(words):
            chosen.append(command)
    return sorted(chosen, key=lambda command: (CHEAP.index(shlex.split(command)[1]), command))


def test_cheap_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with two studies that were run, and the published report."""
    monkeypatch.chdir(tmp_path)
    for name in ("quick", "faces"):
        realistic(name, objectives=("nsgan",), seeds=(0,)).write(tmp_path / "runs")
    shutil.copytree(ROOT / "reports" / "faces", tmp_path / "reports" / "faces")
    ran = set()
    for command in cheap():
        words = shlex.split(command)[1:]
        try:
            result = CliRunner().invoke(bench, words, catch_exceptions=False, standalone_mode=False)
        except click.MissingParameter:
            continue  # the verb's name alone, in a sentence
        assert result.return_value in (None, 0), command
        ran.add(words[0])
        if command == "bench init":
            (tmp_path / "bench.toml").unlink()  # the others are typed where there is none
    assert ran == set(CHEAP)


def test_the_walkthroughs_study_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "your-images.md").read_text(encoding="utf-8")
    (study,) = re.findall(r"^```toml\n(default_study.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "bench.toml").write_text(study, encoding="utf-8")
    config = load_config(tmp_path / "bench.toml")
    assert config.study(None).data.source == "folder"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built website; a link without a target, or a page outside the navigation, fails the build."""
    needed("material")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Links(HTMLParser):
    """What a page links to and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.linked: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                (self.linked if tag == "a" else self.loaded).append(value)


def test_the_website_has_no_hole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if page.name != "404.html" and "reports" not in page.parts]
    assert len(pages) >= len(PAGES)
    for page in pages:
        links = Links()
        links.feed(page.read_text(encoding="utf-8"))
        assert not [url for url in links.loaded if re.match(r"(https?:)?//", url) and "canonical" not in url], page
        for url in [*links.linked, *links.loaded]:
            if not re.match(r"[a-z]+:|#", url):
                assert (page.parent / unquote(re.split(r"[#?]", url)[0])).exists(), f"{page.name}: {url}"


def test_equations_are_drawn_without_a_script(site: Path) -> None:
    text = (site / "objectives.html").read_text(encoding="utf-8")
    source = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    assert text.count("<math ") == source.count("```math") > 20
