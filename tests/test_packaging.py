"""What people install: the wheel's metadata and files, and the container's recipe."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from fnmatch import fnmatch
from pathlib import Path

import pytest
from helpers.extras import needed

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be uploaded, built without a network."""
    needed("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("ganbench-*-py3-none-any.whl")
    return zipfile.ZipFile(file)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_says_what_the_project_says(metadata: Message) -> None:
    assert metadata["Name"] == PROJECT["name"]
    assert metadata["License-Expression"] == PROJECT["license"]
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert metadata.get_all("Classifier") == sorted(PROJECT["classifiers"])
    told = {url.partition(", ")[0] for url in metadata.get_all("Project-URL", [])}
    assert told == set(PROJECT.get("urls", {}))


def test_python_versions_are_those_that_are_asked_for(metadata: Message) -> None:
    found = [re.search(r":: 3\.(\d+)$", line) for line in metadata.get_all("Classifier", [])]
    minors = sorted(int(version[1]) for version in found if version)
    assert metadata["Requires-Python"] == f">=3.{minors[0]}"
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_the_first_page_shows_its_images_where_the_repository_is_known(metadata: Message) -> None:
    """A package index has no files beside the README: once the project has an address, images are absolute."""
    text = str(metadata.get_payload())
    images = re.findall(r"!\[[^\]]*\]\(([^)]+)\)|<img src=\"([^\"]+)\"", text)
    relative = [image for pair in images for image in pair if image and not image.startswith("https://")]
    assert images
    assert not relative or "urls" not in PROJECT
    assert all((ROOT / image).is_file() for image in relative)


def test_the_wheel_holds_what_runs_need_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = ("bench.toml", "claims.toml", "py.typed", "metrics/catalogue.toml", "cli/templates/objective.py.txt")
    assert {f"bench/{name}" for name in wanted} <= names
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bench").rglob("*.py")}
    assert here <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"bench"}
    assert sum(file.compress_size for file in wheel.infolist()) < 10e6
    (entries,) = (name for name in names if name.endswith("entry_points.txt"))
    assert all(f"{script} = {target}" in wheel.read(entries).decode() for script, target in PROJECT["scripts"].items())


def test_tests_bring_everything_optional_and_ci_skips_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = PROJECT["optional-dependencies"]
    (own,) = (one for one in extras["test"] if one.startswith("ganbench["))
    assert set(own.removeprefix("ganbench[").rstrip("]").split(",")) == set(extras) - {"test", "docs", "lite0"}
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ModuleNotFoundError):
        needed("a_library_that_nobody_has")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        needed("a_library_that_nobody_has")
    asking = {
        path.name for path in (ROOT / "tests").rglob("*.py") if "importorskip(" in path.read_text(encoding="utf-8")
    }
    assert asking == {"extras.py", "test_folder.py", Path(__file__).name}  # the second for a system without fcntl


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions with their arguments, continued lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_dockerfile_has_two_bases_and_a_known_order() -> None:
    words = [word for word, _ in instructions()]
    assert set(words) <= {"ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "ENTRYPOINT", "CMD"}
    assert words[:2] == ["ARG", "FROM"]
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    others = re.findall(r"--build-arg BASE=(\S+)", DOCKERFILE)
    assert ":" in base
    assert [name.partition("/")[0] for name in others] == ["nvidia"]
    assert ("FROM", "${BASE}") in instructions()
    (entry,) = (rest for word, rest in instructions() if word == "ENTRYPOINT")
    assert re.findall(r'"([^"]+)"', entry)[0] in PROJECT["scripts"]


def test_the_dockerfile_copies_what_the_wheel_is_built_of() -> None:
    sources = [name for word, rest in instructions() if word == "COPY" for name in shlex.split(rest)[:-1]]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored
    for name in sources:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) for pattern in kept), f"{name} is left out by .dockerignore"
    built = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "bench", "bench.toml", "claims.toml"}
    assert built <= set(sources)


def test_the_dockerfile_installs_extras_that_there_are() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    extras = re.findall(r"\.\[([\w,]+)\]", " ".join(installs))
    assert extras
    assert set(extras[0].split(",")) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("command", [rest for word, rest in instructions() if word == "RUN"])
def test_the_dockerfiles_commands_are_shell(command: str) -> None:
    done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(("code", "reports"), [(0, True), (1, True), (2, False), (130, False)])
def test_make_bench_reports_runs_that_failed_and_says_so(code: int, reports: bool, tmp_path: Path) -> None:
    """With a script in the place of `bench` that ends as it would: 1 where some runs failed."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "bench"
    script.write_text(f'#!/bin/sh\n[ "$1" = run ] && exit {code}\ntouch "{tmp_path}/reported"\n', encoding="utf-8")
    script.chmod(0o755)
    for name in ("bin/python", ".bench"):
        (tmp_path / name).touch()
    done = subprocess.run(["make", "bench", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode == 0) == (code == 0)
    assert (tmp_path / "reported").exists() == reports
