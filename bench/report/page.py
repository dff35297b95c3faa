"""Puts a study's report together: every sentence, table and figure, before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from bench.formatting import joined, plural
from bench.report.figures.captioned import curve_figures, score_figure
from bench.report.figures.plane import plane_figure
from bench.report.figures.plots import Look
from bench.report.metric_text import describe_metric, protocol_title
from bench.report.model import LossSection, Page, ProtocolSection, ReportOptions, SampleSection, StabilitySection
from bench.report.pictures.closer import how_to_read
from bench.report.pictures.walls import sample_set
from bench.report.sections import run_tables, setup
from bench.report.sections.budget import equal_seconds_table
from bench.report.sections.cards import method_cards
from bench.report.sections.conclusions import conclusions
from bench.report.sections.costs import cost_table, repeat_table
from bench.report.sections.diversity import diversity_notes, diversity_table
from bench.report.sections.external import external_table
from bench.report.sections.forgives import forgives_table
from bench.report.sections.losses import loss_figure
from bench.report.sections.protocols import protocols_table
from bench.report.sections.published import published_sections
from bench.report.sections.stability import seeds_figure, stability_table
from bench.report.sections.tables import every_metric_table, headline_table, metrics_table, ordered
from bench.report.sections.verdicts import pairs_table, same_table, what_seeds_say
from bench.report.study import Study
from bench.version import __version__

Part = TypeVar("Part")

JUDGE_WORDS = (
    "Metrics marked (judge) are taken in the features of the judge, this project’s own small classifier, which was "
    "trained to tell what a drawn face shows and ships with bench; they describe and never rank."
)


def compose(study: Study, options: ReportOptions) -> Page:
    """Return the whole report of a study."""
    look = Look(study.labels)
    plan = study.plan
    samples = tuple(
        SampleSection(
            protocol,
            protocol_title(protocol),
            tuple(sample_set(study, entry, options) for entry in study.entries_of(protocol)),
        )
        for protocol in study.protocols
    )
    alerts = [setup.backbone_alert(study), setup.code_alert(study), setup.evaluation_alert(study)]
    return Page(
        study=str(plan["study"]),
        title=str(plan["title"]),
        notice=plan["notice"],
        lead=what_was_compared(study),
        alerts=tuple(alert for alert in alerts if alert),
        missing=_missing(study),
        conclusions=conclusions(study),
        protocols=tuple(_protocol(study, protocol, look) for protocol in study.protocols),
        both_protocols=protocols_table(study),
        published=published_sections(study),
        external=external_table(study),
        equal=setup.equal_table(study),
        curves=tuple(curve_figures(study, look)),
        equal_seconds=_each(study, equal_seconds_table),
        planes=_each(study, partial(plane_figure, look=look)),
        forgives=forgives_table(study),
        diversity=_each(study, diversity_table),
        diversity_notes=diversity_notes(study),
        stability=tuple(
            StabilitySection(
                protocol,
                protocol_title(protocol),
                stability_table(study, protocol),
                seeds_figure(study, protocol, look),
            )
            for protocol in study.protocols
        ),
        losses=tuple(_losses(study, protocol, options) for protocol in study.protocols),
        samples=samples,
        how_to_read_closer=how_to_read(samples),
        cards=method_cards(study),
        recipes=setup.recipes_table(study),
        parameters=setup.parameters_table(study),
        environments=setup.environments_table(study),
        troubles=run_tables.troubles_table(study),
        moved=run_tables.moved_table(study),
        runs=run_tables.runs_table(study),
        costs=cost_table(study),
        metrics=metrics_table(study),
        repeat=run_tables.repeat_commands(study),
        repeat_rows=repeat_table(study),
        version=__version__,
    )


def _each(study: Study, make: Callable[[Study, str], Part | None]) -> tuple[Part, ...]:
    """Return what `make` makes of every protocol, leaving out nothing."""
    return tuple(part for protocol in study.protocols if (part := make(study, protocol)) is not None)


def what_was_compared(study: Study) -> tuple[str, ...]:
    """Return what was compared, the study's own words on it, what was declared, and who the judge is."""
    plan, backbone = study.plan, study.plan["backbone"]
    done = sum(run.state == "done" for run in study.runs)
    seeds = plural(len(study.seeds), "seed")
    again = sum(len(entry.runs) for entry in study.twins)
    twins = f"; {again} of the {len(study.runs):,} are the baseline once more, for the A/A comparison" if again else ""
    protocols = plural(len(study.protocols), "protocol")
    sentences = (
        f"{plural(len(study.labels), 'objective')} trained one DCGAN backbone ({backbone['resolution']}×"
        f"{backbone['resolution']}, width {backbone['width']}) on {plan['data']['source']} for "
        f"{plan['final_step']:,} generator steps, {seeds} each under {protocols}: {done} of "
        f"{plural(len(study.runs), 'planned run')} done{twins}.",
        str(plan["caption"]),
        f"Declared in the study’s plan (plan.json): the primary metric is {describe_metric(study.primary).title}, "
        f"measured at the final step of the {plan['generator']} generator; the baseline is {plan['baseline']}. Only "
        "the primary metric ranks; everything else is descriptive.",
        JUDGE_WORDS if any(metric.endswith("_judge") for metric in study.headline_metrics()) else "",
    )
    return tuple(sentence for sentence in sentences if sentence)


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
        sentences=what_seeds_say(study, protocol),
        every_metric=every_metric_table(study, protocol),
        pairs=pairs_table(study, protocol),
        same=same_table(study, protocol),
    )


def _losses(study: Study, protocol: str, options: ReportOptions) -> LossSection:
    figures = (loss_figure(entry, options.points_per_curve) for entry in study.entries_of(protocol))
    return LossSection(protocol, protocol_title(protocol), tuple(figure for figure in figures if figure is not None))
