"""What was added to a study by hand: objectives' files, and seeds of single rows.

bench.toml alone defines a study. `bench run ./mine.py` and `bench run vae --seeds 7` add to it, in
runs/<study>/added.json. Every later command sees the study with these rows, until `bench remove` takes them out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from bench.config.models import LABEL, Entry, Protocol
from bench.config.recipe import Table
from bench.errors import BenchError
from bench.files import disk_error, read_json, write_record
from bench.objectives import label_of_file
from bench.runs.folder import PLAN_FILE, SCHEMA, check_schema

ADDED_FILE = "added.json"


class AddedSeeds(Table):
    """Seeds of one row beyond the study's."""

    label: str
    protocol: Protocol
    seeds: tuple[int, ...]


class Additions(Table):
    """What was added to a study: objectives' files (absolute paths), and seeds by row."""

    files: tuple[str, ...] = ()
    seeds: tuple[AddedSeeds, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.seeds)

    @property
    def labels(self) -> list[str]:
        """Return the labels under which something was added."""
        return list(dict.fromkeys([*map(label_of_file, self.files), *(row.label for row in self.seeds)]))

    def seeds_of(self, label: str, protocol: str) -> tuple[int, ...]:
        """Return the seeds that were added to a row."""
        found = (row.seeds for row in self.seeds if (row.label, row.protocol) == (label, protocol))
        return next(found, ())

    def entries(self, taken: Collection[str]) -> list[Entry]:
        """Return an entry for each file. Raises BenchError where `taken`, the study's own labels, has its label."""
        entries: dict[str, Entry] = {}
        for file in self.files:
            label = label_of_file(file)
            if not LABEL.fullmatch(label):
                raise BenchError(f"{file}: a label is made of letters, digits and . _ @ + -", hint="Rename the file.")
            if label in taken or label in entries:
                if label in taken:  # `bench remove` takes out only what was added
                    other, way = "a row of the study", "give that row a label of its own in bench.toml"
                else:
                    other = f"the label of {entries[label].objective} too"
                    way = f"take the other one out: `bench remove {label}`"
                raise BenchError(
                    f'{file} would be the row "{label}", which is {other}', hint=f"Rename the file, or {way}."
                )
            entries[label] = Entry(objective=file, label=label)
        return list(entries.values())

    def joined(self, other: Additions) -> Additions:
        """Return both together."""
        rows = dict.fromkeys((row.label, row.protocol) for row in (*self.seeds, *other.seeds))
        seeds = {row: sorted({*self.seeds_of(*row), *other.seeds_of(*row)}) for row in rows}
        return Additions(
            files=tuple(dict.fromkeys((*self.files, *other.files))),
            seeds=tuple(
                AddedSeeds(label=label, protocol=protocol, seeds=tuple(those))
                for (label, protocol), those in seeds.items()
            ),
        )

    def beyond(self, other: Additions) -> Iterator[str]:
        """Return what this holds and `other` does not, in words."""
        yield from (f"{label_of_file(file)} ({file})" for file in self.files if file not in other.files)
        for row in self.seeds:
            more = sorted({*row.seeds} - {*other.seeds_of(row.label, row.protocol)})
            if more:
                yield f"{row.label}-{row.protocol}, seed{'s' if len(more) > 1 else ''} {', '.join(map(str, more))}"

    def without(self, patterns: Sequence[str], seeds: Collection[int] | None = None) -> Additions:
        """Return what stays when `patterns` (labels or globs) are taken out, or only `seeds` of them."""
        files = [file for file in self.files if seeds is not None or not _names(patterns, label_of_file(file))]
        gone = {label_of_file(file) for file in self.files if file not in files}
        rows = []
        for row in self.seeds:
            named = _names(patterns, row.label) or _is_of(row.label, gone)
            left = tuple(seed for seed in row.seeds if not named or (seeds is not None and seed not in seeds))
            rows += [row.model_copy(update={"seeds": left})] if left else []
        return Additions(files=tuple(files), seeds=tuple(rows))


def read_additions(runs_root: Path, study: str) -> Additions:
    """Read runs/<study>/added.json; nothing was added where there is none. Raises BenchError when it is damaged."""
    path = runs_root / study / ADDED_FILE
    if not path.is_file():
        return Additions()
    values = read_json(path)
    check_schema(values, path)
    try:
        added = Additions.model_validate_json(json.dumps({key: values.get(key, []) for key in ("files", "seeds")}))
    except ValidationError as error:
        raise BenchError(f"{path} cannot be read: {error.errors()[0]['msg']}", hint="Move it away.") from error
    files = (os.path.normpath(path.parent.resolve() / file) for file in added.files)
    return added.model_copy(update={"files": tuple(files)})


def write_additions(runs_root: Path, study: str, added: Additions) -> None:
    """Write runs/<study>/added.json. Paths are relative to it, so that a project can be moved with its runs."""
    path = runs_root / study / ADDED_FILE
    if added == read_additions(runs_root, study):
        return
    if not added:
        path.unlink(missing_ok=True)
        return
    values = added.model_dump(mode="json")
    write_record(path, {"schema": SCHEMA, **values, "files": [_relative(file, path.parent) for file in added.files]})


@contextmanager
def study_locked(runs_root: Path, study: str) -> Iterator[None]:
    """Hold the study's lock while plan.json and added.json are read, changed and written."""
    folder = runs_root / study
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()
    except OSError as error:
        raise disk_error(folder / ".lock", error) from error
    try:
        yield
    finally:
        lock.release()


def take_out(runs_root: Path, study: str, patterns: Sequence[str], seeds: Collection[int] | None) -> list[str]:
    """Take what was added under these labels out of the study, and return it in words.

    The runs stay in their folders, where `bench clean` finds them. Raises BenchError where nothing of that was added.
    """
    if not (runs_root / study).is_dir():
        raise BenchError(f'Study "{study}" has no runs in {runs_root}', hint="`bench list studies` shows the studies.")
    with study_locked(runs_root, study):
        added = read_additions(runs_root, study)
        left = added.without(patterns, seeds)
        unknown = [pattern for pattern in patterns if added.without([pattern], seeds) == added]
        if unknown:
            there = ", ".join(added.labels)
            raise BenchError(
                f'Nothing{" of these seeds" if seeds else ""} was added to study "{study}" as {", ".join(unknown)}',
                hint=f"Added by hand: {there}." if there else "Rows of bench.toml are taken out in that file.",
            )
        write_additions(runs_root, study, left)
        plan_file = runs_root / study / PLAN_FILE
        if plan_file.is_file():
            write_record(plan_file, _plan_without(read_json(plan_file), added, left))
    return list(added.beyond(left))


def _plan_without(plan: Mapping[str, Any], before: Additions, after: Additions) -> dict[str, Any]:
    """Return a plan.json without what is in `before` and not in `after`. Needs neither bench.toml nor the files."""
    gone = {label_of_file(file) for file in before.files} - {label_of_file(file) for file in after.files}

    def stays(run: Mapping[str, Any]) -> bool:
        return not run.get("added") or run["seed"] in after.seeds_of(run["label"], run["protocol"])

    entries = [entry for entry in plan["entries"] if not (entry.get("added") and _is_of(entry["label"], gone))]
    rows = {(entry["label"], entry["protocol"]) for entry in entries}
    runs = [run for run in plan["runs"] if (run["label"], run["protocol"]) in rows and stays(run)]
    return {
        **plan,
        "protocols": sorted({entry["protocol"] for entry in entries}),
        "entries": entries,
        "runs": runs,
    }


def _names(patterns: Sequence[str], label: str) -> bool:
    return any(fnmatchcase(label, pattern) for pattern in patterns)


def _is_of(label: str, of: Collection[str]) -> bool:
    """Tell whether a row is one of these labels, or one of their rows by learning rate (`mine@0.001`)."""
    return label in of or any(label.startswith(f"{one}@") for one in of)


def _relative(file: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return file
