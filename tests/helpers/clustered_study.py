"""A tiny study in a folder of its own, whose runs take as long as a test wants, and `bench` typed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.tiny_study import write_tiny_study

from bench.clusters.orders import Order
from bench.files import read_jsonl
from bench.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
# Sleeps in each step for as long as a file says: the bits do not depend on it.
PAUSED = """
import os, time
from pathlib import Path
from bench.objectives.nsgan import NonSaturating


class Paused(NonSaturating):
    def discriminator_loss(self, D, real, fake, step):
        if "BENCH_TEST_PAUSE" in os.environ:
            time.sleep(float(Path(os.environ["BENCH_TEST_PAUSE"]).read_text() or 0))
        return super().discriminator_loss(D, real, fake, step)
"""


@dataclass
class Place:
    """A folder with bench.toml; `cluster` are the keys of [cluster.here]."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def write(self, cluster: Mapping[str, Any], **changes: Any) -> Place:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "paused.py").write_text(PAUSED)
        self.pause(0)
        own = {} if "objectives" in changes else {"objectives": ["./paused.py"], "baseline": "paused"}
        file = write_tiny_study(self.folder, **own, **changes)
        keys = {"gpus": 0, "cpus": 1, "checkpoint_seconds": 60, "status_seconds": 0.2, **cluster}
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        file.write_text(file.read_text() + "\n[cluster.here]\n" + "\n".join(lines) + "\n")
        return self

    def pause(self, seconds: float) -> None:
        """Let each step of a run sleep so long, of those that go too."""
        file = self.folder / "pause"
        file.with_suffix(".new").write_text(str(seconds))
        file.with_suffix(".new").replace(file)

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            **self.environment,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "BENCH_TEST_PAUSE": str(self.folder / "pause"),
            "COLUMNS": "200",
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "bench", *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def bench(self, *words: str, code: int = 0) -> str:
        """Type `bench ...`; returns what it prints, to stdout where it succeeds."""
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, out + err
        assert "Traceback" not in err, err
        return out if code == 0 else out + err

    def json(self, *words: str, code: int = 0) -> Any:
        process = self.start(*words, "--json")
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, out + err
        return json.loads(out)

    def runs(self) -> list[RunFolder]:
        return [RunFolder(path) for path in sorted((self.folder / "runs" / "tiny").glob("*/seed-*"))]

    def orders(self) -> list[Order]:
        return [Order.read(file) for file in sorted((self.folder / "runs" / "tiny" / "orders").glob("*/order.json"))]


def result_of(folder: RunFolder) -> tuple[list[Any], list[bytes]]:
    """Return a run's log without its times, and its snapshots' bytes."""
    log = [{k: v for k, v in line.items() if k != "device_seconds"} for line in read_jsonl(folder.log_file)]
    return log, [folder.snapshot_file(step).read_bytes() for step in folder.snapshot_steps()]


def place_at(folder: Path, images: Path, environment: Mapping[str, str] | None = None) -> Place:
    """Return a place whose prepared images and features lie in `images`."""
    folder.mkdir()
    (folder / "data").symlink_to(images)
    return Place(folder, environment or {})


def steps(place: Place, run: int = 0) -> int:
    """Return how far a run is, by its status."""
    folders = place.runs()
    return folders[run].status().generator_steps if len(folders) > run else 0


def uninterrupted(root: Path, images: Path, **changes: Any) -> list[Any]:
    """Return the results of the same study, run on this machine."""
    here = place_at(root / "here", images).write({}, **changes)
    here.bench("run", "--all", "--devices", "cpu")
    return [result_of(folder) for folder in here.runs()]
