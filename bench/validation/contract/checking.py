"""The contract: every check, in order, over every variant of an objective."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import BenchError
from bench.objectives import load, source_file
from bench.objectives.base import Objective
from bench.validation.contract import (
    batches,
    cards,
    direction,
    game,
    gradients,
    labels,
    methods,
    numerics,
    purity,
    training,
)
from bench.validation.contract.report import NotApplicable, Outcome, Problem, Report, Result
from bench.validation.contract.scene import Variant, variants
from bench.validation.contract.watching import line_in, line_of


@dataclass(frozen=True)
class Check:
    """One property. `run` yields what is wrong, or raises NotApplicable.

    `once`: it is the class's, not a variant's. `first`: where it fails, what follows would fail for the same cause, and
    is not tried; `after` names a check whose failure explains this one's. `optional`: an objective may say in
    `on_purpose` why it does not meet it.
    """

    name: str
    proves: str
    run: Callable[[Variant], Iterator[Problem]]
    once: bool = False
    first: bool = False
    optional: bool = False
    after: str = ""


CHECKS = (
    Check("methods", "methods have the names and arguments that the loop calls", methods.methods_fit, True, first=True),
    Check("card", "the card is complete and plain JSON", cards.card_is_complete, once=True),
    Check("settings", "settings are described, the authors' are valid", cards.settings_are_described, once=True),
    Check("terms", "losses return named scalars", purity.terms_are_named_scalars, first=True),
    Check("draws", "random draws come from the step, sample by sample", purity.draws_come_from_the_step, first=True),
    Check(
        "purity", "a loss computed again is bit-identical, changes nothing", purity.losses_change_nothing, first=True
    ),
    Check("players", "D's loss moves D alone, G's loss G alone", gradients.players_keep_to_themselves, first=True),
    Check("direction", "each loss pulls the right way", direction.players_pull_the_right_way, optional=True),
    Check("reach", "D hears of both batches, no loss saturates", direction.both_batches_reach, optional=True),
    Check("penalty", "penalties stand apart and hold D down", direction.penalties_restrain, optional=True),
    Check("golden numbers", "losses return the card's numbers to six digits", cards.golden_numbers, once=True),
    Check("gradients", "gradients agree with finite differences", gradients.gradients_are_right),
    Check("device", "losses read no value back and copy none to the device", purity.nothing_is_read_back),
    Check("state", "state is declared, finite and moves in place after D's step", purity.state_moves_in_its_place),
    Check("order", "the order of the batch does not matter", batches.order_does_not_matter),
    Check("repetition", "a batch given twice has the same losses", batches.repetition_does_not_matter),
    Check("labels", "told labels, each sample has its own, and they count", labels.conditions_count),
    Check("pixels", "norms and sums run over all channels and pixels", cards.pixels_count_alike),
    Check("norms", "input gradients meet no norm that couples samples", batches.norms_fit),
    Check("extremes", "losses and gradients are finite at outputs of +-1e4 and 0", numerics.extremes_are_finite),
    Check("precision", "terms are fp32 under mixed precision, penalties unchanged", numerics.penalties_are_in_fp32),
    Check("game", "in a short game generated points come nearer to the data", game.samples_approach, after="direction"),
    Check("training", "ten steps stay finite and resume bit for bit", training.training_stays_finite),
    Check("packing", "D can judge packs of images", training.packed_samples_work),
)


def check_objective(
    name: str | Path, checks: Sequence[Check] = CHECKS, settings: Mapping[str, Any] | None = None
) -> Report:
    """Run the contract on an objective of the package (by name) or on a user's file (by its path).

    It is tried with `settings` alone, or where none are given with the defaults, the authors' settings, those of its
    golden numbers and every value of its switches. Errors in the objective's code become failed checks. Raises
    BenchError when there is no such objective or file.
    """
    began = time.perf_counter()
    file = source_file(str(name))
    tried = _variants(str(name), file, settings)
    results: list[Result] = []
    if isinstance(tried, Result):
        results.append(tried)
    else:
        failed: set[str] = set()
        for check in checks:
            if check.after in failed:
                why = f"not tried, because {check.after} fails"
                results.append(Result(check.name, check.proves, "not applicable", why=why))
                continue
            results.append(_run(check, tried))
            if results[-1].outcome == "failed":
                failed.add(check.name)
                if check.first:
                    break
    seconds, waiting = time.perf_counter() - began, 0 if isinstance(tried, Result) else len(checks) - len(results)
    return Report(file.stem.replace("_", "-"), str(file), tuple(results), seconds, waiting)


def _variants(name: str, file: Path, settings: Mapping[str, Any] | None) -> list[Variant] | Result:
    """Return what to try of an objective, or why there is nothing to try."""
    cls = None
    try:
        cls = load(name)
        cls()
        return variants(cls) if settings is None else [Variant.of(cls, settings, {})]
    except BenchError as error:
        place = line_in(error.__cause__, {str(file)}) if error.__cause__ else ""
        problem = Problem(f"{error.message}{place}", error.hint or "Mend the file.")
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        problem = Problem(
            f"its settings are not valid: {where}: {wrong['msg']}", "Give every setting a default: the authors' value."
        )
    except (Exception, SystemExit) as error:
        problem = _error_in_the_code(error, cls or Objective)
    return Result("loading", "the file holds one objective that works with its defaults", "failed", (problem,))


def _run(check: Check, tried: list[Variant]) -> Result:
    """Run one check over the variants, up to the first that fails."""
    outcome: Outcome = "not applicable"
    why = ""
    if check.optional and (reason := _on_purpose(tried[0].objective, check.name)):
        return Result(check.name, check.proves, outcome, why=reason, on_purpose=True)
    for variant in tried[:1] if check.once else tried:
        try:
            problems = list(check.run(variant))
        except NotApplicable as none:
            why = why or str(none)
            continue
        except (Exception, SystemExit) as error:
            problems = [_error_in_the_code(error, type(variant.objective))]
        if problems:
            settings = ", ".join(f"{key} = {value}" for key, value in variant.settings.items())
            told = f" (with {settings})" if settings else ""
            problems = [replace(problem, what=problem.what + told) for problem in problems]
            return Result(check.name, check.proves, "failed", tuple(problems))
        outcome = "passed"
    return Result(check.name, check.proves, outcome, why=why if outcome == "not applicable" else "")


def _on_purpose(objective: Objective, check: str) -> str:
    """Return why an objective, or one that it is put over, means not to meet a check; empty where it says nothing."""
    classes = [type(objective), *(load(part) for part in objective.parts())]
    return next((cls.on_purpose[check] for cls in classes if check in cls.on_purpose), "")


def _error_in_the_code(error: Exception | SystemExit, cls: type[Objective]) -> Problem:
    place = line_of(error, cls)
    if isinstance(error, SystemExit):
        return Problem("the code ends the whole program (sys.exit or exit)" + place, "Raise an error instead.")
    if isinstance(error, ValidationError) and (wrong := error.errors()[0])["type"] == "frozen_instance":
        name = ".".join(map(str, wrong["loc"]))
        return Problem(
            f"the code assigns self.{name}, and an objective keeps nothing on itself{place}",
            f'Declare it, def initial_state(self): return {{"{name}": 0.0}}, read step.state["{name}"], and change it '
            "in place in after_discriminator_step; numbers for the log go to step.observe(name, value).",
        )
    first_line = (str(error).splitlines() or [""])[0]
    told = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    return Problem(told + place, "Mend that line.")
