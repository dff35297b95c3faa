"""Puts a study's report together: every sentence, table and figure, before it is HTML or Markdown.

OUTLINE is the page: which sections there are, in which order, and how long a reader has for them. A new section is a
function from a Subject to blocks, and a line in it; both renderers show what blocks it gives, and leave it out where it
gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.formatting import joined, plural
from bench.report.figures.captioned import curve_figures
from bench.report.figures.plane import plane_figure
from bench.report.metric_text import describe_metric, protocol_title
from bench.report.model import (
    Block,
    Commands,
    Depth,
    Figure,
    Fold,
    Group,
    Page,
    Pairs,
    Panels,
    Points,
    Prose,
    ReportOptions,
    Section,
    Table,
    Walls,
)
from bench.report.pictures.closer import how_to_read
from bench.report.pictures.walls import sample_set
from bench.report.sections import external, forgives, labelled, paired, run_tables, setup
from bench.report.sections.backbones import backbones_section
from bench.report.sections.budget import equal_seconds_table
from bench.report.sections.cards import method_cards
from bench.report.sections.coded import codes_section
from bench.report.sections.conclusions import decided_and_open
from bench.report.sections.costs import cost_table, repeat_table
from bench.report.sections.diversity import diversity_notes, diversity_table
from bench.report.sections.fixed_latents import fixed_latents
from bench.report.sections.glossary import glossary
from bench.report.sections.losses import loss_figure
from bench.report.sections.minute import minute
from bench.report.sections.pairs import pairs_section
from bench.report.sections.predictions import predictions_table
from bench.report.sections.protocols import protocols_table
from bench.report.sections.published import published_figures
from bench.report.sections.rates import rates_section
from bench.report.sections.results import results
from bench.report.sections.seeds import seeds
from bench.report.sections.stability import mixtures_table, seeds_figure, stability_table
from bench.report.sections.tables import every_metric_table, headline_table, metrics_table
from bench.report.sections.telling import telling
from bench.report.sections.together import together
from bench.report.study import Study
from bench.report.subject import Subject
from bench.version import __version__


def _curves(subject: Subject) -> tuple[Block, ...]:
    """The primary metric's curves beside each other; those of other metrics, and equal seconds, on demand."""
    by_metric: dict[str, list[Figure]] = {}
    for figure in curve_figures(subject.study, subject.look):
        by_metric.setdefault(str(figure.data["metric"].iloc[0]), []).append(figure)
    first, *others = ([*figures] for figures in by_metric.values()) if by_metric else ([],)
    more = tuple(block for figures in others for block in together(figures, beside=True))
    seconds = together(subject.each(equal_seconds_table))
    return (
        *together(first, beside=True),
        *((Fold("Other metrics while training", more),) if more else ()),
        *((Fold("At equal seconds of training", seconds),) if seconds else ()),
    )


def _whole_comparison(subject: Subject) -> tuple[Block, ...]:
    return together(subject.each(headline_table))


def _every_metric(subject: Subject) -> tuple[Block, ...]:
    return together(subject.each(every_metric_table))


def _if_any(block: Table | Pairs | None, words: str = "") -> tuple[Block, ...]:
    """Return a block under the words that lead to it; nothing where there is none."""
    lead = (Prose(words),) if words else ()
    return (*lead, block) if block else ()


def _pairs(subject: Subject) -> tuple[Block, ...]:
    return _if_any(pairs_section(subject.study))


def _protocols(subject: Subject) -> tuple[Block, ...]:
    return _if_any(protocols_table(subject.study))


def _predictions(subject: Subject) -> tuple[Block, ...]:
    return _if_any(predictions_table(subject.study))


def _external(subject: Subject) -> tuple[Block, ...]:
    return _if_any(external.external_table(subject.study), external.WORDS)


def _forgives(subject: Subject) -> tuple[Block, ...]:
    return _if_any(forgives.forgives_table(subject.study), forgives.WORDS)


def _planes(subject: Subject) -> tuple[Block, ...]:
    return together(subject.each(partial(plane_figure, look=subject.look)), beside=True)


def _diversity(subject: Subject) -> tuple[Block, ...]:
    tables = subject.each(diversity_table)
    return (*together(tables), Points(diversity_notes(subject.study), kind="notes")) if tables else ()


def _stability(subject: Subject) -> tuple[Block, ...]:
    study = subject.study
    mixed = mixtures_table(study)
    return (
        *together(subject.each(stability_table), beside=True),
        *((mixed,) if mixed else ()),
        *together(subject.each(partial(seeds_figure, look=subject.look)), beside=True),
    )


def _samples(subject: Subject) -> tuple[Block, ...]:
    study = subject.study
    walls = {
        protocol: tuple(sample_set(study, entry, subject.options) for entry in study.entries_of(protocol))
        for protocol in study.protocols
    }
    words = " ".join(
        filter(
            None,
            (
                labelled.grid_words(study),
                paired.grid_words(study),
                how_to_read([one for sets in walls.values() for one in sets]),
            ),
        )
    )
    if len(walls) == 1:
        shown: tuple[Block, ...] = tuple(Walls(sets) for sets in walls.values())
    else:
        shown = tuple(Group(protocol_title(protocol), (Walls(sets),)) for protocol, sets in walls.items())
    return (
        Prose(
            "Raw generator, fixed latents, nothing selected: the first rows of each run’s grid at its last snapshot. "
            "Each heading names the seed that is shown, and why; from three scores on, a row of the best and of the "
            "worst finished run stands under it. The whole grids lie beside this page in `figures/`."
        ),
        *((Prose(words),) if words else ()),
        *shown,
    )


def _losses(subject: Subject) -> tuple[Block, ...]:
    study, points = subject.study, subject.options.points_per_curve
    panels: list[Block] = []
    for protocol in study.protocols:
        figures = tuple(f for entry in study.entries_of(protocol) if (f := loss_figure(entry, points)) is not None)
        if figures and len(study.protocols) > 1:
            panels.append(Group(protocol_title(protocol), (Panels(figures),)))
        elif figures:
            panels.append(Panels(figures))
    words = (
        "What each player minimises, term by term. Levels cannot be compared between objectives; shapes and spread "
        "over seeds can."
    )
    return (Prose(words), *panels) if panels else ()


def _setup(subject: Subject) -> tuple[Block, ...]:
    return (*map(Prose, declared(subject.study)), setup.equal_table(subject.study))


def declared(study: Study) -> tuple[str, ...]:
    """Return how far the study has come, its own words on it, and what was declared before it ran."""
    plan = study.plan
    done = sum(run.state == "done" for run in study.runs)
    again = sum(len(entry.runs) for entry in study.twins)
    twins = f"; {again} of the {len(study.runs):,} are the baseline once more, for the A/A comparison" if again else ""
    sentences = (
        str(plan["caption"]),
        f"{done} of {plural(len(study.runs), 'planned run')} done{twins}. Declared in the study’s plan (plan.json): "
        f"the primary metric is {describe_metric(study.primary).title}, measured at the final step of the "
        f"{plan['generator']} generator; the baseline is {plan['baseline']}. Only the primary metric ranks; everything "
        "else is descriptive.",
    )
    return tuple(sentence for sentence in sentences if sentence)


def _recipes(subject: Subject) -> tuple[Block, ...]:
    return setup.recipes_table(subject.study), setup.parameters_table(subject.study)


def _cards(subject: Subject) -> tuple[Block, ...]:
    words = (
        "Every loss is minimised. C is the discriminator’s output without activation, x a real image, x̃ a generated "
        "one; R is the reconstruction of an autoencoding discriminator."
    )
    return Prose(words), *method_cards(subject.study)


def _runs(subject: Subject) -> tuple[Block, ...]:
    study = subject.study
    troubles, environments = run_tables.troubles_table(study), setup.environments_table(study)
    tables = (troubles, run_tables.moved_table(study), environments if environments.rows else None)
    whole = "Every planned run is done and evaluated; none diverged, failed or collapsed."
    return (
        *(() if troubles else (Prose(whole),)),
        *(table for table in tables if table is not None),
        Fold("All runs", (run_tables.runs_table(study),)),
    )


def _costs(subject: Subject) -> tuple[Block, ...]:
    return (cost_table(subject.study),)


def _metrics(subject: Subject) -> tuple[Block, ...]:
    return (metrics_table(subject.study),)


def _repeat(subject: Subject) -> tuple[Block, ...]:
    study = subject.study
    tables = joined([f"`{name}.csv`" for name in study.statistics.frames()])
    return (
        Commands(run_tables.repeat_commands(study)),
        repeat_table(study),
        Prose(
            "Every score on this page comes from `results.csv` beside it (one row per run, snapshot and metric), "
            f"parameters, losses and costs from the files of the runs; {tables} are what it was made into, the data of "
            "each figure is in `figures/`, the tables for papers are `latex/*.tex`, and `manifest.json` names every "
            "file with its checksum."
        ),
    )


@dataclass(frozen=True)
class Part:
    """A section to be: its address on the page, title, depth, what makes its blocks, and its name in the navigation."""

    anchor: str
    title: str
    depth: Depth
    make: Callable[[Subject], tuple[Block, ...]]
    short: str = ""


OUTLINE = (
    Part("minute", "In one minute", "minute", minute, "Summary"),
    Part("results", "Results", "ten", results),
    Part("in-short", "What these seeds decide", "ten", decided_and_open, "What is decided"),
    Part("pairs", "Any pair", "ten", _pairs),
    Part("protocols", "Controlled beside published", "ten", _protocols, "Both protocols"),
    Part("predictions", "What was predicted", "ten", _predictions, "Predictions"),
    Part("rates", "At several learning rates", "ten", rates_section, "Learning rates"),
    Part("backbones", "On other backbones", "ten", backbones_section, "Backbones"),
    Part("external", "Samples from elsewhere", "ten", _external),
    Part("curves", "While training", "ten", _curves),
    Part("costs", "Cost", "ten", _costs),
    Part("samples", "Samples of every row", "hour", _samples, "Samples"),
    Part("comparison", "The whole comparison", "hour", _whole_comparison, "Whole comparison"),
    Part("labels", "Labels, class by class", "hour", labelled.labels_section, "Labels"),
    Part("inputs", "Inputs and targets", "hour", paired.pairs_section, "Inputs"),
    Part("codes", "Codes, one by one", "hour", codes_section, "Codes"),
    Part("seeds", "What the seeds could decide", "hour", seeds, "Resolution and A/A"),
    Part("every-metric", "Every metric", "hour", _every_metric),
    Part("forgives", "What the metric forgives", "hour", _forgives),
    Part("plane", "Precision and recall", "hour", _planes),
    Part("diversity", "Diversity and copying", "hour", _diversity),
    Part("stability", "Stability", "hour", _stability),
    Part("published-figures", "Published figures", "hour", published_figures),
    Part("losses", "Losses", "hour", _losses),
    Part("telling", "What the losses tell", "hour", telling, "Losses and quality"),
    Part("fixed-latents", "What the fixed latents show", "hour", fixed_latents, "Fixed latents"),
    Part("equal", "What was held equal", "hour", _setup, "Held equal"),
    Part("recipes", "Recipes and parameters", "hour", _recipes, "Recipes"),
    Part("objectives", "The objectives", "hour", _cards, "Objectives"),
    Part("runs", "Runs", "hour", _runs),
    Part("metrics-used", "Metrics", "hour", _metrics),
    Part("repeat", "To repeat it", "hour", _repeat),
    Part("glossary", "Glossary", "hour", glossary),
)


def compose(study: Study, options: ReportOptions, outline: Sequence[Part] = OUTLINE) -> Page:
    """Return the report of a study: the sections of the outline that have something to say."""
    subject = Subject(study, options)
    sections = (
        Section(part.anchor, part.title, part.depth, blocks, part.short)
        for part in outline
        if (blocks := tuple(part.make(subject)))
    )
    plan = study.plan
    return Page(str(plan["study"]), str(plan["title"]), plan["notice"], tuple(sections), __version__)
