"""The benchmarks: that the floor holds every convolution, and that the tutorial's networks are bench's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the scripts and what they share be imported, as they are where they run."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    for file in (ROOT / "benchmarks").glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.mark.parametrize(
    ("capability", "objective", "width", "expected"),
    [
        # 32 pixels: D and G have 4 convolutions each. Forward: G once; D on real, on fake and for G. Backward: D on
        # real and fake, then D (its input alone) and G.
        ("DEFAULT", "nsgan", 8, {"convolution": 16, "convolution_backward": 16}),
        # Both have two layers with 128 channels or more on maps of 8x8 or less: their weight gradients are products
        # (D's on real and on fake, G's), their input gradients convolutions (also D's for G).
        ("DEFAULT", "nsgan", 64, {"convolution": 16 + 8, "convolution_backward": 16 - 8, "mm": 6}),
        # An autoencoding D has 8 convolutions.
        ("DEFAULT", "began", 8, {"convolution": 4 + 24, "convolution_backward": 16 + 8 + 4}),
        # 3 layers a network are contractions: those by conv2d and conv_transpose2d are convolutions either way. The one
        # onto or from a pixel is a product: G once, D three times, 3 times by its input, 3 times by its kernel.
        ("AVX512", "nsgan", 8, {"convolution": 12 + 10, "convolution_backward": 9, "mm": 4 + 3 + 3}),
        # By Winograd's sums: 8 contractions of the layer onto 4x4, and 6 weight gradients.
        ("AVX512", "nsgan", 64, {"convolution": 22 - 8, "convolution_backward": 9 - 6, "mm": 10, "bmm": 8 + 6}),
    ],
)
def test_the_floor_holds_every_convolution(
    benchmarks: None,
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    objective: str,
    width: int,
    expected: dict[str, int],
) -> None:
    from common import OurStep, Setting, random_images
    from floor import convolutions_of, replaying

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    step = OurStep(Setting(objective, 32, width, 4), random_images(8, 32), CPU)
    calls = convolutions_of(step, CPU)
    assert Counter(call.operation.__name__.split(".")[0] for call in calls) == expected
    replaying(calls, CPU)()


def test_the_table_of_layers_times_every_algorithm_and_marks_one(
    benchmarks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layers import measure

    from bench.networks.convolution import ALGORITHMS

    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    rows = measure(width=64, resolution=16, batch=2, precision="fp32", rounds=1)
    timed = Counter((row["layer"], row["tensor"]) for row in rows)
    chosen = {(row["layer"], row["tensor"]): row["algorithm"] for row in rows if row["chosen"]}
    expected = {
        "small": len(ALGORITHMS["small"]),
        "large": len(ALGORITHMS["large"]),
        "kernel": len(ALGORITHMS["kernel"]),
    }
    assert timed == {
        **{
            (layer, wanted): count
            for layer in ("3 x 16² - 64 x 8²", "64 x 8² - 128 x 4²")
            for wanted, count in expected.items()
        },
        ("head", "all"): 2,
        ("first", "all"): 2,
    }
    assert chosen.keys() == timed.keys()
    assert chosen["3 x 16² - 64 x 8²", "large"] == "blocks"
    assert chosen["head", "all"] == chosen["first", "all"] == "product"
    assert all(row["ms"] > 0 for row in rows)


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
    ours = OurStep(setting, images, CPU).state
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

    lines = [{"stage": "start", "task": 0, "what": what, "value": value} for what, value in machine.items()]
    lines += [{"stage": "start", "task": 0, "what": "torch", "value": "2.11.0"}, {"stage": "cost", "tasks": 2}]
    lines += [{"stage": "cost", "task": 0, "settings": settings}]
    results = tmp_path / "results.jsonl"
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SystemExit, match="cost"):
        write_page([results], tmp_path)
    lines += [{"stage": "cost", "task": 1, **row} for row in rows]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"stage": "cost", "ta')  # cut off
    write_page([results], tmp_path)
    assert (tmp_path / "cost.md").read_text() == text


def test_a_graph_is_captured_before_a_loader_has_threads(benchmarks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import common
    import tutorial

    setting, images = common.Setting("nsgan", 32, 4, 8), common.random_images(16, 32)
    ours = [common.OurStep(setting, images, CPU) for _ in range(2)]
    taken: list[list[int]] = []
    given = tutorial.loaded(images, 8, 0, CPU)

    def batches() -> torch.Tensor:
        taken.append([step._taken for step in ours])
        return given()

    loop = tutorial.Loop(setting.spec(), batches, CPU)
    contestants = {"tutorial": common.Contestant(loop.step, strict=False)}
    contestants |= {str(index): common.Contestant(step) for index, step in enumerate(ours)}
    monkeypatch.setattr(common, "PAUSE_SECONDS", 0.0)
    common.take_turns(contestants, CPU, rounds=1, steps=1)
    assert taken[0] == [1, 1]


def test_a_task_that_dies_or_hangs_costs_itself_alone(
    benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    (tmp_path / "tasks.py").write_text(
        "import os, time\n"
        "def listed(*functions):\n    return [({'number': n}, function) for n, function in enumerate(functions)]\n"
        "def works():\n    return {'process': os.getpid()}\n"
        "def several():\n    return [works(), works() | {'process spoilt': 1, 'spoilt': True}]\n"
        "def raises():\n    raise ValueError('no')\n"
        "def lacks():\n    raise NotImplementedError('needs CUDA')\n"
        "dies = lambda options: listed(works, lambda: os._exit(7), works)\n"
        "hangs = lambda options: listed(works, lambda: time.sleep(60), works)\n"
        "fails = lambda options: listed(raises, lacks, works)\n"
        "spoils = lambda options: listed(several, works)\n"
        "def broken(options):\n    os._exit(8)\n"
    )
    stages = {name: gpu.Stage(name, name, "tasks", 0, 0) for name in ("dies", "hangs", "fails", "spoils", "broken")}
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(ROOT / 'benchmarks')!r}, {str(tmp_path)!r}]\n"
        "import gpu\n"
        f"gpu.STAGES = [gpu.Stage(name, name, 'tasks', 0, 0) for name in {list(stages)!r}]\n"
        "gpu.device_works = lambda device: True\n"  # torch takes seconds to import
        "sys.exit(gpu.main())\n"
    )
    monkeypatch.setattr(gpu, "__file__", str(script))
    monkeypatch.setattr(gpu, "STAGES", tuple(stages.values()))
    for name, stage in stages.items():
        until = time.time() + (8.0 if name == "hangs" else 120.0)
        gpu.carry_out(stage, ["--out", str(tmp_path), "--device", "cpu"], tmp_path, until)
    rows = {name: gpu.rows_of(tmp_path / "results.jsonl", name) for name in stages}
    assert [row["number"] for row in rows["dies"] if "number" in row] == [0, 2]
    assert "ended with 7" in rows["dies"][1]["failed"]
    assert [row["number"] for row in rows["hangs"]] == [0]
    assert [row.get("failed", row.get("skipped")) for row in rows["fails"]] == ["ValueError: no", "needs CUDA", None]
    assert [row["task"] for row in rows["spoils"]] == [0, 0, 1]
    processes = [row["process"] for row in rows["spoils"]]
    assert processes[0] == processes[1] != processes[2]
    assert len(rows["broken"]) == gpu.MOST_DEATHS
    ends = {line["stage"]: line for line in gpu.lines_of(tmp_path / "results.jsonl") if "seconds" in line}
    assert {name for name, line in ends.items() if "cut off" in line} == {"hangs", "broken"}
    summary = (tmp_path / "results.md").read_text()
    assert "1 of 3 tasks" in summary
    assert "its time was up" in summary


def test_a_call_of_both_parts_fits_into_ten_minutes_and_each_part_begins_at_once(benchmarks: None) -> None:
    import gpu

    def ends(part: int | None, *only: str) -> dict[str, float]:
        return {stage.name: seconds for stage, seconds in gpu.schedule(part, only)}

    whole, first, second = ends(None), ends(1), ends(2)
    assert list(whole.values()) == sorted(whole.values())
    assert whole["report"] < max(whole.values()) < 600
    assert max(first.values()) == whole["checks"] == 275
    assert first.keys() | second.keys() == whole.keys()
    assert second["start"] == first["start"] == 25
    assert second["example"] - second["start"] == whole["example"] - whole["checks"]
    assert ends(2, "cost") == {"cost": second["cost"]}


def test_packages_that_are_missing_or_too_old_are_named_with_what_downloads_them(
    benchmarks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    assert not gpu.missing()
    there = gpu.distribution

    def distribution(name: str) -> Any:
        if name in ("rich", "torch-fidelity"):
            raise gpu.PackageNotFoundError(name)
        old = {"typing-extensions": "4.5.0", "typing_extensions": "4.5.0", "scipy": "1.12.0"}
        return SimpleNamespace(version=old[name], requires=[]) if name in old else there(name)

    monkeypatch.setattr(gpu, "distribution", distribution)
    lacking = gpu.missing()
    assert {canonicalize_name(one.name) for one in lacking} == {"rich", "torch-fidelity", "typing-extensions", "scipy"}
    first, with_needs, alone, last = gpu.what_to_carry(lacking).splitlines()
    assert "typing-extensions>=" in first
    assert "pip download" in with_needs
    assert "--no-deps" not in with_needs
    assert "'scipy>=1.13'" in with_needs
    assert "--no-deps 'torch-fidelity" in alone
    assert "--wheels" in last


def options_of(folder: Path, *words: str) -> Any:
    import gpu

    options = gpu.parser().parse_args(["--out", str(folder), *words])
    options.until = time.time() + 260
    return options


def test_the_example_follows_what_was_measured_before(benchmarks: None, tmp_path: Path) -> None:
    import gpu_runs

    captures = [
        {"objective": name, "precision": precision, "recipe": "", "captured": True, "agrees": True}
        for name in gpu_runs.EXAMPLE
        for precision in ("fp32", "bf16")
    ]
    known = {"fp32": {}, "bf16": dict.fromkeys(("nsgan", "wgan-gp", "began", "r1"), 0.01), "beside": 10.0}
    options = options_of(tmp_path)
    planned = gpu_runs.plan(captures, known, options)
    # A turn has 0.8 x 248 / 5 = 39.7 s, 29.7 of them for training, which alone takes 29.7 / (1 + 2 x 29.7 / 39.7) =
    # 11.9 s; a step takes 11 ms in the mean.
    assert planned == {"steps": 1000, "precision": "bf16", "engine": "auto"}
    other_recipe = {**captures[1], "recipe": "packing 2", "captured": False, "agrees": False}
    assert gpu_runs.plan([*captures, other_recipe], known, options) == planned
    slower = gpu_runs.plan(captures, {**known, "bf16": dict.fromkeys(known["bf16"], 0.02)}, options)
    assert slower["steps"] == 500
    differs = [{**row, "agrees": row["precision"] == "fp32"} for row in captures]
    assert gpu_runs.plan(differs, known, options)["precision"] == "fp32"
    broken = [{**row, "captured": row["objective"] != "r3gan"} for row in captures]
    assert gpu_runs.plan(broken, known, options)["engine"] == "eager"
    nothing = gpu_runs.plan([], {}, options_of(tmp_path, "--engine", "auto"))
    assert (nothing["precision"], nothing["engine"]) == ("fp32", "auto")


def test_an_archive_that_is_too_large_comes_back_with_what_fits(
    benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu_runs

    monkeypatch.setattr(gpu_runs, "MOST_BYTES", 10_000)
    sizes = {"small.csv": 10, "report.html": 9_000, "large.webp": 20_000}
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, size in sizes.items():
            archive.writestr(name, os.urandom(size))
    row = gpu_runs.brought(tmp_path / "all.zip", tmp_path / "back.zip")
    assert "large.webp" in row["left out"]
    assert (tmp_path / "back.zip").stat().st_size <= 10_000
    with zipfile.ZipFile(tmp_path / "back.zip") as back:
        assert {one.filename: one.file_size for one in back.infolist()} == {"small.csv": 10, "report.html": 9_000}


def test_what_travels_holds_every_image_to_hold_out_and_stays_below_its_size(benchmarks: None, tmp_path: Path) -> None:
    import gpu_pack

    numbers = [*range(1, 2001), *range(162_771, 162_781), *range(182_638, 182_658)]
    with zipfile.ZipFile(tmp_path / "celeba.zip", "w") as archive:
        for number in numbers:
            archive.writestr(f"img_align_celeba/{number:06d}.jpg", bytes(100))
    most = 1700 * (100 + gpu_pack.HEADERS)
    taken = gpu_pack.pack(tmp_path / "celeba.zip", tmp_path / "packed.zip", most)
    assert 0.95 * most < (tmp_path / "packed.zip").stat().st_size <= most
    with zipfile.ZipFile(tmp_path / "packed.zip") as packed:
        found = {int(name[-10:-4]) for name in packed.namelist()}
    assert len(found) == taken
    assert {number for number in numbers if number > 162_770} < found
    with pytest.raises(SystemExit, match="have room"):
        gpu_pack.pack(tmp_path / "celeba.zip", tmp_path / "packed.zip", most // 2)


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
    assert gpu.distribution("carried").version == "1.0"
    assert os.environ["PYTHONPATH"] == os.pathsep.join([str(tmp_path / "site"), "before"])


def rehearsed(folder: Path, *words: str) -> dict[str, list[dict[str, Any]]]:
    """Rehearse a part of the call on the CPU, and return its rows by stage."""
    import gpu

    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", "--quick", "--out", str(folder)]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = gpu.lines_of(folder / "results.jsonl")
    assert not any("cut off" in line for line in lines)
    return {line["stage"]: gpu.rows_of(folder / "results.jsonl", line["stage"]) for line in lines if "seconds" in line}


def test_the_first_part_for_a_gpu_can_be_rehearsed_on_a_cpu(benchmarks: None, tmp_path: Path) -> None:
    rows = rehearsed(tmp_path, "--part", "1")
    assert list(rows) == ["start", "runs", "capture", "steps", "checks"]
    assert [row["exit"] for row in rows["runs"] if "exit" in row] == [143, 0, 0, 0]
    assert rows["runs"][0]["cut off in training"] > 0
    assert [row["state"] for row in rows["runs"] if row["what"] == "bench run, again" and "run" in row] == ["done"] * 2
    assert all(row["agrees"] for row in rows["capture"])
    assert {row["check"] for row in rows["checks"] if "skipped" in row} == {"waiting within iterations"}
    assert all(row["same bytes"] for row in rows["checks"] if "same bytes" in row)
    assert all(row["collectives a step"] for row in rows["checks"] if "backend" in row)


def test_the_second_part_for_a_gpu_can_be_rehearsed_on_a_cpu(benchmarks: None, tmp_path: Path) -> None:
    import gpu
    from gpu_runs import EXAMPLE

    first = tmp_path / "first.jsonl"
    captures = [
        {"objective": name, "precision": "bf16", "recipe": "", "captured": name != "began", "agrees": True}
        for name in EXAMPLE
    ]
    first.write_text("".join(json.dumps({"stage": "capture", "task": 0, **row}) + "\n" for row in captures))
    out = tmp_path / "out"
    rows = rehearsed(out, "--part", "2", "--measured", str(first))
    assert list(rows) == ["start", "example", "report", "cost"]
    assert len(gpu.rows_of(out / "results.jsonl", "capture")) == len(captures)
    (planned,) = (row for row in rows["example"] if "precision" in row)
    assert (planned["precision"], planned["engine"]) == ("bf16", "eager")
    trained = [row for row in rows["example"] if "run" in row]
    assert [(row["state"], row["steps"], row["engine"]) for row in trained] == [("done", 20, "eager")] * 2
    assert {row["moves"] for row in rows["cost"] if "moves" in row} == {"width"}
    with zipfile.ZipFile(out / "gpu-example.zip") as example:
        kept = example.namelist()
    assert any(name.endswith("report.html") for name in kept)
    assert not any(name.endswith(("nearest.png", ".jpg", ".npy")) for name in kept)
    files = sorted(path.name for path in out.iterdir())
    assert files == ["gpu-example-report.zip", "gpu-example.zip", "log.txt", "results.jsonl", "results.md"]
