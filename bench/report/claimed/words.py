"""What the page of claims says of a claim: its question, what would refute it, and what its runs gave."""

from __future__ import annotations

from bench.formatting import PERCENT_95, format_interval, format_number, joined, plural
from bench.statistics.arms import Arm
from bench.statistics.claims import ClaimResult
from bench.statistics.intervals import mean_interval, rate_interval


def question(result: ClaimResult) -> str:
    """Return what the claim predicts of which measure: “FD” of a, claimed lower than that of b."""
    claim = result.claim
    than = format_number(claim.level)
    relation = "the same as" if claim.direction == "same" else f"{claim.direction} than"
    each = "each of " if len(claim.of) > 1 else ""
    at = f" at step {claim.step:,}" if claim.step else ""
    against = f"that of {claim.than}" if claim.than else than
    return f"“{result.measure.title}”{at} of {each}{joined(claim.of)}, claimed {relation} {against}"


def refutation(result: ClaimResult) -> str:
    """Return what would refute the claim, and within what two values count as the same."""
    claim = result.claim
    known = [one.tolerance for one in result.compared if one.tolerance is not None]
    within = ""
    if claim.needs_tolerance:
        size = f"{format_number(known[0])}" if known else "the A/A spread, which is not known yet"
        source = "" if claim.tolerance or not known else ", the A/A spread"
        within = f" (within {size}{source})"
    if claim.direction == "same":
        return f"Refuted by a difference beyond the tolerance{within}."
    opposite = "higher" if claim.direction == "lower" else "lower"
    if claim.refuted_by == "no difference":
        return f"Refuted where it is {opposite}, or the same{within}."
    return f"Refuted where it is {opposite}."


def outcome(result: ClaimResult) -> str:
    """Return what the runs decide, in a sentence of the data alone."""
    if result.open_because:
        return f"Undecided: {result.open_because}."
    one = result.deciding
    against = "the level" if one.second is None else one.second.label
    gap = f"{one.first.label} lies {format_number(one.difference, sign=True)}"
    bounds = format_interval(one.low, one.high, sign=True)
    said = f"{gap} {bounds} from {against}".replace("  ", " ")
    decided_by = f"p {format_number(result.p_holm)} after Holm, by the test of {TESTS[one.test]}"
    if result.verdict == "undecided":
        alone = min(1.0, 2 * min(p for p in (result.p_support, result.p_refute) if p is not None))
        return f"Undecided: {said} ({decided_by}, {format_number(alone)} by itself)."
    return f"{result.verdict.capitalize()}: {said} ({decided_by})."


TESTS = {
    "paired t": "the mean difference within seeds (Student’s t)",
    "Welch": "two means (Welch’s t)",
    "ranks": "ranks, lost runs last (exact permutation)",
    "t": "a mean (Student’s t)",
    "signs": "signs",
    "Fisher": "two shares (Fisher, exact)",
    "binomial": "a share (binomial)",
}


def arm_mean(result: ClaimResult, arm: Arm) -> tuple[str, str]:
    """Return an arm's mean over its runs with its interval; of a share how many runs of how many."""
    values = arm.values
    if not len(values):
        return format_number(None), ""
    if result.measure.kind == "share":
        interval = rate_interval(int(values.sum()), len(values))
        return f"{int(values.sum())} of {len(values)}", format_interval(*interval) if interval else ""
    own = mean_interval(values.tolist())
    return format_number(float(values.mean())), format_interval(*own) if own else ""


def runs_of(arm: Arm) -> str:
    """Return how many runs of an arm there are, and what became of the others."""
    parts = [f"{len(arm.scores)} of {arm.planned}"]
    parts += [f"{arm.lost} lost"] if arm.lost else []
    parts += [f"{arm.missing} missing"] if arm.missing else []
    return ", ".join(parts)


def tally(results: list[ClaimResult]) -> str:
    """Return how many claims have which verdict."""
    counts = [(kind, sum(one.verdict == kind for one in results)) for kind in ("supported", "refuted", "undecided")]
    lacking = sum(bool(one.open_because) for one in results)
    untested = f", {lacking} of them without a test" if lacking else ""
    return f"{plural(len(results), 'claim')}: {', '.join(f'{count} {kind}' for kind, count in counts)}{untested}."


METHOD = (
    "Each claim is tested one-sided in both directions; it is supported, or refuted, where the smaller of the two p, "
    "doubled, is at most 5 % after Holm’s correction over all claims of the page. So the chance that any verdict of "
    "the page is wrong is at most 5 %, whatever the claims share. What is undecided may be so or not.",
    f"Arms that have the same seeds are compared within seeds (Student’s t, with its {PERCENT_95} interval), others by "
    "Welch’s t. Where a planned run was lost, ranks decide, with lost runs last; where a measure has no worst value, "
    "the claim stays undecided. A claim about several arms must hold for each.",
    "“The same” is a test of equivalence: two one-sided tests against a tolerance. Where the claim says none, it is "
    "the A/A spread: 2.77 standard deviations between runs of the arm that it is held against, all its seeds and those "
    "of its A/A arm, which is what two runs that differ in nothing but the seed differ by at most in 95 of 100 cases "
    "(the repeatability limit of ISO 5725-6). It is measured, and taken as it was measured.",
)
