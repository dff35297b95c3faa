"""The verbs for those who write objectives: check one against the contract, start a new one."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.shared import json_option, print_json
from bench.errors import EXIT_DONE, EXIT_RUNS_FAILED
from bench.formatting import duration

if TYPE_CHECKING:
    from bench.validation.contract.ranks import Certificate


@click.command()
@click.argument("objectives", nargs=-1, metavar="[OBJECTIVE]...")
@click.option("--verbose", "-v", is_flag=True, help="Show every check, not only those that fail.")
@click.option(
    "--ranks",
    type=click.IntRange(2, 16),
    help="Also train over so many processes: gradients and weights must be those of one.",
)
@json_option
def check(objectives: tuple[str, ...], verbose: bool, ranks: int | None, as_json: bool) -> int:
    """Check objectives against the contract: golden numbers, gradients, batches, precision, training.

    OBJECTIVE is a name, or the path of your own file; none means all of the package's. What fails is told with what to
    do about it, and the exit code is then 1.
    """
    from bench.objectives import names, source_file

    for name in objectives:
        source_file(name)  # a wrong name is told before anything is checked
    import torch

    from bench.validation.contract import check_objective

    torch.set_num_threads(1)  # the networks are too small to share out
    began = time.perf_counter()
    reports = []
    for name in objectives or names():
        report = check_objective(name)
        reports.append(report)
        if not as_json:
            click.echo(report.text(verbose=verbose))
    certificates = _certify(objectives or tuple(names()), ranks, quiet=as_json) if ranks else []
    differing = {report.name for report, one in zip(reports, certificates, strict=False) if not one.holds}
    failed = [report.name for report in reports if not report.passed or report.name in differing]
    if as_json:
        found: list[dict[str, Any]] = [report.as_json() for report in reports]
        for told, one in zip(found, certificates, strict=False):
            told["ranks"] = {"holds": one.holds, **asdict(one)}
        print_json(found)
    elif len(reports) > 1:
        many, took = len(reports), duration(time.perf_counter() - began)
        verdict = f"{len(failed)} of {many} objectives do not meet the contract: {', '.join(failed)}"
        click.echo(f"\n{verdict if failed else f'{many} objectives meet the contract'} ({took}).")
    return EXIT_RUNS_FAILED if failed else EXIT_DONE


def _certify(objectives: tuple[str, ...], ranks: int, *, quiet: bool) -> list[Certificate]:
    """Train each objective over several processes; return and tell how far they are from one."""
    from bench.validation.contract.ranks import certify

    certificates = certify(objectives, (ranks,))
    for one in certificates:
        if not quiet:
            verdict = "agree" if one.holds else "DIFFER: does the loss ask which process it is in?"
            click.echo(
                f"{one.objective}  over {ranks} ranks, {one.steps} steps: gradients within {one.gradients:.0e}, "
                f"weights within {one.weights:.0e}: {verdict}"
            )
    return certificates


@click.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to write it [the current folder].",
)
def new(name: str, directory: Path) -> int:
    """Write an objective to start from, and its test: my_objective.py for the NAME my-objective."""
    from bench.cli.scaffold import write_objective

    file, test = write_objective(name, directory)
    path = str(file) if file.is_absolute() else os.path.join(os.curdir, file)  # noqa: PTH118 - Path drops the ./
    click.echo(f"Wrote {file} (a hinge loss to change) and {test}.")
    click.echo(f"Next: bench check {path}    does it meet the contract?")
    click.echo(f"      bench run {path}      train it beside the study's other rows")
    return EXIT_DONE
