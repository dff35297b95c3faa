"""File names of figures: a label is safe as it is, anything else is made so. And where the documents lie."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

# The project's documents, from a report in reports/NAME of its repository.
DOCUMENTS = {
    "statistics": "How verdicts come about",
    "evaluation": "What each metric measures",
    "objectives": "The objectives and their recipes",
    "results": "Every file and column",
    "reviewing": "How to check this report",
}
_DOCUMENTS_FOLDER = "../../docs/"


def documents_beside(out_dir: Path) -> bool:
    """Tell whether links of a page in `out_dir` would lead to the documents: only so in the project's repository."""
    folder = out_dir.absolute().parent.parent / "docs"
    return all((folder / f"{name}.md").is_file() for name in DOCUMENTS)


def document_link(name: str) -> str:
    """Return the address of a document, relative to a report's page."""
    return f"{_DOCUMENTS_FOLDER}{name}.md"


def file_stem(name: str) -> str:
    """Return `name` where it is a plain file name, else a plain one that no other name gets."""
    plain = re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).strip(".-")[:80]
    return plain if plain == name and plain else f"{plain or 'unnamed'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
