"""The words that stop a first reader of a report, each in a sentence or two."""

from __future__ import annotations

from bench.formatting import format_count
from bench.report.model import Block, Term, Terms
from bench.report.sections.collapse import collapse_rule
from bench.report.sections.tables import floor_images
from bench.report.subject import Subject
from bench.statistics import SEEDS_FOR_INTERVAL, SEEDS_FOR_VERDICT

_STATISTICS, _EVALUATION, _OBJECTIVES = "statistics", "evaluation", "objectives"


def glossary(subject: Subject) -> tuple[Block, ...]:
    """Return the glossary of a study's report."""
    study = subject.study
    images = floor_images(study, study.primary) or f"{format_count(study.settings.samples)} images"
    own = (
        Term(
            "floor",
            f"What real images score against real ones, in the same metric and as many: here {images}. No generator is "
            "expected to do better.",
            _EVALUATION,
            ("floor", "real against real"),
        ),
        Term(
            "undecided",
            f"The seeds do not tell the row from the baseline {study.plan['baseline']}. That does not mean equal: gaps "
            "smaller than the seeds resolve are missed.",
            _STATISTICS,
            ("undecided", "Undecided"),
        ),
        Term("collapsed", f"A run has collapsed when: {collapse_rule(study)}.", _EVALUATION, ("collapsed",)),
    )
    joint = (_FJD,) if study.primary.startswith("fjd_") else ()
    judged = study.results["metric"].str.contains("judge", na=False).any()
    words = [term for term in (*_WORDS, *own, *joint) if judged or term.word != "judge"]
    return (Terms(tuple(sorted(words, key=lambda term: term.word.lower())), subject.options.documents),)


_FJD = Term(
    "FJD",
    "Fréchet joint distance: the Fréchet distance of features with each image’s labels beside them, so that an image "
    "of the wrong class counts against a row, however real it looks. Lower is better.",
    _EVALUATION,
    ("FJD",),
)
_WORDS = (
    Term("row", "One objective with its settings under one protocol, trained once for each seed."),
    Term(
        "controlled, published, custom",
        "The protocols: everything but the losses is equal; each objective has its authors’ own recipe; each row has "
        "what the study writes for it.",
        _OBJECTIVES,
        ("(controlled)", "(published)"),
    ),
    Term(
        "FD, FID",
        "Fréchet distance: how far the features of generated images lie from those of real ones, both taken as "
        "Gaussians. Lower is better. It is called FID only in the features of the TF-2015 Inception network.",
        _EVALUATION,
        ("FD",),
    ),
    Term(
        "coverage",
        "The share of real images that have a generated one among their nearest: how much of the data is reached. A "
        "blur or one repeated image can have a fair FD and no coverage.",
        _EVALUATION,
        ("coverage",),
    ),
    Term(
        "tie group",
        "Rows that share a letter are not told apart by tests that are corrected over all pairs. Group a holds the "
        "best. A row may stand in several groups.",
        _STATISTICS,
        ("share a letter", "not told apart"),
    ),
    Term(
        "Holm’s correction",
        "Of many tests a few come out by chance, so each has to be clearer the more there are. The family is the set "
        "of tests that are counted.",
        _STATISTICS,
        ("Holm",),
    ),
    Term("IQM", "Interquartile mean: of the middle half of the runs, which one odd run does not move.", _STATISTICS),
    Term(
        "A/A",
        "The baseline trained once more on other seeds and compared with itself: what a difference between equals "
        "looks like.",
        _STATISTICS,
        ("A/A",),
    ),
    Term(
        "C_T",
        "A test for copying: whether generated images are nearer to the training images than unseen real ones are; −3 "
        "and less speaks of copies.",
        _EVALUATION,
        ("C_T",),
    ),
    Term(
        "judge",
        "This project’s own small classifier, trained to tell what these images show; it ships with bench. Metrics "
        "marked (judge) are taken in its features; they describe and never rank.",
        _EVALUATION,
        ("(judge)",),
    ),
    Term(
        "diverged",
        "A run whose loss or weights became non-finite. It is a result, and counts as the worst.",
        _STATISTICS,
    ),
    Term(
        "median seed", "The run with the middle score of its row. Its samples are the ones shown.", "", ("median seed",)
    ),
    Term(
        "seed",
        "Two runs of a row differ in their seed alone, that is, by chance. A row has an interval from "
        f"{SEEDS_FOR_INTERVAL} seeds on, a verdict from {SEEDS_FOR_VERDICT}.",
        _STATISTICS,
        ("A dot is a seed",),
    ),
)
