"""What an archive's records may say: every value that bench reads of them, with its type, held to one's own rules.

Records of one's own runs were written by this package. Those of an archive were written by anybody, and a report, a
table or a spreadsheet is made of them. Further keys are let through, as later versions write more of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from bench.config.models import Protocol
from bench.config.predictions import Prediction
from bench.config.problems import key_text
from bench.config.recipe import Optimizer
from bench.errors import BenchError
from bench.images import UnusableImageError, open_image
from bench.limits import (
    MOST_LINES_BYTES,
    MOST_PICTURE_PIXELS,
    MOST_TEXT_BYTES,
    bounded_json,
)
from bench.metrics.settings import EvaluationSettings, GeneratorName
from bench.report.render.manifest import MANIFEST
from bench.review.archive.beside import BackbonesRecord, ExternalRecord, ForgivesRecord, GridsRecord
from bench.review.archive.container import Archive, Progress, most_bytes
from bench.review.archive.values import Count, Digest, Formula, Identity, Label, Metric, PlainName, Record, Seed
from bench.runs.extras import BACKBONES, EXTERNAL, FORGIVES, GRIDS
from bench.runs.folder import PLAN_FILE, SCHEMA, Status


class Published(Record):
    source: str
    optimizer: Optimizer
    learning_rate_discriminator: float
    learning_rate_generator: float
    betas: tuple[float, float]
    discriminator_steps: Count
    norm: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Setting(Record):
    default: Any
    description: str = ""


class CardRecord(Record):
    """card.json."""

    title: str
    paper: str
    authors: str
    year: int
    arxiv: str
    family: str
    published: Published
    discriminator_loss: Formula | None = None
    generator_loss: Formula | None = None
    joint_loss: Formula | None = None
    notes: list[str] = Field(default_factory=list)
    code_differences: list[str] = Field(default_factory=list)
    controlled_notes: list[str] = Field(default_factory=list)
    norms: list[str] = Field(default_factory=list)
    settings: dict[str, Setting] = Field(default_factory=dict)


class RecipeRecord(Record):
    optimizer: Optimizer
    learning_rate_discriminator: float
    learning_rate_generator: float
    betas: tuple[float, float]
    alpha: float = 0.99
    discriminator_steps: Count
    norm: str
    warm_up: dict[str, int | None] | None = None


class PlannedRow(Record):
    label: Label
    objective: Label
    protocol: Protocol
    settings: dict[str, Any]
    recipe: RecipeRecord
    card: CardRecord
    deviations: list[str]
    notes: list[str]
    same_as: Label | None = None
    added: bool = False


class PlannedRun(Record):
    path: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}/seed-[0-9]{1,10}-[0-9a-f]{8,64}$")]
    label: Label
    objective: Label
    protocol: Protocol
    seed: Seed
    id: Identity
    added: bool = False


class Images(Record):
    source: str
    recipe: str
    resolution: Annotated[int, Field(ge=8, le=1024)]
    train_count: Count | None = None
    heldout_count: Count | None = None
    partial: bool = False


class Network(Record):
    resolution: Annotated[int, Field(ge=8, le=1024)]
    width: Count
    latent: Count
    latent_law: str


class Schedule(Record):
    generator_steps: Count
    batch: Count
    halve_every: Count
    learning_rate: float


class Arithmetic(Record):
    ema_decay: float
    precision: str
    threads: Count


class RegisteredRecord(Record):
    """What was predicted at one time."""

    registered: str
    finished_runs: Count
    predictions: list[Prediction]


class PlanRecord(Record):
    """plan.json."""

    study: Label
    title: str
    notice: str | None = None
    caption: str = ""
    baseline: Label
    primary_metric: Metric
    secondary: list[Metric]
    generator: GeneratorName
    final_step: Annotated[int, Field(ge=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    protocols: list[Protocol]
    data: Images
    backbone: Network
    schedule: Schedule
    recipe: RecipeRecord | None = None
    training: Arithmetic | None = None
    evaluation: EvaluationSettings
    evaluation_id: Identity
    entries: Annotated[list[PlannedRow], Field(min_length=1)]
    runs: list[PlannedRun]
    predictions: list[RegisteredRecord] = Field(default_factory=list)


class ObjectiveRecord(Record):
    """An objective in a spec. `file` names code on the machine that trained; here it would be another machine's."""

    name: Label
    file: None = None
    source_sha256: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class TrainingRecord(Record):
    objective: ObjectiveRecord
    data: Images
    seed: Seed


class SpecRecord(Record):
    """spec.json."""

    id: Identity
    study: Label
    label: Label
    protocol: Protocol
    training: TrainingRecord
    code: dict[str, str]


class EnvironmentRecord(Record):
    """environment.json."""

    bench: str
    python: str
    system: str
    packages: dict[str, str | None]
    device: str
    device_type: str = "cpu"
    capability: str
    threads: Count
    ranks: Count = 1
    commit: str | None
    gpu: dict[str, str | int | None] = Field(default_factory=dict)


class ArchitectureRecord(Record):
    """architecture.json."""

    backbone_hash: str
    parameters: dict[str, Count]


class FingerprintRecord(Record):
    """fingerprint.json."""

    version: int
    weights: str
    machine: str


class AcceptedCode(Record):
    """An entry of accepted.json."""

    code: dict[str, str]
    by: Literal["fingerprint", "name"]


class AcceptedRecord(Record):
    """accepted.json."""

    accepted: list[AcceptedCode]


class ReportedRun(Record):
    path: PlainName
    files: dict[str, Digest]


class ManifestRecord(Record):
    """A report's manifest.json."""

    study: Label
    evaluation_id: Identity
    files: dict[PlainName, Digest]
    runs: list[ReportedRun]


class LogLine(Record):
    """A line of log.jsonl."""

    generator_steps: Count
    discriminator_steps: Count
    images_seen: Count
    device_seconds: Annotated[float, Field(ge=0)]
    learning_rate: dict[str, float]
    discriminator: dict[str, float | None]
    generator: dict[str, float | None]
    observed: dict[str, float | None]


class MetricLine(Record):
    """A line of metrics.jsonl."""

    evaluation_id: Identity
    generator_steps: Count
    generator: GeneratorName
    sample_seed: Count
    metric: Metric
    value: float
    floor: float | None
    samples: Count
    reference: Literal["heldout", "train"]
    reference_samples: Count
    extractor: str
    extractor_sha256: Digest | None
    data_sha256: Digest
    evaluation_code: str = ""


_ONE: dict[str, Any] = {
    FORGIVES: ForgivesRecord,
    BACKBONES: BackbonesRecord,
    GRIDS: GridsRecord,
    EXTERNAL: ExternalRecord,
    PLAN_FILE: PlanRecord,
    "spec.json": SpecRecord,
    "card.json": CardRecord,
    "environment.json": EnvironmentRecord,
    "architecture.json": ArchitectureRecord,
    "status.json": Status,
    "fingerprint.json": FingerprintRecord,
    MANIFEST: ManifestRecord,
    "accepted.json": AcceptedRecord | list[AcceptedCode],
}
_LINES: dict[str, Any] = {"log.jsonl": LogLine, "metrics.jsonl": MetricLine}


def check_records(archive: Archive, progress: Progress, leave_out: Collection[str] = ()) -> dict[str, str]:
    """Read every record and every picture's header, and return what bench cannot take, by member; {} for nothing."""
    members = [
        name
        for name in archive.names
        if PurePosixPath(name).suffix in (".json", ".jsonl", ".png")
        and PurePosixPath(name).parts[1:2] == (archive.study,)  # others are no part of it, and named as such
        and name not in leave_out
    ]
    found = {}
    for done, name in enumerate(members, start=1):
        try:
            problem = next(record_problems(name, archive.read(name)), None)
        except BenchError as error:
            problem = error.message
        if problem is not None:
            found[name] = problem
        progress("reading", done, len(members))
    return found


def record_problems(member: str, content: bytes) -> Iterator[str]:
    """Yield what is wrong with a member's content, with the key or the line at which it is."""
    name = PurePosixPath(member).name
    if PurePosixPath(member).parent.name == EXTERNAL and name.endswith(".json"):
        yield from _problems(EXTERNAL, content, MOST_TEXT_BYTES)
    elif name in _ONE:
        yield from _problems(name, content, most_bytes(name))
    elif name in _LINES:
        yield from _problems_of_lines(name, content)
    elif name.endswith(".png"):
        try:
            with open_image(content, ("PNG",), MOST_PICTURE_PIXELS):
                pass
        except (UnusableImageError, OSError, SyntaxError) as error:
            yield str(error)


def _problems_of_lines(name: str, content: bytes) -> Iterator[str]:
    if len(content) > MOST_LINES_BYTES:
        yield f"has {len(content):,} bytes, more than {MOST_LINES_BYTES:,}"
        return
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        # A last line without its newline was cut off when the run was killed: readers leave it out.
        if line.strip() and not (number == len(lines) and not _is_json(line)):
            for problem in _problems(name, line, MOST_TEXT_BYTES):
                yield f"line {number}: {problem}"


def _is_json(line: bytes) -> bool:
    try:
        bounded_json(line)
    except ValueError:
        return False
    return True


def _problems(name: str, content: bytes, limit: int) -> Iterator[str]:
    try:
        values = bounded_json(content, limit)
        if isinstance(values, dict) and values.get("schema", SCHEMA) != SCHEMA:
            yield f"schema: {values['schema']!r}, and this version of bench reads {SCHEMA}"
        _adapter(name).validate_json(content, strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            yield f"{key_text(item['loc']) or 'it'}: {item['msg'][0].lower()}{item['msg'][1:]}"
    except ValueError as error:
        yield str(error)
    else:
        if name in (PLAN_FILE, "spec.json"):
            yield from own_file_problems(values.get("evaluation", {}))
        if name == PLAN_FILE:
            yield from plan_problems(values)
        elif name == "status.json" and (values.get("reason") or "").lstrip()[:1] in tuple("=+-@"):
            yield "reason: it stands in results.csv, where its first letter begins a formula"


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter((_ONE | _LINES)[name])


def own_file_problems(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Yield where own extractors or metrics name a place on a machine: their files are code that nobody here named."""
    for kind in ("extractor", "metric"):
        for name, table in (evaluation.get(kind) or {}).items():
            for key in ("file", "weights"):
                if re.search(r"[\\/]", str(table.get(key) or "")):
                    yield f"evaluation.{kind}.{name}.{key}: names a place on another machine"


def plan_problems(plan: dict[str, Any]) -> Iterator[str]:
    """Yield where the parts of a plan, each sound by itself, do not fit each other."""
    rows = [(entry["label"], entry["protocol"]) for entry in plan["entries"]]
    runs = [(run["label"], run["protocol"], run["seed"]) for run in plan["runs"]]
    paths = [run["path"] for run in plan["runs"]]
    objective_of = {(entry["label"], entry["protocol"]): entry["objective"] for entry in plan["entries"]}
    for number, run in enumerate(plan["runs"]):
        if run["objective"] != objective_of.get((run["label"], run["protocol"])):
            yield f"runs[{number}]: no entry {run['label']} ({run['protocol']}) of {run['objective']}"
    for what, values in (("entries", rows), ("runs", runs), ("runs", paths)):
        if len(set(values)) != len(values):
            yield f"{what}: the same one twice"
    if plan["baseline"] not in {label for label, _ in rows}:
        yield f"baseline: no entry {plan['baseline']!r}"
    if EvaluationSettings.model_validate_json(json.dumps(plan["evaluation"])).id() != plan["evaluation_id"]:
        yield "evaluation_id: not that of the evaluation"
