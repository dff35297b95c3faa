"""An order: a folder that holds what was submitted to a cluster, and what its pieces say of themselves.

    runs/<study>/orders/<id>/
        order.json        what was ordered, written before anything is submitted
        began-<n>.json    the newest turn of piece n: its number, and the node
        ended-<n>.json    how piece n's newest ended turn went
        stop-<n>          `bench stop` ended piece n
        piece-<n>.log     what it printed

The cluster knows an order by its id, which is its jobs' name: nothing that a cluster answers has to be kept.
"""

from __future__ import annotations

import datetime
import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from bench.config.clusters import ClusterSettings
from bench.config.recipe import Table
from bench.errors import BenchError
from bench.files import read_json, write_atomic, write_record
from bench.processes import package_root

ORDERS = "orders"


class Order(Table):
    """What was submitted to a cluster at once.

    runs, data   the folders of runs and of data, absolute
    pieces       the runs of each piece, by their folder below their study's; none: a probe, for `bench doctor`
    code         the hash of the training code that ordered; other code refuses
    python       the interpreter that pieces start, and below `root` the package that it imports
    """

    id: str
    study: str
    on: str
    cluster: ClusterSettings
    runs: str
    data: str
    pieces: tuple[tuple[str, ...], ...]
    threads: int
    ranks: int
    code: str
    python: str = sys.executable
    root: str | None = Field(default_factory=package_root)

    @property
    def folder(self) -> Path:
        return Path(self.runs) / self.study / ORDERS / self.id

    @property
    def file(self) -> Path:
        return self.folder / "order.json"

    def gpus(self) -> int:
        """Return how many GPUs a piece takes: at least one for each rank of a run."""
        return max(self.cluster.gpus, self.ranks) if self.cluster.gpus else 0

    def slots(self) -> list[str]:
        """Return the slots of a piece for the pool, by names that hold inside of what the cluster gives it."""
        if not self.gpus():
            return [",".join(["cpu"] * self.ranks)] * self.cluster.per_device
        names = [f"cuda:{index}" for index in range(self.gpus())]
        groups = [",".join(names[at : at + self.ranks]) for at in range(0, len(names) - self.ranks + 1, self.ranks)]
        return groups * self.cluster.per_device

    def cpus(self) -> int:
        """Return how many cores a piece takes: what its runs at a time keep busy, and one for the pool."""
        runs = min(len(self.slots()), max(map(len, self.pieces), default=1))
        return self.cluster.cpus or self.threads * self.ranks * max(runs, 1) + 1

    def command(self, piece: str) -> list[str]:
        """Return what runs a piece; `piece` may be a variable of the shell."""
        path = [f"PYTHONPATH={self.root}"] if self.root else []
        return [
            "env",
            "PYTHONSAFEPATH=1",
            *path,
            self.python,
            "-P",
            "-m",
            "bench.execution.piece",
            str(self.file),
            piece,
        ]

    def write(self) -> None:
        write_record(self.file, self.model_dump(mode="json"))

    @classmethod
    def read(cls, file: Path) -> Order:
        """Read an order.json. Raises BenchError where it is damaged or another version's."""
        try:
            return cls.model_validate_json(json.dumps(read_json(file)))
        except ValidationError as error:
            raise BenchError(
                f"{file} cannot be read: it is damaged, or another version wrote it",
                hint="Use that version, or move the order's folder away.",
            ) from error

    def began(self, piece: int) -> Turn | None:
        file = self.folder / f"began-{piece}.json"
        return Turn(**read_json(file)) if file.exists() else None

    def ended(self, piece: int) -> Ended | None:
        file = self.folder / f"ended-{piece}.json"
        return Ended(**read_json(file)) if file.exists() else None

    def note_began(self, piece: int, turn: Turn) -> None:
        write_record(self.folder / f"began-{piece}.json", asdict(turn))

    def note_ended(self, piece: int, ended: Ended) -> None:
        write_record(self.folder / f"ended-{piece}.json", asdict(ended))

    def is_stopped(self, piece: int) -> bool:
        return (self.folder / f"stop-{piece}").exists()

    def note_stopped(self, piece: int) -> None:
        write_atomic(self.folder / f"stop-{piece}", "")


@dataclass(frozen=True)
class Turn:
    """One turn of a piece on a node: the first, or another after it was queued again. `at` is when it began, in UTC."""

    turn: int
    node: str
    at: str


@dataclass(frozen=True)
class Ended:
    """How a turn of a piece ended.

    `through`: nothing of it is left to do. `refused` says why nothing was begun. `idle` counts the turns in a row that
    brought nothing; `runs` are the outcome and the reason of each run.
    """

    turn: int
    through: bool
    refused: str | None = None
    idle: int = 0
    runs: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)


def order_id(study: str) -> str:
    """Return a new order's name."""
    now = datetime.datetime.now().strftime("%m%d-%H%M%S")
    return f"bench-{study}-{now}-{secrets.token_hex(2)}"


def orders_of(runs_root: Path, study: str) -> Iterator[Order]:
    """Yield a study's orders, oldest first. Those of a folder that was copied here are another machine's."""
    for file in sorted((runs_root / study / ORDERS).glob("*/order.json"), key=lambda file: file.stat().st_mtime):
        order = Order.read(file)
        if order.file.exists() and order.file.samefile(file):
            yield order
