"""`bench compare`: what changed from one report to another, and whether by more than noise. Never imports torch.

shipped.py reads what ships with a report, settings.py says what was asked otherwise, scores.py compares what came out,
words.py writes it down.
"""

from bench.comparing.scores import Compared, MetricChanges, Order, compare
from bench.comparing.settings import Setting
from bench.comparing.shipped import Shipped, read_shipped
from bench.comparing.words import in_words

__all__ = ["Compared", "MetricChanges", "Order", "Setting", "Shipped", "compare", "in_words", "read_shipped"]
