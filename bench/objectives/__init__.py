"""The objectives: one file each, found by scanning this folder.

A file `wgan_gp.py` holds one subclass of `bench.objectives.base.Objective`, known as "wgan-gp". A user's own file works
from anywhere: give its path in place of a name. Listing names imports nothing; loading one imports torch.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, suggest

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
    path = source_file(name)
    if is_file(name):
        module_name = f"bench_user_objective_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
        if module_name not in sys.modules:
            _import_file(path, module_name)
    else:
        module_name = f"bench.objectives.{path.stem}"
        importlib.import_module(module_name)
    from bench.objectives.base import Objective

    found = [
        value
        for value in vars(sys.modules[module_name]).values()
        if inspect.isclass(value) and issubclass(value, Objective) and value.__module__ == module_name
    ]
    if len(found) != 1:
        raise BenchError(
            f"{path} must define exactly one subclass of bench.objectives.base.Objective, it defines {len(found)}",
            hint="Put each objective into a file of its own.",
        )
    return found[0]


def _import_file(path: Path, module_name: str) -> None:
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # sys.exit() would end bench without a word
        del sys.modules[module_name]
        raise BenchError(
            f"{path} cannot be imported: {type(error).__name__}: {error}", hint="Mend the file."
        ) from error
