"""The verb that puts samples from elsewhere beside a study's rows."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.hints import command_line
from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE


@click.command("add-samples")
@click.argument("study")
@click.argument("label")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option("--source", default="", help="Who made them and how, for the report.")
@click.option("--seeds", is_flag=True, help="Each of IMAGES is of another training seed of one method.")
@click.option("--images-recipe", default="square", show_default=True, help="How IMAGES are cropped, where files.")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU, else the CPU), cpu, cuda:0, ...")
@click.option("--remove", is_flag=True, help="Take the row away again.")
@json_option
@click.pass_obj
def add_samples(
    roots: Roots,
    /,
    study: str,
    label: str,
    images: tuple[Path, ...],
    source: str,
    seeds: bool,
    images_recipe: str,
    device: str,
    remove: bool,
    as_json: bool,
) -> int:
    """Show images that were made elsewhere beside a study's rows.

    Each of IMAGES, a folder, zip, .npz, .npy or parquet file, is measured as a run of STUDY is, and stands in its
    report as the external row LABEL: marked, and in no rank or verdict, since nothing of it was trained here.
    """
    from bench.cli.console import progress_bar
    from bench.config.models import LABEL
    from bench.errors import BenchError
    from bench.evaluation.measuring import device_named
    from bench.execution.external import add_samples as add
    from bench.files import read_json
    from bench.runs.extras import external_file

    file = external_file(roots.runs / study, label)
    was_there = LABEL.fullmatch(label) is not None and file.is_file()  # a label is no path
    if remove:
        if not was_there:
            raise BenchError(f"Study {study} has no external row {label}", hint=f"Its rows lie in {file.parent}.")
        file.unlink()
        if as_json:
            print_json({"did": "removed", "file": str(file), "row": None})
            return EXIT_DONE
        say(f"Took away {label}. Next: {command_line('report', '--study', study)}    leaves it out")
        return EXIT_DONE
    if not images:
        raise BenchError("Which images?", hint="Name a folder, a zip, a .npz, .npy or parquet file.")
    with progress_bar() as progress:
        add(
            roots.read_config().study(study),
            label,
            images,
            roots.runs,
            roots.data,
            device_named(device),
            source=source,
            seeds=seeds,
            recipe=images_recipe,
            progress=progress,
        )
    if as_json:
        print_json({"did": "replaced" if was_there else "added", "file": str(file), "row": read_json(file)})
        return EXIT_DONE
    say(f"{'Replaced' if was_there else 'Wrote'} {file}.")
    say(f"Next: {command_line('report', '--study', study)}    shows it")
    return EXIT_DONE
