"""What the shell completes: studies, rows, runs and objectives. Errors complete nothing; torch is never imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from bench.errors import BenchError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(known: Callable[[click.Context], Iterable[str]]) -> Complete:
    """Return a completion out of what `known` returns for a command line. Paths are left to the shell."""

    @wraps(known)
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if (incomplete.startswith(".") or "/" in incomplete) and parameter.name in ("names", "objectives"):
            return [CompletionItem(incomplete, type="file")]
        try:
            return [CompletionItem(name) for name in known(context) if name.startswith(incomplete)]
        except (BenchError, OSError, LookupError, TypeError):
            return []

    return complete


@_completing
def studies(context: click.Context) -> Iterable[str]:
    """Return the studies of the file, and those that have runs."""
    return dict.fromkeys([*_config(context).studies, *_with_runs(context)])


@_completing
def studies_with_runs(context: click.Context) -> Iterable[str]:
    """Return the studies that have runs."""
    return _with_runs(context)


@_completing
def labels(context: click.Context) -> Iterable[str]:
    """Return the labels of the study's rows, those that were added by hand too."""
    from bench.config.models import expanded_entries

    study = _config(context).study(context.params.get("study"))
    there = (_runs(context) / study.name / "plan.json").is_file()
    planned = [entry["label"] for entry in _plan(context)["entries"]] if there else []
    return dict.fromkeys([*(entry.label for entry in expanded_entries(study)), *planned])


@_completing
def runs(context: click.Context) -> Iterable[str]:
    """Return the study's runs as label/seed; with the protocol where two runs share these."""
    short = [(f"{run['label']}/{run['seed']}", run) for run in _plan(context)["runs"]]
    names = [name for name, _ in short]
    return [
        name if names.count(name) == 1 else f"{run['label']}-{run['protocol']}/{run['seed']}" for name, run in short
    ]


@_completing
def claims(context: click.Context) -> Iterable[str]:
    """Return the claims of the file."""
    from bench.config.reading import load_claims

    return [claim.id for claim in load_claims(_options(context).get("config")).claims]


@_completing
def objectives(context: click.Context) -> Iterable[str]:
    """Return the package's objectives."""
    from bench.objectives import names

    return names()


def _options(context: click.Context) -> dict[str, Any]:
    return context.find_root().params


def _runs(context: click.Context) -> Path:
    return Path(_options(context).get("runs") or "runs")


def _with_runs(context: click.Context) -> list[str]:
    return sorted(path.parent.name for path in _runs(context).glob("*/plan.json"))


def _config(context: click.Context) -> Any:
    from bench.config.reading import load_config

    return load_config(_options(context).get("config"))


def _plan(context: click.Context) -> dict[str, Any]:
    from bench.runs.folder import read_plan

    study = context.params.get("study")
    return read_plan(_runs(context), study if study is not None else _config(context).default_study)
