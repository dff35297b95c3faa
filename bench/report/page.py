"""Puts a study's report together: every sentence, table and figure, before it is HTML or Markdown."""

from __future__ import annotations

from bench import __version__
from bench.report import setup
from bench.report.cards import method_cards
from bench.report.figures import curve_figures, loss_figure, score_figure
from bench.report.model import LossSection, Page, ProtocolSection, ReportOptions, SampleSection
from bench.report.plots import Look
from bench.report.study import Study
from bench.report.tables import every_metric_table, headline_table, metrics_table, ordered
from bench.report.walls import sample_set
from bench.report.words import PERCENT_95, describe_metric, joined, number, plural, protocol_title
from bench.statistics import SEEDS_FOR_INTERVAL, half_width_in_deviations


def compose(study: Study, options: ReportOptions) -> Page:
    """Return the whole report of a study."""
    look = Look(study.labels)
    plan = study.plan
    alerts = [setup.backbone_alert(study), setup.code_alert(study)]
    return Page(
        study=str(plan["study"]),
        title=str(plan["title"]),
        notice=plan["notice"],
        caption=str(plan["caption"]),
        lead=_lead(study),
        alerts=tuple(alert for alert in alerts if alert),
        missing=_missing(study),
        protocols=tuple(_protocol(study, protocol, look) for protocol in study.protocols),
        equal=setup.equal_table(study),
        curves=tuple(curve_figures(study, look)),
        losses=tuple(_losses(study, protocol, options) for protocol in study.protocols),
        samples=tuple(
            SampleSection(
                protocol,
                protocol_title(protocol),
                tuple(sample_set(study, entry, options) for entry in study.entries_of(protocol)),
            )
            for protocol in study.protocols
        ),
        cards=method_cards(study),
        recipes=setup.recipes_table(study),
        parameters=setup.parameters_table(study),
        environments=setup.environments_table(study),
        troubles=setup.troubles_table(study),
        moved=setup.moved_table(study),
        runs=setup.runs_table(study),
        metrics=metrics_table(study),
        repeat=setup.repeat_commands(study),
        version=__version__,
    )


def _lead(study: Study) -> tuple[str, ...]:
    """Return what was compared, in two or three sentences."""
    plan, backbone = study.plan, study.plan["backbone"]
    done = sum(run.state == "done" for run in study.runs)
    seeds = plural(len(study.seeds), "seed")
    protocols = plural(len(study.protocols), "protocol")
    return (
        f"{plural(len(study.labels), 'objective')} trained one DCGAN backbone ({backbone['resolution']}×"
        f"{backbone['resolution']}, width {backbone['width']}) on {plan['data']['source']} for "
        f"{plan['final_step']:,} generator steps, {seeds} each under {protocols}: {done} of "
        f"{plural(len(study.runs), 'planned run')} done.",
        f"Declared before running: the primary metric is {describe_metric(study.primary).title}, measured at the final "
        f"step of the {plan['generator']} generator; the baseline is {plan['baseline']}. Only the primary metric "
        "ranks; everything else is descriptive.",
    )


def _missing(study: Study) -> tuple[str, ...]:
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


def _protocol(study: Study, protocol: str, look: Look) -> ProtocolSection:
    return ProtocolSection(
        protocol=protocol,
        title=protocol_title(protocol),
        table=headline_table(study, protocol),
        figure=score_figure(study, protocol, [summary for _, summary in ordered(study, protocol)], look),
        sentences=_what_seeds_say(study, protocol),
        every_metric=every_metric_table(study, protocol),
    )


def _losses(study: Study, protocol: str, options: ReportOptions) -> LossSection:
    figures = (loss_figure(entry, options.points_per_curve) for entry in study.entries_of(protocol))
    return LossSection(protocol, protocol_title(protocol), tuple(figure for figure in figures if figure is not None))


def _what_seeds_say(study: Study, protocol: str) -> tuple[str, ...]:
    """Return what these seeds can decide and what they cannot."""
    seeds = len(study.seeds)
    rows = [summary for _, summary in study.summaries_of(protocol, study.primary)]
    if seeds < SEEDS_FOR_INTERVAL:
        return (
            f"With {plural(seeds, 'seed')} nothing is ranked: no interval can be given, each value stands for itself, "
            "and any difference between two rows may be a difference between two seeds.",
        )
    sentences = [
        f"With {seeds} seeds the {PERCENT_95} interval of a mean reaches {number(half_width_in_deviations(seeds))} "
        "standard deviations of a run to each side. The order is by mean: where intervals overlap widely, the order of "
        "neighbours is not established.",
        "Intervals hold for one row at a time; nothing is corrected for the number of rows.",
    ]
    if seeds < 5:
        sentences.append(f"{seeds} seeds describe; five are the least for any claim of order.")
    if any(summary.diverged or summary.failed for summary in rows):
        sentences.append(
            "Where a run diverged or failed, the mean is over the survivors and says so; such a row has no rank, "
            "because a mean over survivors flatters it."
        )
    if rows and all(summary.baseline is None for summary in rows):
        sentences.append(f"The baseline {study.plan['baseline']} is no row of this protocol: no differences are given.")
    return tuple(sentences)
