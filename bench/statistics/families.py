"""A family of comparisons: each is tested by Welch's t or by exact permutation of ranks, all are corrected by Holm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.statistics.arms import Arm, Better, Floats, Test, badness, pooled_ranks
from bench.statistics.intervals import ALPHA
from bench.statistics.significance import (
    Permutation,
    Welch,
    holm,
    permutation_tests,
    smallest_permutation_p,
    welch_tests,
)


@dataclass(frozen=True)
class Judged:
    """One comparison of a family after its test: `p`, and `p_holm`, which is corrected for the whole family.

    `first` and `second` are what was tested, of which lower is better: scores (negated where higher is better) or
    ranks. `welch` is None where ranks were tested. `permutation` is of the same values, None where it was not asked
    for and not needed. `smallest_p` is the least p that an exact permutation of these values could have reached.
    """

    test: Test
    first: Floats
    second: Floats
    p: float
    p_holm: float
    smallest_p: float
    welch: Welch | None
    permutation: Permutation | None

    @property
    def decided(self) -> bool:
        """Tell whether the two differ at ALPHA after the correction."""
        return self.p_holm <= ALPHA

    @property
    def first_is_better(self) -> bool:
        """Tell which of the two has the better mean."""
        return bool(self.first.mean() < self.second.mean())


def judge_family(
    pairs: Sequence[tuple[Arm, Arm]], family: int, better: Better, *, permute_all: bool = False
) -> list[Judged]:
    """Test each pair of arms without missing runs, and correct all p values by Holm over `family` comparisons.

    Comparisons of the family that have no p yet (`family` less the pairs given) take part as p = 1, so that a verdict
    never falls when missing runs come in. Welch's t decides where every planned run of both arms has a score, an exact
    permutation of ranks where a run was lost (lost runs rank last) or no score varies. If the arms do not differ, which
    test is chosen does not depend on which run is whose, so both keep their level. `permute_all` adds the permutation
    of the scores where Welch decides.
    """
    complete = [first.complete and second.complete for first, second in pairs]
    values = [(badness(first, better), badness(second, better)) for first, second in pairs]
    by_welch = iter(welch_tests([pair for pair, whole in zip(values, complete, strict=True) if whole]))
    welch = [next(by_welch) if whole else None for whole in complete]
    for index, arms in enumerate(pairs):
        if welch[index] is None:
            first, second = pooled_ranks(arms, better)
            values[index] = first, second
    permuted = [index for index in range(len(pairs)) if permute_all or welch[index] is None]
    permutations = dict(zip(permuted, permutation_tests([values[index] for index in permuted]), strict=True))
    p_values = [test.p if test else permutations[index].p for index, test in enumerate(welch)]
    adjusted = holm([*p_values, *[1.0] * (family - len(pairs))])
    return [
        Judged(
            test="Welch" if test else "ranks",
            first=values[index][0],
            second=values[index][1],
            p=p_values[index],
            p_holm=float(adjusted[index]),
            smallest_p=smallest_permutation_p(*values[index]),
            welch=test,
            permutation=permutations.get(index),
        )
        for index, test in enumerate(welch)
    ]
