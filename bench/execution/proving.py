"""Which finished runs of other code the present code would train alike: by their rows' fingerprints."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.execution.devices import available_devices, device_type
from bench.execution.running import folder_of, state_of
from bench.files import read_json
from bench.processes import python_command, python_environment
from bench.runs.plan import RunSpec
from bench.runs.portable import imported_from

Verdict = Literal["proved", "differs", "another machine", "no fingerprint", "failed"]


@dataclass(frozen=True)
class Proof:
    """What was found of one stale run.

    `proved`: the present code gives the same bits, and the run now counts as one of it. `differs`: it gives others.
    `failed`: the present code could not repeat the fingerprint, and `reason` says why.
    """

    run: RunSpec
    verdict: Verdict
    reason: str = ""


class _RepeatError(Exception):
    """A row's compressed run failed."""


def prove(
    runs: Sequence[RunSpec], runs_root: Path, data_root: Path, tell: Callable[[str], None] = lambda text: None
) -> list[Proof]:
    """Repeat the fingerprint of each of these stale runs' rows, once per row, and accept the runs that it proves.

    Needs the study's images prepared.
    """
    from bench.training.fingerprint import row_key  # imports torch

    rows: defaultdict[str, list[RunSpec]] = defaultdict(list)
    proofs = []
    for run in runs:
        folder = folder_of(run, runs_root)
        if imported_from(folder.path) is not None:
            continue  # its fingerprint is what whoever sent it wrote there
        if folder.fingerprint_file.exists():
            rows[row_key(run.training)].append(run)
        else:
            proofs.append(Proof(run, "no fingerprint"))
    for members in rows.values():
        tell(f"{members[0].label}-{members[0].protocol}: repeating its fingerprint")
        proofs += _prove_row(members, runs_root, data_root)
    return proofs


def accept(runs: Sequence[RunSpec], runs_root: Path) -> list[RunSpec]:
    """Accept the stale ones of `runs` by name: whoever says so answers for it. Returns them."""
    found = stale(runs, runs_root)
    for run in found:
        folder_of(run, runs_root).accept_code(run.code, by="name")
    return found


def stale(runs: Sequence[RunSpec], runs_root: Path) -> list[RunSpec]:
    """Return the runs that other code trained: other images are no matter of code."""
    return [run for run in runs if state_of(run, runs_root) == "stale"]


def _prove_row(members: list[RunSpec], runs_root: Path, data_root: Path) -> list[Proof]:
    recorded = {run.id: read_json(folder_of(run, runs_root).fingerprint_file) for run in members}
    here: dict[str, str] = {}  # machine to weights
    version = None
    try:
        for device in _devices_of(members, runs_root):
            measured = _measure(members[0], runs_root, data_root, device)
            here[measured["machine"]], version = measured["weights"], measured["version"]
    except _RepeatError as error:
        return [Proof(run, "failed", str(error)) for run in members]
    proofs = []
    for run in members:
        folder, was = folder_of(run, runs_root), recorded[run.id]
        verdict: Verdict = "another machine"
        if was["version"] != version:
            verdict = "no fingerprint"
        elif was["machine"] in here:
            verdict = "proved" if here[was["machine"]] == was["weights"] else "differs"
        if verdict == "proved":
            folder.accept_code(run.code, by="fingerprint")
        proofs.append(Proof(run, verdict))
    return proofs


def _devices_of(members: list[RunSpec], runs_root: Path) -> list[str]:
    """Return a device here of each type that the runs were trained on."""
    types = {
        str(read_json(folder_of(run, runs_root).environment_file).get("device_type", "cpu"))
        for run in members
        if folder_of(run, runs_root).environment_file.exists()
    }
    present = {"cpu": "cpu"} | {device_type(device.name): device.name for device in reversed(available_devices())}
    return [present[name] for name in sorted(types) if name in present]


def _measure(run: RunSpec, runs_root: Path, data_root: Path, device: str) -> dict[str, Any]:
    """Take the fingerprint in a process of its own, whose settings decide bits."""
    spec_file = folder_of(run, runs_root).spec_file
    command = python_command("bench.training.fingerprint", "--spec", str(spec_file))
    done = subprocess.run(
        [*command, "--data", str(data_root), "--device", device],
        capture_output=True,
        text=True,
        check=False,
        env=python_environment(),
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise _RepeatError(last[0])
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured
