"""`bench run`: lay out what is planned, do what is missing, and say what became of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.clusters.standings import Standings
from bench.config.models import Study
from bench.data import PreparedData, is_prepared, prepare, present_images
from bench.data.sampler import batches_per_epoch
from bench.errors import BenchError
from bench.evaluation.cache import is_writable
from bench.evaluation.evaluate import missing_evaluations
from bench.evaluation.pictures import missing_pictures
from bench.evaluation.reference import require_measurable
from bench.execution.calibrating import machine_of
from bench.execution.devices import device_type, evaluation_slots
from bench.execution.display import Following, make_display
from bench.execution.in_process import run_in_process
from bench.execution.jobs import Job
from bench.execution.pace import Pacer
from bench.execution.pool import PoolOptions, run_pool
from bench.files import leftovers, read_json, write_record
from bench.formatting import plural
from bench.owning import MARK, TakenError
from bench.runs.added import study_locked
from bench.runs.cost import Estimates, guessed_evaluation_seconds, read_calibration
from bench.runs.folder import RunFolder, Status
from bench.runs.plan import Plan, PlanState, RunSpec, card_of, run_state
from bench.runs.portable import IMPORTED_FILE


@dataclass(frozen=True)
class Outcomes:
    """What became of the runs that were asked for: how many ended in which way.

    `skipped` lacked nothing, `taken` ones are another process's, or a cluster's. `complete` is False where a stop ended
    it before all were through, and `stopped_with` is then the exit code of the signal that was it. `jobs` are the runs
    that were worked on, with the reason and the failures of each; `slots` the devices, one for each run that went at a
    time.
    `on` is the cluster that has those runs which have no outcome: they go on there.
    """

    done: int
    diverged: int
    failed: int
    taken: int
    skipped: int
    complete: bool
    jobs: tuple[Job, ...]
    slots: tuple[str, ...]
    stopped_with: int = 0
    on: str | None = None


def joined_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """Return what became of the runs of several plans, one after another; the last one tells whether it was stopped."""
    last, counted = parts[-1], ("done", "diverged", "failed", "taken", "skipped")
    counts = {name: sum(getattr(part, name) for part in parts) for name in counted}
    jobs = tuple(job for part in parts for job in part.jobs)
    return replace(last, jobs=jobs, on=next((part.on for part in parts if part.on), None), **counts)


Images = Mapping[str, str] | None
"""The digests of a study's images as they are here; see `bench.data.present_images`."""

States = dict[Path, PlanState]
"""The state of each run, by its folder below its study's: asked once, since every answer reads the run's files."""


def states_of(runs: Sequence[RunSpec], runs_root: Path, images: Images = None) -> States:
    """Return the states of planned runs below `runs_root`."""
    return {run.folder: state_of(run, runs_root, images) for run in runs}


def state_of(run: RunSpec, runs_root: Path, images: Images = None) -> PlanState:
    """Return the state of a planned run below `runs_root`; see `run_state`."""
    return run_state(run, folder_of(run, runs_root), images)


def folder_of(run: RunSpec, runs_root: Path) -> RunFolder:
    """Return the run's folder below `runs_root`."""
    return RunFolder(runs_root / run.study / run.folder)


def work_for(run: RunSpec, runs_root: Path, state: PlanState | None = None) -> str | None:
    """Return what is missing of a run: "train", "evaluate", or None when nothing is (or another process is at it).

    `state` is the run's, where it was asked for before.
    """
    state = state or state_of(run, runs_root)
    if state == "running":
        return None
    if state in ("done", "diverged"):
        folder = folder_of(run, runs_root)
        lacking = missing_evaluations(folder.path, run.evaluation) or missing_pictures(folder, run)
        return "evaluate" if lacking or folder.again_file.exists() else None
    return "train"


def made_for_gpus(study: Study, runs_root: Path) -> str | None:
    """Return why the study's runs want a GPU, as the beginning of a sentence; None where they do not."""
    if study.training.engine == "graph":
        return f'Study "{study.name}" asks for engine = "graph", which takes a CUDA device'
    for path in sorted((runs_root / study.name).glob("*/seed-*")):
        if (gpu := computed_on_gpu(RunFolder(path))) is not None:
            return (
                f'{path.relative_to(runs_root / study.name).as_posix()} of study "{study.name}" was computed on {gpu}'
            )
    return None


def computed_on_gpu(folder: RunFolder) -> str | None:
    """Return the GPU that a run was begun on; None where that was a CPU, or nothing was begun."""
    if not folder.environment_file.is_file():
        return None
    environment = read_json(folder.environment_file)
    return str(environment["device"]) if environment.get("device_type") == "cuda" else None


def lay_out(run: RunSpec, plan: Plan, runs_root: Path, state: PlanState) -> RunFolder:
    """Make the folder of a run in `state`, with spec.json and card.json. What is stale is moved aside, not reused."""
    folder = folder_of(run, runs_root)
    if state == "stale":
        _move_aside(folder.path)
    if not folder.spec_file.exists() or not folder.status_file.exists():
        run.write(folder.spec_file)
    elif RunSpec.read(folder.spec_file).evaluation != run.evaluation:
        run.write(folder.spec_file)  # the id covers training alone: other metrics retrain nothing
    entry = next(e for e in plan.entries if (e.label, e.protocol) == (run.label, run.protocol))
    write_record(folder.card_file, card_of(entry.objective))
    return folder


def prepare_images(plan: Plan, data_root: Path, console: Console) -> PreparedData:
    """Prepare the study's images, with progress, or open them; those that lie there are read whole and checked."""
    request = plan.study.data
    ready = is_prepared(request, data_root)
    if ready is not None:
        ready.train.verify()
        ready.heldout.verify()
        return ready
    last = [0]

    def report(stage: str, done: int, total: int) -> None:
        share = 100 * done // max(total, 1)
        if total == 0:
            console.print(f"images   {stage}", highlight=False, markup=False)
        elif total > 1 and (share >= last[0] + 25 or done == total):
            last[0] = share if done < total else 0
            console.print(f"images   {stage} {done:,} of {total:,}", highlight=False, markup=False)

    return prepare(request, data_root, report)


def check_images(study: Study, data: PreparedData, data_root: Path, console: Console) -> None:
    """Raise BenchError where the study's images cannot be trained on or measured with: before the first step."""
    batches_per_epoch(data.train.count, study.budget.batch)
    require_measurable(data)
    cache = data_root / "cache" / "evaluation"
    if not is_writable(cache):
        console.print(f"images   {cache} cannot be written: every run computes the real images' features for itself")


def run_all(
    plan: Plan,
    selected: Sequence[RunSpec],
    *,
    runs_root: Path,
    slots: Sequence[str],
    options: PoolOptions,
    console: Console,
    stop: Callable[[], bool],
    in_process: bool = False,
    states: States | None = None,
) -> Outcomes:
    """Do what is missing of the selected runs, nothing twice. The plan is written first: reports can be made early.

    `states` are those of the selected runs, where they were asked for before.
    """
    images = present_images(plan.study.data, options.data_root)
    states = states or states_of(selected, runs_root, images)
    standings = Standings(runs_root, plan.study.name)
    placed = standings.look()
    for text in standings.away.values():
        console.print(f"cluster  {text}: what waits there is done here", markup=False)
    away = {path for path, where in placed.items() if where.standing is not None}
    parted = part(selected, runs_root, states, away)
    if parted.away:
        names = ", ".join(dict.fromkeys(placed[run.folder.as_posix()].order.on for run in parted.away))
        console.print(
            f"cluster  {plural(len(parted.away), 'run')} left to {names}; `bench stop` ends what stands there"
        )
    with study_locked(runs_root, plan.study.name):
        lay_out_all(plan, parted, runs_root, states, images)
    jobs = jobs_for(parted.todo, runs_root, slots)
    complete = True
    if jobs:
        evaluators = evaluation_slots(slots, options.threads)
        follow = Following(plan.study.primary_metric, plan.study.generator)
        pacer = Pacer(len(slots), len(evaluators))
        with make_display(console, len(jobs), pacer, follow) as display:
            if in_process:
                complete = run_in_process(jobs, slots[0], options, display, stop)
            else:
                complete = run_pool(jobs, slots, options, display, stop, evaluators)
    return Outcomes(
        done=sum(job.outcome == "done" for job in jobs),
        diverged=sum(job.outcome == "diverged" for job in jobs),
        failed=sum(job.outcome == "failed" for job in jobs),
        taken=len(parted.taken) + len(parted.away) + sum(job.outcome == "taken" for job in jobs),
        skipped=len(parted.whole),
        complete=complete,
        jobs=tuple(jobs),
        slots=tuple(slots),
    )


@dataclass(frozen=True)
class Parted:
    """Selected runs by what is to be done: `away` stand with a cluster, `taken` are another process's."""

    todo: list[RunSpec]
    taken: list[RunSpec]
    whole: list[RunSpec]
    away: list[RunSpec]


def part(selected: Sequence[RunSpec], runs_root: Path, states: States, away: Collection[str] = ()) -> Parted:
    """Part runs by what is to be done; `away` are the folders, below the study's, of those that a cluster has."""
    parted = Parted([], [], [], [])
    for run in selected:
        if run.folder.as_posix() in away:
            parted.away.append(run)
        elif states[run.folder] == "running":
            parted.taken.append(run)
        else:
            (parted.whole if work_for(run, runs_root, states[run.folder]) is None else parted.todo).append(run)
    return parted


def lay_out_all(plan: Plan, parted: Parted, runs_root: Path, states: States, images: Images) -> None:
    """Write the plan, and the folders of what is to be done. Call it with the study locked.

    Raises BenchError where that would touch imported runs.
    """
    keep_imported(plan, parted.todo, runs_root, states)
    for path in leftovers(runs_root / plan.study.name):
        path.unlink(missing_ok=True)
    for run in parted.whole:  # the others are swept by their workers
        sweep(folder_of(run, runs_root))
    plan.whole(runs_root).write(runs_root)  # another command may have added to the study since the plan was made
    for run in parted.todo:
        state = states[run.folder]
        # What was stale may be another command's by now, set aside and begun again.
        lay_out(run, plan, runs_root, state_of(run, runs_root, images) if state == "stale" else state)


def sweep(folder: RunFolder) -> None:
    """Delete what a process left that was killed at the very end of a run; not where another one works on it."""
    if folder.leftovers() or (folder.path / MARK).exists() or folder.status().phase is not None:
        with suppress(TakenError), folder.owned():
            folder.sweep()


def share_trained(run: RunSpec, status: Status) -> float:
    """Return how much of a run's training is done, 0 to 1; of one that diverged nothing is left."""
    return 1.0 if status.state in ("done", "diverged") else status.generator_steps / run.training.budget.generator_steps


def jobs_for(runs: Sequence[RunSpec], runs_root: Path, slots: Sequence[str]) -> list[Job]:
    """Return the runs as jobs, in the order in which they should start, with what they are thought to take.

    Several slots: the longest first, so that none is still at a long run when the others are through. With one slot
    the order changes nothing, and the plan's lets a report be made early.
    """
    types = list(dict.fromkeys(map(device_type, slots)))
    of_type = {name: machine_of([slot for slot in slots if device_type(slot) == name]) for name in types}
    estimates = {
        name: Estimates(runs_root, name, read_calibration(runs_root, machine)) for name, machine in of_type.items()
    }
    jobs = []
    for run in runs:
        folder = folder_of(run, runs_root)
        status = folder.status()
        share = share_trained(run, status)
        costs = {name: estimates[name](run) for name in types}
        seconds = {name: (1 - share) * cost.seconds for name, cost in costs.items()}
        evaluation = {
            name: cost.evaluation_seconds or guessed_evaluation_seconds(run, name) for name, cost in costs.items()
        }
        jobs.append(Job(run, folder, seconds, evaluation, share, before=status))
    return jobs if len(slots) == 1 else sorted(jobs, key=lambda job: -job.seconds[types[0]])


def keep_imported(plan: Plan, todo: Sequence[RunSpec], runs_root: Path, states: States) -> None:
    """Raise BenchError where writing the plan and doing `todo` would touch imported runs, or leave them out of tables.

    Finished ones of this very plan and code count as done. All others are somebody's evidence and stay as they came.
    """
    planned = {folder_of(run, runs_root).path: run for run in plan.runs}
    doing = {folder_of(run, runs_root).path for run in todo}
    study = runs_root / plan.study.name
    touched = []
    for folder in sorted(path.parent for path in study.glob(f"*/seed-*/{IMPORTED_FILE}")):
        run = planned.get(folder)
        name = folder.relative_to(study).as_posix()
        if run is None:
            touched += [f"{name} is not planned any more"] if ".stale-" not in folder.name else []
        elif folder in doing:
            state = states[run.folder]
            what = "measured" if state in ("done", "diverged") else "trained"
            touched.append(f"{name} is {state} and would be {what} again")
        elif RunSpec.read(RunFolder(folder).spec_file).evaluation.portable() != run.evaluation.portable():
            touched.append(f"{name} was measured under other settings")
    if touched:
        more = f"\n  and {len(touched) - 4} more" if len(touched) > 4 else ""
        raise BenchError(
            f'Study "{plan.study.name}" holds imported runs, which bench never changes:\n  '
            + "\n  ".join(touched[:4])
            + more,
            hint="Run a study of another name, or `bench clean --everything` this one: the archive can be imported "
            "again, under a name of its own with --as.",
        )


def _move_aside(path: Path) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.stale-{number}")).exists():
        number += 1
    path.rename(aside)
