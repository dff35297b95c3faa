"""What a few seeds can say. Never imports torch.

The unit is the run: its score is the mean over its sample seeds at the study's final step. A mean has a Student t
interval from three seeds on (a bootstrap interval over 3 to 5 seeds that claims 95 % covers 70 to 91 %); verdicts, tie
groups and rank intervals ask for five. A run that diverged or failed is a result, the worst there is; a run that is
still missing withholds the verdicts it belongs to. docs/statistics.md explains every method.

Start at study.py: summary.py describes one entry, baseline.py and pairs.py compare two, answers.py puts together
what these say of a pair, significance.py has the tests;
changes.py compares two studies.
"""

from bench.statistics.answers import Answer, answer_pairs, answers_for
from bench.statistics.arms import NEVER_RANKS, Arm, probability_of_improvement
from bench.statistics.baseline import Comparison, compare_same, compare_to_baseline, seed_correlation
from bench.statistics.changes import Change, Matched, compare_changes
from bench.statistics.collapse import DEFAULT_COLLAPSE, CollapseCounts, CollapsedRuns, collapse_counts
from bench.statistics.frames import frame_of
from bench.statistics.intervals import (
    ALPHA,
    CONFIDENCE,
    SEEDS_FOR_BOOTSTRAP,
    SEEDS_FOR_INTERVAL,
    SEEDS_FOR_VERDICT,
    half_width_in_deviations,
    interquartile_interval,
    interquartile_mean,
    interquartile_note,
    mean_interval,
    rate_interval,
)
from bench.statistics.limits import AfterLoss, Limit, after_loss, fewest_seeds_for_ranks, limits
from bench.statistics.mixtures import Mixture, mixtures
from bench.statistics.pairs import Pair, compare_pairs
from bench.statistics.power import (
    MoreSeeds,
    Resolution,
    detectable_gap,
    device_seconds_per_run,
    resolutions,
    resolve,
    resolve_in_study,
)
from bench.statistics.significance import Permutation, difference_interval, holm, permutation_tests
from bench.statistics.stability import Stability, stability
from bench.statistics.standings import Standing, compact_letters, standings
from bench.statistics.study import StudyStatistics, study_statistics
from bench.statistics.summary import (
    Summary,
    run_scores,
    summarise,
    summary_frame,
    twins_of,
    within_runs,
    write_summary,
)
from bench.statistics.tidy import compare, tie_groups

__all__ = [
    "ALPHA",
    "CONFIDENCE",
    "DEFAULT_COLLAPSE",
    "NEVER_RANKS",
    "SEEDS_FOR_BOOTSTRAP",
    "SEEDS_FOR_INTERVAL",
    "SEEDS_FOR_VERDICT",
    "AfterLoss",
    "Answer",
    "Arm",
    "Change",
    "CollapseCounts",
    "CollapsedRuns",
    "Comparison",
    "Limit",
    "Matched",
    "Mixture",
    "MoreSeeds",
    "Pair",
    "Permutation",
    "Resolution",
    "Stability",
    "Standing",
    "StudyStatistics",
    "Summary",
    "after_loss",
    "answer_pairs",
    "answers_for",
    "collapse_counts",
    "compact_letters",
    "compare",
    "compare_changes",
    "compare_pairs",
    "compare_same",
    "compare_to_baseline",
    "detectable_gap",
    "device_seconds_per_run",
    "difference_interval",
    "fewest_seeds_for_ranks",
    "frame_of",
    "half_width_in_deviations",
    "holm",
    "interquartile_interval",
    "interquartile_mean",
    "interquartile_note",
    "limits",
    "mean_interval",
    "mixtures",
    "permutation_tests",
    "probability_of_improvement",
    "rate_interval",
    "resolutions",
    "resolve",
    "resolve_in_study",
    "run_scores",
    "seed_correlation",
    "stability",
    "standings",
    "study_statistics",
    "summarise",
    "summary_frame",
    "tie_groups",
    "twins_of",
    "within_runs",
    "write_summary",
]
