"""`bench compare`: what changed from one report to another, and whether by more than noise. Never imports torch.

shipped.py reads what ships with a report, settings.py says what was asked otherwise, scores.py compares what came out,
words.py writes it down.
"""

from bench.review.compare.page import in_words
from bench.review.compare.scores import Compared, MetricChanges, Order, compare
from bench.review.compare.settings import Setting
from bench.review.compare.shipped import Shipped, read_shipped

__all__ = ["Compared", "MetricChanges", "Order", "Setting", "Shipped", "compare", "in_words", "read_shipped"]
