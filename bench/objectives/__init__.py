"""The objectives: one file each, found by scanning this folder.

A file `wgan_gp.py` holds one subclass of `bench.objectives.base.Objective`, known as "wgan-gp". A user's own file works
from anywhere: give its path in place of a name. Listing names imports nothing; loading one imports torch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, suggest
from bench.userfile import class_in, class_of_module

if TYPE_CHECKING:
    from bench.objectives.base import Objective

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the package's objectives, sorted.

    Nothing is imported for it: a file is an objective.

        bench.objective_names()                                   # ["began", "cramer", "dragan", ...]
    """
    stems = [path.stem for path in _FOLDER.glob("*.py")]
    return sorted(stem.replace("_", "-") for stem in stems if stem != "base" and not stem.startswith("_"))


def unlabelled_names() -> list[str]:
    """Return the names of those that need no labels, which games without any can play. Imports torch."""
    return [name for name in names() if load(name).needs is None]


def is_file(name: str) -> bool:
    """Tell whether `name` is the path of a user's own objective rather than the name of one of the package's."""
    return name.endswith(".py")


def label_of_file(name: str) -> str:
    """Return the label of the row that a user's own file gives a study."""
    return Path(name).stem.replace("_", "-")


def source_file(name: str) -> Path:
    """Return the file that holds the objective `name` (a name, or a path ending in .py)."""
    if is_file(name):
        path = Path(name).expanduser().resolve()
        if not path.is_file():
            raise BenchError(f"Objective file {name} does not exist", hint="Check the path.")
        return path
    if name not in names():
        raise BenchError(
            f'There is no objective "{name}"{suggest(name, names())}',
            hint="`bench list` shows the objectives; a path ending in .py names a file of your own.",
        )
    return _FOLDER / f"{name.replace('-', '_')}.py"


def load(name: str) -> type[Objective]:
    """Return the class of the objective `name` (a name, or a path ending in .py). Runs the file's code.

    Its `card` is what its authors state, its fields are its settings; an instance has the losses. Raises BenchError for
    an unknown name, with near misses, and for a file that cannot be imported or does not hold one objective.

        bench.load_objective("wgan-gp")().model_dump()            # its settings
    """
    from bench.objectives.base import Objective

    path = source_file(name)
    if is_file(name):
        return class_in(path, Objective, "objective")
    module_name = f"bench.objectives.{path.stem}"
    importlib.import_module(module_name)
    return class_of_module(module_name, Objective, path)
