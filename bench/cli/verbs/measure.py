"""The verb that measures any images."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.shared import Roots, json_option
from bench.cli.text import print_json, say
from bench.errors import EXIT_DONE, BenchError

if TYPE_CHECKING:
    from bench.config.models import Study

_STUDY = "study:"  # before the name of a study that is a path's name too


@click.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--against", metavar="REFERENCE", required=True, help="Real images: a path, or [study:]NAME, a study's.")
@click.option("--training", type=click.Path(path_type=Path), help="The images that the generator was trained on.")
@click.option(
    "--extractor",
    "extractors",
    multiple=True,
    metavar="NAME",
    help="lite0, lite0-96-stage7, inception, judge, one that a study declares, or a .py file of your own; may be "
    "repeated [the study's; lite0].",
)
@click.option(
    "--samples",
    type=click.IntRange(min=50),
    metavar="N",
    help="How many images, drawn at random in a fixed way [the study's; all].",
)
@click.option(
    "--resolution", type=click.Choice(["32", "64", "128"]), help="Crop and scale to it [the study's; arrays' own; 64]."
)
@click.option("--recipe", default="square", show_default=True, help="How real images of files are cropped.")
@click.option("--images-recipe", default="square", show_default=True, help="How IMAGES are cropped, where files.")
@click.option("--device", default="auto", show_default=True, help="auto (a GPU, else the CPU), cpu, cuda:0, ...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also write a Markdown page there.")
@json_option
@click.pass_obj
def measure(
    roots: Roots,
    /,
    images: Path,
    against: str,
    training: Path | None,
    extractors: tuple[str, ...],
    samples: int | None,
    resolution: str | None,
    recipe: str,
    images_recipe: str,
    device: str,
    output: Path | None,
    as_json: bool,
) -> int:
    """Compute every metric of any images against real ones.

    IMAGES and REFERENCE are folders or zips of images, .npz or .npy arrays of bytes, or parquet shards. Where REFERENCE
    is study:NAME, or a study's name and no path, IMAGES are measured as that study's runs are: comparable with its
    tables.

    \b
    bench measure samples/ --against celeba-test.zip --samples 5000
    bench measure samples.npz --against study:faces
    """
    from bench.cli.console import Console, plain_table, progress_bar
    from bench.cli.measured import HEADINGS, Told
    from bench.evaluation.measuring import device_named
    from bench.execution.external import chosen_settings, measure_files, measure_for_study
    from bench.files import write_atomic

    reference, place = Path(against), device_named(device)
    with progress_bar() as progress:
        if not against.startswith(_STUDY) and reference.exists():
            _warn_of_a_study(roots, against)
            files = {
                "images": (images, images_recipe),
                "reference": (reference, recipe),
                "training": (training, recipe),
            }
            measured = measure_files(
                {name: (path, how) for name, (path, how) in files.items() if path is not None},
                chosen_settings(roots.own_extractors(), extractors or ("lite0",)),
                samples,
                int(resolution) if resolution else None,
                roots.data,
                place,
                progress,
            )
            told = Told(measured, _name(images), f"real ones of {_name(reference)}")
        else:
            study = _study(roots, against.removeprefix(_STUDY))
            unfit = {"--training": training, "--resolution": resolution, "--recipe": recipe != "square"}
            if given := [name for name, value in unfit.items() if value]:
                raise BenchError(f"{given[0]} is what study {study.name} says", hint="Leave it out.")
            own = roots.own_extractors() | study.evaluation.extractor
            settings = chosen_settings(own, extractors, samples, study.evaluation)
            study = study.model_copy(update={"evaluation": settings})
            measured = measure_for_study(study, images, roots.data, place, recipe=images_recipe, progress=progress)
            told = Told(measured, _name(images), f"the held-out images of study {study.name}")
    if output is not None:
        write_atomic(output, told.as_markdown())
    if as_json:
        print_json(told.as_json())
        return EXIT_DONE
    console = Console()
    for sentence in told.sentences():
        say(sentence)
    shown = slice(4 if console.width < 100 else len(HEADINGS))
    console.print()
    console.print(plain_table(HEADINGS[shown], [row[shown] for row in told.rows()]))
    if output is not None:
        say(f"\nWrote {output}.")
    return EXIT_DONE


def _name(path: Path) -> str:
    return path.name or path.resolve().name


def _warn_of_a_study(roots: Roots, path: str) -> None:
    """Say that a path was taken where a study has the same name: docs/your-images.md has both."""
    with contextlib.suppress(BenchError):
        if path in roots.read_config().studies:
            told = f"the path is meant; {_STUDY}{path} is the study"
            say(f"{path} is a path here and a study's name too: {told}.", err=True)


def _study(roots: Roots, name: str) -> Study:
    try:
        return roots.read_config().study(name)
    except BenchError as error:
        raise BenchError(
            f"{name} is no path, and no study either: {error.message}", hint="Name where the real images lie."
        ) from error
