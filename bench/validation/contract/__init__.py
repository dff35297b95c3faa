"""The contract that every objective meets: golden numbers, gradients, batches, precision, training.

`check_objective` runs it on an objective of the package or on a user's file; `bench check` prints what it returns.
"""

from bench.validation.contract.checking import CHECKS, check_objective
from bench.validation.contract.report import Problem, Report, Result

__all__ = ["CHECKS", "Problem", "Report", "Result", "check_objective"]
