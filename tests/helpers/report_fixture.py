"""Reports that several test files look at, each rendered once in a session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
from helpers.study_fixture import HOSTILE, StudyFixture, troubled

from bench.report import ReportPaths, render

LONG = "a_very_long_word_without_any_space_" * 6
HOSTILE_CARD = {
    "title": HOSTILE,
    "paper": HOSTILE,
    "notes": [HOSTILE],
    "code_differences": [HOSTILE],
    "arxiv": '"><script>',
    "discriminator_loss": r"\input{/etc/passwd} <script>",
}


@dataclass(frozen=True)
class Rendered:
    """A report that was written, and its text."""

    study: Path
    paths: ReportPaths
    html: str
    markdown: str
    summary: pd.DataFrame

    def csv(self, name: str) -> pd.DataFrame:
        """Read one of the tables beside the report."""
        return pd.read_csv(self.paths.html.parent / f"{name}.csv", keep_default_na=False, na_values=[""])


def rendered(root: Path, fixture: StudyFixture) -> Rendered:
    study = fixture.write(root / "runs")
    paths = render(root / "runs", fixture.name, root / "report")
    summary = pd.read_csv(paths.summary, keep_default_na=False, na_values=[""])
    return Rendered(study, paths, paths.html.read_text("utf-8"), paths.markdown.read_text("utf-8"), summary)


@lru_cache(maxsize=1)
def hostile_report(root: Path) -> Rendered:
    """Render a study of eight objectives and five seeds at 64 px with every trouble and hostile texts, below `root`."""
    fixture = troubled(
        5,
        resolution=64,
        card_changes={"lsgan": HOSTILE_CARD, "wgan": {"title": HOSTILE + LONG, "discriminator_loss": LONG}},
        entry_notes={"vae": (HOSTILE,), "ebgan": (LONG,)},
        backbone_hashes={"began": "ffff000011112222"},
        caption=HOSTILE,
    )
    return rendered(root / "hostile", fixture)
