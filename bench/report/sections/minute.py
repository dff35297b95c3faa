"""The first minute: what was compared, in a sentence; what came out, in three; and every row with its samples."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from bench.formatting import PERCENT_95, format_number, joined, plural
from bench.networks.switches import network_title
from bench.report.metric_text import describe_metric, format_metric
from bench.report.model import Block, Points, Prose
from bench.report.sections import setup
from bench.report.sections.board import boards
from bench.report.sections.conclusions import HARDLY_COVERED
from bench.report.sections.labelled import labels_of
from bench.report.sections.leaders import field_of
from bench.report.sections.tables import floor_images, is_of_the_best, ordered, real_images
from bench.report.study import Study
from bench.report.subject import Subject
from bench.statistics import SEEDS_FOR_INTERVAL, SEEDS_FOR_VERDICT, Comparison

FAR_FROM_REAL = 2.0  # times the floor: from where the distance to real images is worth a word
_RECIPES = {
    "controlled": "one shared recipe (controlled)",
    "published": "their authors’ own recipes (published)",
    "custom": "recipes of the study’s own (custom)",
}


def minute(subject: Subject) -> tuple[Block, ...]:
    """Return the blocks of the first screen."""
    study = subject.study
    alerts = [setup.backbone_alert(study), setup.code_alert(study), setup.evaluation_alert(study)]
    return (
        Prose(what_was_compared(study), "lead"),
        *(Prose(alert, "alert") for alert in alerts if alert),
        *(Prose(sentence, "notice") for sentence in what_is_missing(study)),
        Points(verdict(study), kind="verdict"),
        *boards(subject, how_to_read(study)),
    )


def what_was_compared(study: Study) -> str:
    """Return in a sentence what was trained on what, how often, under which recipes, and what decides."""
    plan, backbone = study.plan, study.plan["backbone"]
    side = f"{backbone['resolution']}×{backbone['resolution']}"
    network, _, how = network_title(backbone).partition(", ")
    recipes = joined([_RECIPES.get(protocol, protocol) for protocol in study.protocols])
    info = describe_metric(study.primary)
    better = f", {info.better} is better" if info.better else ""
    told = f", told {joined(labels_of(study))}" if labels_of(study) else ""
    objectives = len(set(study.objectives.values()))
    rows = f" in {len(study.labels)} rows" if objectives < len(study.labels) else ""
    return (
        f"{plural(objectives, 'objective')}{rows} trained one {network} ({side}, {how}) on "
        f"{study.data_title}{told}, {plan['final_step']:,} generator steps and {plural(len(study.seeds), 'seed')} "
        f"each, under {recipes}; {info.title} compares them{better}."
    )


def verdict(study: Study) -> tuple[str, ...]:
    """Return what came out: a sentence or two for the protocols, and one on how far it can be trusted."""
    if len(study.seeds) < SEEDS_FOR_INTERVAL:
        told = [
            f"{plural(len(study.seeds), 'seed')} {'ranks' if len(study.seeds) == 1 else 'rank'} nothing: any "
            "difference between two rows may be one between two seeds."
        ]
    elif len(study.protocols) == 1:
        told = [*_first(study, study.protocols[0]), *_against_baseline(study, study.protocols[0])]
        told = [f"{sentence}." for sentence in told]
    else:
        told = []
        for protocol in study.protocols:
            clauses = [*_first(study, protocol), *_against_baseline(study, protocol)]
            if clauses:
                told.append(f"{protocol.capitalize()}: {'; '.join(map(_lower, clauses))}.")
    care = _with_care(study)
    return (*told, *([f"Read with care: {'; '.join(care)}."] if care else []))


def _lower(clause: str) -> str:
    """Write a clause as the second part of a sentence, where it does not begin with a row's name."""
    return clause[0].lower() + clause[1:] if clause.startswith(("Against ", "Among ", "No row ")) else clause


def _first(study: Study, protocol: str) -> Iterator[str]:
    """Tell which row leads, and from which it is not told apart."""
    field = field_of(study, protocol)
    if field is None:  # one row alone: nothing is compared
        return
    if not field.leaders:
        yield "No row has all its runs yet"
        return
    first, *level = field.leaders
    summary = study.find_summary(protocol, first)
    score = f" ({format_metric(study.primary, summary.mean)})" if summary and summary.mean is not None else ""
    among = (
        "" if field.complete == field.rows else f"Among the {field.complete} of {field.rows} rows that are complete, "
    )
    if len(study.seeds) < SEEDS_FOR_VERDICT:
        yield f"{among}{first}{score} ranks first; {len(study.seeds)} seeds tell no two rows apart"
    elif level:
        yield f"{among}{first}{score} leads, not told apart from {joined(level)}"
    elif field.complete == field.rows and field.beats_all:
        yield f"{first}{score} is better than every other row"
    else:
        yield f"{among}{first}{score} leads"


def _against_baseline(study: Study, protocol: str) -> Iterator[str]:
    comparisons = [c for entry in study.entries_of(protocol) if (c := study.comparison(entry)) is not None]
    judged = [c for c in comparisons if c.verdict]
    if not judged:
        return
    parts = []
    for verdict in ("better", "worse"):
        if rows := _labels(judged, verdict):
            parts.append(f"{joined(rows)} {'is' if len(rows) == 1 else 'are'} {verdict}")
    if rows := _labels(judged, "lost"):
        parts.append(f"{joined(rows)} lost every run")
    undecided = len(_labels(judged, "undecided"))
    if undecided:
        parts.append(
            f"{'all ' if not parts and undecided > 1 else ''}{undecided} {'are' if undecided > 1 else 'is'} undecided"
        )
    yield f"Against {judged[0].baseline}, {joined(parts)}"


def _labels(comparisons: list[Comparison], verdict: str) -> list[str]:
    return [c.label for c in comparisons if c.verdict == verdict]


def _with_care(study: Study) -> list[str]:
    """Return, in clauses, how far the best row is from real images, if it is hollow, what collapsed or came later."""
    return [*_far_from_real(study), *_hollow(study), *_collapsed(study), *_added_seeds(study)]


def _far_from_real(study: Study) -> Iterator[str]:
    means = [(s.mean, s) for p in study.protocols for _, s in ordered(study, p) if s.mean is not None and s.floor]
    if not means or describe_metric(study.primary).better != "lower":
        return
    best, summary = min(means, key=lambda pair: pair[0])
    floor = summary.floor or 0.0
    if floor > 0 and best > FAR_FROM_REAL * floor:
        yield (
            f"{real_images(study, study.primary)} score {format_number(floor)}, and the best row "
            f"{best / floor:.0f} times that"
        )


def _hollow(study: Study) -> Iterator[str]:
    """Name the first rows that cover almost nothing of the data."""
    metric = next((name for name in study.headline_metrics() if name.startswith("coverage_")), None)
    hollow = []
    for protocol in study.protocols:
        for entry, primary in ordered(study, protocol):
            covered = study.summary(entry, metric) if metric else None
            if primary.rank != 1 or covered is None or covered.floor is None or not covered.values:
                continue
            if fmean(covered.scores) < HARDLY_COVERED * covered.floor:
                hollow.append(entry.label)
    if hollow:
        names = list(dict.fromkeys(hollow))
        yield f"{joined(names)} {'leads' if len(names) == 1 else 'lead'} with almost no coverage of the data"


def _collapsed(study: Study) -> Iterator[str]:
    counts, total = study.collapse_counts, study.collapse_counts.total
    if counts.changed and total.judged:
        yield (
            f"{total.by_study} of {plural(total.judged, 'run')} collapsed by this study’s own rule, "
            f"{total.by_default} by the default one"
        )
    elif total.by_study:
        yield f"{total.by_study} of {plural(total.judged, 'run')} collapsed"


def _added_seeds(study: Study) -> Iterator[str]:
    rows = dict.fromkeys(run["label"] for run in study.plan["runs"] if run.get("added"))
    if rows:
        yield f"seeds were added by hand to {joined([*rows])}, and p is too small if that was after a look at results"


def what_is_missing(study: Study) -> tuple[str, ...]:
    """Return what an unfinished study still lacks, in words."""
    states = [run.state for run in study.runs]
    words = {"planned": "not begun", "running": "running", "interrupted": "interrupted"}
    parts = [f"{states.count(state)} {word}" for state, word in words.items() if state in states]
    scored = {(s.protocol, s.label, seed) for s in study.summaries if s.metric == study.primary for seed, _ in s.values}
    unevaluated = sum(run.state == "done" and (run.protocol, run.label, run.seed) not in scored for run in study.runs)
    sentences = []
    if parts:
        sentences.append(
            f"This study is not finished: of {plural(len(study.runs), 'planned run')}, {joined(parts)}. "
            f"`bench run --all --study {study.plan['study']}` makes the rest."
        )
    if unevaluated:
        sentences.append(
            f"{plural(unevaluated, 'trained run')} without {study.primary} at the final step: "
            f"`bench evaluate --study {study.plan['study']}` measures what is missing."
        )
    return tuple(sentences)


def how_to_read(study: Study) -> str:
    """Return how the board is read, in a few words."""
    words = "A dot is a seed"
    if len(study.seeds) >= SEEDS_FOR_INTERVAL:
        words += f", the bar the mean’s {PERCENT_95} interval"
        if any(mixture.metric == study.primary for mixture in study.statistics.mixtures):
            words += " (none where some of a row’s runs collapsed and some did not)"
    if images := floor_images(study, study.primary):
        words += f", the dashed line the floor: what {images} score against the reference"
    words += "."
    if len(study.seeds) >= SEEDS_FOR_VERDICT:
        words += " Rows that share a letter are not told apart; those of group a, the best as a set, are marked"
        best = [entry for entry in study.entries if (s := study.standing(entry)) is not None and "a" in s.letters]
        marked = all(is_of_the_best(study, entry) for entry in best)
        words += "." if marked else ", save those that mostly collapsed."
    return f"{words} Samples: the first of the median seed’s grid, nothing selected."
