"""The verbs that handle images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.cli.shared import Roots, json_option, study_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE


@click.group()
def data() -> None:
    """Prepare images for training."""


@data.command("prepare")
@study_option
@click.option("--images", metavar="PATH", help="Where the study's images lie, in place of data.path.")
@click.option("--download", is_flag=True, help="Try to download CelebA first (Google often refuses it).")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that decode images [one per core].")
@json_option
@click.pass_obj
def prepare_command(
    roots: Roots, study: str | None, images: str | None, download: bool, workers: int | None, as_json: bool
) -> int:
    """Turn a study's images into one array of bytes, once. An interrupted call continues where it was."""
    from bench.cli.console import Console, counting_bar
    from bench.data import prepare

    request = roots.read_study(study, images=images).data
    if download and request.source == "celeba":
        from bench.data.readers.celeba import download as fetch

        fetch(Path(request.path or roots.data / "celeba"))
    with counting_bar(Console(stderr=as_json)) as progress:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done, total=total or None)

        prepared = prepare(request, roots.data, report, workers)
    parts = (prepared.train, prepared.heldout)
    if as_json:
        print_json(
            [
                {"split": part.manifest["split"], "count": part.count, "sha256": part.sha256, "path": str(part.path)}
                | ({"input": part.manifest["input"]} if part.input_kind else {})
                for part in parts
            ]
        )
        return EXIT_DONE
    for part in parts:
        paired = f" with inputs ({part.input_kind})" if part.input_kind else ""
        say(f"{part.manifest['split']:6} {part.count:,} images{paired}, SHA-256 {part.sha256[:16]}, in {part.path}")
    return EXIT_DONE
