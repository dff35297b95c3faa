"""A Ray cluster on this machine, with a token: `python -m helpers.ray_cluster`, a head without cores and two nodes.

It prints its address, then does what its input says, a line each: "remove 0" kills a node, "add" starts one. It ends
when its input does.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STORE = 80_000_000  # bytes, the least that Ray takes


def why_not() -> str | None:
    """Return why there can be no Ray here; None where there can."""
    return None if importlib.util.find_spec("ray") else "Ray is not installed (pip install 'ganbench[ray]')"


class RayCluster:
    """The cluster that a process of this file has, from `start` to `end`; `environment` is what commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(folder),  # short: names of sockets below it may have 107 characters
        }

    def start(self) -> None:
        environment = {**os.environ, **self.environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        with (self.folder / "cluster.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "helpers.ray_cluster"],
                env=environment | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.address = self._answer()

    def do(self, words: str) -> str:
        assert self._process.stdin is not None
        print(words, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        self._process.communicate(timeout=60)  # closes both

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise AssertionError((self.folder / "cluster.log").read_text())


def main() -> None:
    from ray.cluster_utils import Cluster

    here = {"object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args={**here, "num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=2, num_gpus=1, **here) for _ in range(2)]
    print("answer", cluster.address, flush=True)
    for line in sys.stdin:
        what, *which = line.split()
        if what == "remove":
            cluster.remove_node(nodes[int(which[0])], allow_graceful=False)
        else:
            nodes.append(cluster.add_node(num_cpus=2, num_gpus=1, **here))
        print("answer", what, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
