"""The benchmarks: that the floor holds every convolution, and that the tutorial's networks are bench's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the scripts and what they share be imported, as they are where they run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for name in ("common", "floor", "tutorial", "growth", "gpu"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("objective", "width", "expected"),
    [
        # 32 pixels: D and G have 4 convolutions each. Forward: G once; D on real, on fake and for G. Backward: D on
        # real and fake, then D (its input alone) and G.
        ("nsgan", 8, {"convolution": 16, "convolution_backward": 16}),
        # Both have two layers with 128 channels or more on maps of 8x8 or less: their weight gradients are products
        # (D's on real and on fake, G's), their input gradients convolutions (also D's for G).
        ("nsgan", 64, {"convolution": 16 + 8, "convolution_backward": 16 - 8, "mm": 6}),
        # An autoencoding D has 8 convolutions.
        ("began", 8, {"convolution": 4 + 24, "convolution_backward": 16 + 8 + 4}),
    ],
)
def test_the_floor_holds_every_convolution(
    benchmarks: None, objective: str, width: int, expected: dict[str, int]
) -> None:
    from common import OurStep, Setting, random_images
    from floor import convolutions_of, replaying

    step = OurStep(Setting(objective, 32, width, 4), random_images(8, 32), CPU)
    calls = convolutions_of(step, CPU)
    assert Counter(call.operation.__name__.split(".")[0] for call in calls) == expected
    replaying(calls, CPU)()


def test_stands_have_the_memory_format_of_what_they_stand_for(benchmarks: None) -> None:
    from floor import Stand

    image = torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    expanded = torch.zeros(2, 1, 1, 1).expand(2, 3, 4, 4)
    for tensor in (image, expanded):
        found = Stand.of(tensor).filled(CPU)
        assert (found.shape, found.stride(), found.dtype) == (tensor.shape, tensor.stride(), tensor.dtype)


@pytest.mark.parametrize("objective", ["nsgan", "wgan-gp", "began", "r1"])
def test_the_tutorial_s_networks_are_bench_s_and_its_loop_trains_both(benchmarks: None, objective: str) -> None:
    from common import OurStep, Setting, random_images
    from tutorial import Loop, in_place

    setting, images = Setting(objective, 32, 8, 8), random_images(8, 32)
    ours = OurStep(setting, images, CPU).players
    loop = Loop(setting.spec(), in_place(images, 8, CPU), CPU)
    pairs = ((ours.G, loop.G, torch.randn(8, 100)), (ours.D, loop.D, torch.randn(8, 3, 32, 32)))
    for mine, theirs, given in pairs:
        assert len(list(mine.parameters())) == len(list(theirs.parameters()))
        with torch.no_grad():
            for own, other in zip(mine.parameters(), theirs.parameters(), strict=True):
                other.copy_(own)
            found, expected = theirs(given), mine(given)
        torch.testing.assert_close(found, expected[0] if isinstance(expected, tuple) else expected)
    loop.step()
    for mine, theirs, _ in pairs:
        moved = [not torch.equal(*both) for both in zip(mine.parameters(), theirs.parameters(), strict=True)]
        assert all(moved)


def test_the_page_on_cost_says_how_far_off_the_model_is(benchmarks: None, tmp_path: Path) -> None:
    from growth import write_page

    points = [(name, value) for name in ("width", "batch", "resolution") for value in (32, 64)]
    rows = [
        {
            "moves": name,
            "value": value,
            "ms a step": 10.0,
            "model, ms": 10.0 + off,
            "model off by": off / 10,
            "memory, MB": 1.0,
        }
        for name, value in points
        for off in [0.0 if value == 64 else 4.0 if name == "batch" else 1.0]
    ]
    machine = {"device": "A Processor", "device_type": "cpu", "capability": "AVX2", "threads": 1}
    settings = {"objective": "nsgan", "precision": "fp32", "width": 64, "batch": 64, "resolution": 64}
    content: dict[str, Any] = {
        "environment": machine | {"packages": {"torch": "2.11.0"}},
        "settings": settings,
        "rows": rows,
    }
    (tmp_path / "cpu.json").write_text(json.dumps(content))
    write_page([tmp_path / "cpu.json"], tmp_path)
    text = (tmp_path / "cost.md").read_text()
    assert "within 25 % at 2 of 3 points" in text
    assert "furthest off at batch 32: +40%" in text
    assert "](images/cost-cpu.svg)" in text
    assert (tmp_path / "images" / "cost-cpu.svg").read_text().startswith("<svg")

    known = [{"what": what, "value": value} for what, value in (machine | {"torch": "2.11.0"}).items()]
    results = {"device": {"rows": known}, "growth": {"settings": settings, "rows": rows}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    write_page([tmp_path / "results.json"], tmp_path)
    assert (tmp_path / "cost.md").read_text() == text
    (tmp_path / "results.json").write_text(json.dumps(results | {"growth": {"rows": []}}))
    with pytest.raises(SystemExit, match="neither"):
        write_page([tmp_path / "results.json"], tmp_path)


def test_a_part_that_dies_costs_itself_alone(benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    (tmp_path / "parts.py").write_text(
        "import os, time\n"
        "def dies(device, quick):\n    yield {'row': 1}\n    os._exit(7)\n"
        "def hangs(device, quick):\n    yield {'row': 2}\n    time.sleep(60)\n"
        "def raises(device, quick):\n    yield {'row': 3}\n    raise ValueError('no')\n"
        "def works(device, quick):\n    yield {'settings': {'size': 1}}\n    yield {'row': 4}\n"
        "def spoils(device, quick, done=0):\n"
        "    for number in range(done, 3):\n"
        "        yield {'row': number, 'process': os.getpid(), **({'process spoilt': True} if number == 1 else {})}\n"
        "def finds(device, quick):\n    yield {'row': 5, 'failed': 'found something'}\n"
        "def leaves(device, quick, done=0):\n    if done:\n        os._exit(8)\n"
        "    yield {'row': 6, 'process spoilt': True}\n"
    )
    names = ("dies", "hangs", "raises", "works", "spoils", "finds", "leaves")
    seconds = {name: 0.5 if name == "hangs" else 60.0 for name in names}
    parts = [gpu.Part(name, name, "parts", name, seconds[name]) for name in names]
    options = gpu.parser().parse_args(["--out", str(tmp_path), "--device", "cpu"])
    script = f"import sys; sys.path[:0] = [{str(ROOT / 'benchmarks')!r}, {str(tmp_path)!r}]; import gpu; "
    script += "gpu.prepare = gpu.device_works = lambda *_: True; "  # torch takes seconds to import
    script += f"parts = [gpu.Part(n, n, 'parts', n, s) for n, s in {seconds!r}.items() if n in sys.argv[1:]]; "
    script += f"gpu.work(parts, gpu.parser().parse_args(['--out', {str(tmp_path)!r}, '--device', 'cpu']))"

    def start(todo: list[Any], options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", script, *(part.name for part in todo)], cwd=ROOT, start_new_session=True
        )

    monkeypatch.setattr(gpu, "start", start)
    monkeypatch.setattr(gpu, "GRACE_SECONDS", 1.0)
    results = gpu.see_to(parts, options)
    states = ["failed", "failed", "failed", "done", "done", "failed", "failed"]
    assert [results[name]["state"] for name in names] == states
    assert [len(results[name]["rows"]) for name in names] == [1, 1, 1, 1, 3, 1, 1]
    assert "ended with 7" in results["dies"]["why"]
    assert results["hangs"]["why"] == "its time was up"
    assert results["raises"]["why"] == "ValueError: no"
    assert results["works"]["settings"] == {"size": 1}
    processes = [row["process"] for row in results["spoils"]["rows"]]
    assert processes[0] == processes[1] != processes[2]
    assert results["finds"]["why"] == "1 rows"
    assert "ended with 8" in results["leaves"]["why"]
    assert "`works`: done" in (tmp_path / "results.md").read_text()


def test_missing_packages_are_named_with_what_downloads_them(benchmarks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    assert not gpu.missing({"evaluation"})
    there = gpu.version

    def version(name: str) -> str:
        if name in ("pydantic", "torch-fidelity"):
            raise gpu.PackageNotFoundError(name)
        return str(there(name))

    monkeypatch.setattr(gpu, "version", version)
    assert [gpu.name_of(one) for one in gpu.missing({"graphs"})] == ["pydantic"]
    lacking = gpu.missing({"graphs", "evaluation"})
    assert sorted(map(gpu.name_of, lacking)) == ["pydantic", "torch-fidelity"]
    first, with_needs, alone, last = gpu.what_to_carry(lacking).splitlines()
    assert "pydantic" in first
    assert "torch-fidelity" in first
    assert "pip download" in with_needs
    assert "--no-deps" not in with_needs
    assert "pydantic" in with_needs
    assert "--no-deps 'torch-fidelity" in alone
    assert "--wheels" in last


def test_wheels_are_installed_for_the_parts(benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    (tmp_path / "wheels").mkdir()
    with pytest.raises(SystemExit, match="no wheels there"):
        gpu.unpack(tmp_path / "wheels", str(tmp_path / "site"))
    files = {
        "carried.py": "VALUE = 3\n",
        "carried-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n",
        "carried-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "carried-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(tmp_path / "wheels" / "carried-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "before")
    gpu.unpack(tmp_path / "wheels", str(tmp_path / "site"))
    assert gpu.version("carried") == "1.0"
    assert os.environ["PYTHONPATH"] == os.pathsep.join([str(tmp_path / "site"), "before"])


def test_the_parts_for_a_gpu_fit_into_their_time(benchmarks: None) -> None:
    import gpu

    assert sum(part.seconds for part in gpu.PARTS) <= 60 * gpu.MINUTES < 570


@pytest.mark.slow
def test_everything_for_a_gpu_can_be_tried_on_a_cpu(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "gpu.py"
    command = [sys.executable, str(script), "--device", "cpu", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    skipped = {name for name, part in results.items() if part["state"] == "skipped"}
    assert skipped == {"waiting", "compiled", "memory"}
    assert all(part["rows"] for name, part in results.items() if name not in skipped)
    assert all(row["same bytes"] for part in ("resume", "determinism") for row in results[part]["rows"])
