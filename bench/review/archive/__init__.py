"""`bench export` and `bench import`: a study as one archive, and an archive beside one's own runs. Without torch."""

from bench.review.archive.checking import verify_archive
from bench.review.archive.exporting import Exported, Weights, export_study
from bench.review.archive.importing import Imported, import_study

__all__ = ["Exported", "Imported", "Weights", "export_study", "import_study", "verify_archive"]
