"""Compares GAN objectives under one identical architecture.

What a notebook needs stands right here (`bench.run_study`, `bench.measure`, ...); docs/api.md lists it and
docs/notebook.md shows it at work. Importing this module is quick: torch, pandas and pydantic come when a name that
needs them is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.version import __version__

if TYPE_CHECKING:
    from bench.api import prepare_data, read_results, read_statistics, render_report
    from bench.config.models import Config, Study
    from bench.config.reading import load_config, load_study
    from bench.data import PreparedData
    from bench.data.images import load_images
    from bench.evaluation.measuring import measure
    from bench.execution.clustered import Destination
    from bench.execution.running import Outcomes
    from bench.execution.sampling import generate_images
    from bench.execution.study import evaluate_study, run_study
    from bench.networks.backbone import build_networks
    from bench.networks.switches import Switches
    from bench.objectives import load as load_objective
    from bench.objectives import names as objective_names
    from bench.objectives.base import Objective
    from bench.report import ReportPaths
    from bench.runs.plan import Plan, RunSpec, make_plan
    from bench.statistics import compare, tie_groups

__all__ = [
    "BenchError",
    "Config",
    "Destination",
    "Objective",
    "Outcomes",
    "Plan",
    "PreparedData",
    "ReportPaths",
    "RunSpec",
    "Study",
    "Switches",
    "__version__",
    "build_networks",
    "compare",
    "evaluate_study",
    "generate_images",
    "load_config",
    "load_images",
    "load_objective",
    "load_study",
    "make_plan",
    "measure",
    "objective_names",
    "prepare_data",
    "read_results",
    "read_statistics",
    "render_report",
    "run_study",
    "tie_groups",
]

# Where each name comes from: module, and its name there where that is another.
_HOMES = {
    "Config": "bench.config.models",
    "Destination": "bench.execution.clustered",
    "Objective": "bench.objectives.base",
    "Outcomes": "bench.execution.running",
    "Plan": "bench.runs.plan",
    "PreparedData": "bench.data",
    "ReportPaths": "bench.report",
    "RunSpec": "bench.runs.plan",
    "Study": "bench.config.models",
    "Switches": "bench.networks.switches",
    "build_networks": "bench.networks.backbone",
    "compare": "bench.statistics",
    "evaluate_study": "bench.execution.study",
    "generate_images": "bench.execution.sampling",
    "load_config": "bench.config.reading",
    "load_images": "bench.data.images",
    "load_objective": "bench.objectives:load",
    "load_study": "bench.config.reading",
    "make_plan": "bench.runs.plan",
    "measure": "bench.evaluation.measuring",
    "objective_names": "bench.objectives:names",
    "prepare_data": "bench.api",
    "read_results": "bench.api",
    "read_statistics": "bench.api",
    "render_report": "bench.api",
    "run_study": "bench.execution.study",
    "tie_groups": "bench.statistics",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _HOMES[name].partition(":")
    value = getattr(import_module(module), there or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
