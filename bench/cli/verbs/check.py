"""The verb that checks objectives, and other files of one's own, against their contracts."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli import completing
from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED, BenchError
from bench.formatting import format_duration

if TYPE_CHECKING:
    from bench.validation.contract.ranks import Certificate


@click.command()
@click.argument("objectives", nargs=-1, metavar="[OBJECTIVE]...", shell_complete=completing.objectives)
@click.option("--verbose", "-v", is_flag=True, help="Show every check, not only those that fail.")
@click.option(
    "--ranks",
    type=click.IntRange(2, 16),
    help="Also train over this many processes: gradients and weights must equal those of one.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The weights that an extractor's file takes [those that bench.toml names for it].",
)
@json_option
@click.pass_obj
def check(
    roots: Roots, objectives: tuple[str, ...], verbose: bool, ranks: int | None, weights: Path | None, as_json: bool
) -> int:
    """Check that objectives, or files of your own, meet their contract.

    The contract is about names and arguments, which way each loss pulls, golden numbers, gradients, batches, precision
    and training. OBJECTIVE is a name, or the path of your own file, which may hold an extractor, a metric or a data set
    too (each has a contract of its own); none means all of the package's. Each failure comes with what to do about it,
    causes first, and makes the exit code 1.
    """
    from bench.objectives import names, source_file

    for name in objectives:
        source_file(name)  # raises for a wrong name before minutes are spent on the names before it
    import torch

    from bench.validation.contract import check_objective
    from bench.validation.contract.own_files import check_own, kind_of

    torch.set_num_threads(1)  # the networks are so small that more threads slow them down
    began = time.perf_counter()
    reports = []
    for name in objectives or names():
        own = name.endswith(".py") and kind_of(source_file(name)) != "objective"
        if own and ranks:
            raise BenchError(f"{name} holds no objective: --ranks is about training one", hint="Leave --ranks out.")
        if weights and not (own and kind_of(source_file(name)) == "extractor"):
            raise BenchError(f"{name} is no extractor's file: --weights is for one", hint="Leave --weights out.")
        if own:
            report = check_own(source_file(name), weights or _declared_weights(roots, source_file(name)))
        else:
            report = check_objective(name)
        reports.append(report)
        if not as_json:
            say(report.text(verbose=verbose))
    certificates = _certify(objectives or tuple(names()), ranks, quiet=as_json) if ranks else []
    differing = {report.name for report, one in zip(reports, certificates, strict=False) if not one.holds}
    failed = [report.name for report in reports if not report.passed or report.name in differing]
    if as_json:
        results: list[dict[str, Any]] = [report.as_json() for report in reports]
        for result, one in zip(results, certificates, strict=False):
            result["ranks"] = {"holds": one.holds, **asdict(one)}
        print_json(results)
    elif len(reports) > 1:
        many, took = len(reports), format_duration(time.perf_counter() - began)
        verdict = f"{len(failed)} of {many} objectives do not meet the contract: {', '.join(failed)}"
        say(f"\n{verdict if failed else f'{many} objectives meet the contract'} ({took}).")
    return EXIT_RUNS_FAILED if failed else EXIT_DONE


def _declared_weights(roots: Roots, file: Path) -> Path | None:
    """Return the weights that the file of studies names for an extractor's file; None where it names none."""
    declared = (own for own in roots.own_extractors().values() if own.file and Path(own.file).resolve() == file)
    return next((Path(own.weights) for own in declared if own.weights), None)


def _certify(objectives: tuple[str, ...], ranks: int, *, quiet: bool) -> list[Certificate]:
    """Train each objective over several processes; return, and print, how far the results are from one process's."""
    from bench.validation.contract.ranks import certify

    certificates = certify(objectives, (ranks,))
    for one in certificates:
        if not quiet:
            verdict = "agree" if one.holds else "DIFFER: does the loss ask which process it is in?"
            say(
                f"{one.objective}  over {ranks} ranks, {one.steps} steps: gradients within {one.gradients:.0e}, "
                f"weights within {one.weights:.0e}: {verdict}"
            )
    return certificates
