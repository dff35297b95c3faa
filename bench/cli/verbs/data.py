"""The verbs that handle images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.shared import Roots, study_option
from bench.cli.text import say
from bench.errors import EXIT_DONE


@click.group()
def data() -> None:
    """Prepare images for training."""


@data.command("prepare")
@study_option
@click.option("--images", metavar="PATH", help="Where the study's images lie, in place of data.path.")
@click.option(
    "--download", is_flag=True, help="Try to download CelebA first (Google often refuses; the README names other ways)."
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes that decode images [one per core].")
@click.pass_obj
def prepare_command(roots: Roots, study: str | None, images: str | None, download: bool, workers: int | None) -> int:
    """Turn a study's images into one array of bytes, once. An interrupted call continues where it was."""
    from bench.cli.console import Console, counting_bar
    from bench.data import prepare

    overrides: dict[str, Any] = {"data": {"path": images}} if images is not None else {}
    request = roots.read_study(study, overrides).data
    if download and request.source == "celeba":
        from bench.data.readers.celeba import download as fetch

        fetch(Path(request.path or roots.data / "celeba"))
    with counting_bar(Console()) as progress:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done, total=total or None)

        prepared = prepare(request, roots.data, report, workers)
    for part in (prepared.train, prepared.heldout):
        say(f"{part.manifest['split']:6} {part.count:,} images, SHA-256 {part.sha256[:16]}, in {part.path}")
    return EXIT_DONE
