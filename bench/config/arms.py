"""Which runs the arms of claims are: rows of the file's studies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.config.claims import Claim
from bench.config.models import Config, Study, expanded_entries
from bench.config.problems import Problem
from bench.errors import BenchError, suggest
from bench.metrics.catalogue import extractor_of
from bench.metrics.measures import find_measure, near_measure
from bench.metrics.settings import EXTRACTORS


class ArmName(NamedTuple):
    """A row of a study under one protocol."""

    study: str
    label: str
    protocol: str

    @property
    def folder(self) -> str:
        """Return what the row's folder of runs is called."""
        return f"{self.label}-{self.protocol}"


def find_arm(config: Config, name: str) -> ArmName:
    """Return the row that a claim calls `name`: "LABEL" or "LABEL-PROTOCOL", of another study "STUDY/LABEL".

    Raises BenchError, with near misses, where there is none or more than one.
    """
    where, slash, label = name.rpartition("/")
    study = config.study(where if slash else None)
    rows = list(_rows(study))
    found = [row for row in rows if label in (row.label, row.folder)]
    if not found:
        raise BenchError(f'is no row of study "{study.name}"{suggest(label, [row.label for row in rows])}')
    if len(found) > 1:
        raise BenchError(f"is a row under several protocols: write {' or '.join(row.folder for row in found)}")
    return found[0]


def arms_by_study(config: Config, claims: Sequence[Claim]) -> dict[str, tuple[str, ...]]:
    """Return the labels of all arms of these claims, by study: each once, in the order in which they are named."""
    found: dict[str, dict[str, None]] = {}
    for claim in claims:
        for name in claim.arms:
            arm = find_arm(config, name)
            found.setdefault(arm.study, {})[arm.label] = None
    return {study: tuple(labels) for study, labels in found.items()}


def snapshot_steps_of(study: Study) -> list[int]:
    """Return the generator steps at which the study's runs keep a generator, in order."""
    last = study.budget.generator_steps
    return sorted({max(1, last >> index) for index in range(study.training.snapshots)})


def claim_problems(config: Config) -> Iterator[Problem]:
    """Yield what of the file's claims does not fit its studies."""
    ids = [claim.id for claim in config.claims]
    for index, claim in enumerate(config.claims):
        where = ("claim", index)
        if ids.index(claim.id) != index:
            yield Problem((*where, "id"), claim.id, "is the id of two claims")
        studies: dict[str, Study] = {}
        for key, name in [*(("of", name) for name in claim.of), *([("than", claim.than)] if claim.than else [])]:
            try:
                arm = find_arm(config, name)
            except BenchError as error:
                yield Problem((*where, key), name, error.message)
            else:
                studies[arm.study] = config.study(arm.study)
        if claim.than in claim.of:
            yield Problem((*where, "than"), claim.than, "is one of the arms that it is held against")
        for key, value, what in _mistakes_of_measure(claim, studies):
            yield Problem((*where, key), value, what)


def _mistakes_of_measure(claim: Claim, studies: Mapping[str, Study]) -> Iterator[tuple[str, object, str]]:
    measure = find_measure(claim.measure)
    if measure is None:
        yield "measure", claim.measure, f"is no measure{near_measure(claim.measure)}"
        return
    if measure.kind == "share" and claim.needs_tolerance:
        yield "measure", claim.measure, "is a share of runs: it can be lower or higher, not the same"
    if measure.kind == "share" and claim.level is not None and not 0 < claim.level < 1:
        yield "level", claim.level, "is no share between 0 and 1"
    if claim.step is not None and not measure.at_snapshots:
        yield "step", claim.step, f"has no meaning beside {claim.measure}, which is of a whole run"
    for study in studies.values():
        if measure.kind == "metric" and not _measured(claim.measure, study.evaluation.labels):
            yield "measure", claim.measure, f"is not measured in study {study.name}: see its evaluation.extractors"
        if claim.step is not None and claim.step not in (steps := snapshot_steps_of(study)):
            yield "step", claim.step, f"is no snapshot of study {study.name}: {', '.join(map(str, steps))}"


def _measured(metric: str, extractors: Collection[str]) -> bool:
    own = extractor_of(metric)
    return own in extractors or own not in EXTRACTORS


def _rows(study: Study) -> Iterator[ArmName]:
    for entry in expanded_entries(study):
        for protocol in ("custom",) if entry.custom else study.protocols:
            yield ArmName(study.name, entry.label, protocol)
