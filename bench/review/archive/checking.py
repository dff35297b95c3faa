"""`bench verify ARCHIVE`: is it as it was written, and do its numbers hold by themselves?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.review.archive.container import CHANGED, UNSOUND, Archive, Progress, open_archive
from bench.review.archive.members import REPORTS, RUNS, is_weights, plan_member, unexpected
from bench.review.archive.records import check_records
from bench.review.findings import Finding
from bench.review.measuring import Measure, verify_metrics
from bench.review.verify import verify


def verify_archive(
    path: Path, measure: Measure | None = None, progress: Progress = lambda what, done, total: None
) -> list[Finding]:
    """Check an archive's members against its checksums, then its report as `verify` does, with the runs in it.

    With `measure` its snapshots are measured again too. All is unpacked into a temporary folder. Raises BenchError when
    the file is no archive of bench, or a trap.
    """
    with open_archive(path) as archive, tempfile.TemporaryDirectory() as place:
        problems = archive.check(progress)
        findings = [Finding("archive", "FAILS", f"{name} {what}") for name, what in problems.items()]
        if not problems:
            findings = [Finding("archive", "holds", f"{len(archive.names)} files are as they were packed")]
        unsound = check_records(archive, progress, leave_out=problems)
        findings += [Finding("archive", "FAILS", f"{name}: {what}") for name, what in unsound.items()]
        if unsound:  # what no run writes is not made into pages, which may take long
            return findings
        there = [name for name in archive.names if problems.get(name, CHANGED) == CHANGED]
        wanted = [name for name in there if measure is not None or not is_weights(name)]
        archive.extract(wanted, Path(place), progress)
        report, runs_root = Path(place) / REPORTS / archive.study, Path(place) / RUNS
        try:
            if plan_member(archive.study) in there:
                findings += _strangers(archive)
            findings += verify(report, runs_root)
            if measure is not None:
                findings += verify_metrics(report, runs_root, measure)
        except BenchError as error:
            findings.append(Finding("files", "FAILS", error.message))
        except UNSOUND as error:
            findings.append(Finding("files", "FAILS", f"its plan, report or runs cannot be read: {error!r}"))
    return [replace(finding, what=finding.what.replace(f"{place}/", "")) for finding in findings]


def _strangers(archive: Archive) -> list[Finding]:
    """Name what the archive declares and no archive of this study should hold."""
    found = unexpected(archive.names, archive.study, archive.read_json(plan_member(archive.study)))
    return [Finding("archive", "FAILS", f"{name} is no part of the study") for name in found]
