"""What the losses tell of the images: whether they follow the score, and whether "settled" means anything."""

from __future__ import annotations

from bench.formatting import NOTHING, format_number, plural
from bench.report.metric_text import describe_metric
from bench.report.model import Block, Cell, Heading, Prose, Row, Table
from bench.report.sections.together import together
from bench.report.study import Entry, Study, read_log
from bench.report.subject import Subject
from bench.runs.latest import PLAYERS
from bench.statistics.arms import ranking_direction
from bench.statistics.losses import (
    FEWEST_SNAPSHOTS,
    Following,
    Phases,
    RunLosses,
    Settling,
    Spread,
    at_the_end,
    followings,
    phases,
    read_losses,
    settlings,
    snapshot_scores,
)

_EDGE = "weights_at_edge"
_OBSERVED = "convergence"  # the one observed value whose authors say that it tells how good images are (BEGAN's M)


def telling(subject: Subject) -> tuple[Block, ...]:
    """Return what losses tell: nothing where the metric never ranks or no run is done."""
    study = subject.study
    better = ranking_direction(study.primary)
    runs = [run for entry in study.entries for run in _losses_of(study, entry)] if better else []
    if not runs or better is None:
        return ()
    tables = [
        *_by_protocol(study, followings(runs, better)),
        *filter(None, (_settled_table(settlings(runs, better)), _phases_table(phases(runs)), _edge_table(study, runs))),
    ]
    words = (
        "Loss curves are read as quality. Here they are held against it, run by run: nothing was trained for this, and "
        "nothing of it ranks."
    )
    return (Prose(words), *tables) if tables else ()


def _losses_of(study: Study, entry: Entry) -> list[RunLosses]:
    scores = snapshot_scores(study.results, study.plan, entry.label, entry.protocol)
    return [
        RunLosses(entry.protocol, entry.label, run.seed, *read_losses(read_log(run)), scores[run.seed], run.collapsed)
        for run in entry.runs
        if run.state == "done" and run.seed in scores
    ]


def _by_protocol(study: Study, found: list[Following]) -> tuple[Block, ...]:
    tables = []
    for protocol in study.protocols:
        mine = [following for following in found if following.protocol == protocol]
        names = [name for name in (*PLAYERS, _OBSERVED) if any(name in following.by_name for following in mine)]
        if names:
            tables.append(_following_table(study, protocol, names, mine))
    return together(tables)


def _following_table(study: Study, protocol: str, names: list[str], found: list[Following]) -> Table:
    titles = {"discriminator": "D’s loss", "generator": "G’s loss", _OBSERVED: "its own measure"}
    snapshots = max(following.snapshots for following in found)
    rows = tuple(
        Row(
            (
                Cell(following.label),
                *(_spread_cell(following.by_name.get(name)) for name in names),
                _spread_cell(following.opposed),
            )
        )
        for following in found
    )
    return Table(
        f"following-{protocol}",
        f"Does a loss follow the score, {protocol} protocol: Spearman’s rank correlation with "
        f"{describe_metric(study.primary).title} over a run’s {snapshots} snapshots, the mean over runs and in "
        f"brackets the lowest and the highest; none below {FEWEST_SNAPSHOTS} snapshots. +1: the loss falls whenever "
        "images get better. Nearly everything falls while training, so a high value proves little; one near 0 or below "
        "says that the loss does not tell how good the images are. Last column: the correlation of both players’ "
        "losses from one logged line to the next; −1 is what one gains the other loses.",
        (
            Heading("objective"),
            *(Heading(titles[name], name if name == _OBSERVED else "", numeric=True) for name in names),
            Heading("D against G", numeric=True),
        ),
        rows,
    )


def _spread_cell(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell(NOTHING, numeric=True)
    ends = f"[{format_number(spread.lowest, 2, sign=True)}, {format_number(spread.highest, 2, sign=True)}]"
    return Cell(
        format_number(spread.mean, 2, sign=True), ends if spread.runs > 1 else "", numeric=True, sort=spread.mean
    )


def _settled_table(found: list[Settling]) -> Table | None:
    if not found:
        return None
    rows = [
        Row(
            (
                Cell(one.protocol),
                Cell(name),
                Cell(str(runs), numeric=True),
                Cell(str(collapsed), numeric=True),
                Cell(f"{better} of {halved}", numeric=True),
                Cell(format_number(one.chance) if settled else "", numeric=True),
            )
        )
        for one in found
        for settled, name, runs, collapsed, better, halved in (
            (True, "settled", one.settled, one.settled_collapsed, one.settled_better, one.halved_settled),
            (
                False,
                "not settled",
                one.unsettled,
                one.unsettled_collapsed,
                one.unsettled_better,
                one.halved - one.halved_settled,
            ),
        )
    ]
    return Table(
        "settled",
        "Is training over when the losses settle? A run has settled if, over the last fifth of training, every "
        "player’s loss keeps within 5 % of its mean (standard deviation of the logged values). Beside it how many of "
        "these runs collapsed, and how many scored in the better half of their row; p: Fisher’s exact test that "
        "settled runs do so as often as the others.",
        (
            Heading("protocol"),
            Heading("losses"),
            Heading("runs", numeric=True),
            Heading("collapsed", numeric=True),
            Heading("in the better half", numeric=True),
            Heading("p", numeric=True),
        ),
        tuple(rows),
    )


def _phases_table(found: list[Phases]) -> Table | None:
    if not found:
        return None
    runs = max(one.end.runs for one in found)
    return Table(
        "phases-of-k",
        f"BEGAN’s k, {plural(runs, 'run')} a row: how high it rose and when (share of training), what it was over the "
        "last fifth and by how much it still moved there. A k that only rises or only falls has not found its balance.",
        tuple(
            Heading(name, numeric=name not in ("objective", "protocol"))
            for name in ("objective", "protocol", "highest k", "at", "k at the end", "still moving by")
        ),
        tuple(
            Row(
                (
                    Cell(one.label),
                    Cell(one.protocol),
                    *(
                        Cell(format_number(spread.mean), numeric=True)
                        for spread in (one.highest, one.highest_at, one.end, one.drift)
                    ),
                )
            )
            for one in found
        ),
    )


def _edge_table(study: Study, runs: list[RunLosses]) -> Table | None:
    """Return how many of D's weights lie at the limit; nothing where no row is clipped."""
    clips = {(entry.protocol, entry.label): entry.settings.get("clip") for entry in study.entries}
    found = at_the_end(runs, _EDGE)
    if not any(clips.get((protocol, label)) for protocol, label in found):
        return None
    return Table(
        "weights-at-edge",
        "Where D’s weights gather: the share of its weights, norms and biases left out, whose size is within 1 % of "
        "the largest in their layer, over the last fifth of training. In a clipped row the largest is the limit.",
        (
            Heading("objective"),
            Heading("protocol"),
            Heading("clipped at", numeric=True),
            Heading("share at the edge", _EDGE, numeric=True),
        ),
        tuple(
            Row(
                (
                    Cell(label),
                    Cell(protocol),
                    Cell(format_number(clips.get((protocol, label))), numeric=True),
                    _share_cell(spread),
                )
            )
            for (protocol, label), spread in found.items()
        ),
    )


def _share_cell(spread: Spread) -> Cell:
    ends = f"[{format_number(spread.lowest)}, {format_number(spread.highest)}]" if spread.runs > 1 else ""
    return Cell(format_number(spread.mean), ends, numeric=True, sort=spread.mean)
