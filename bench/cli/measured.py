"""How a measurement of any images is told: on the terminal, as JSON, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.formatting import format_count, format_number, markdown_cell, markdown_table
from bench.metrics.catalogue import metric_info

if TYPE_CHECKING:
    from bench.evaluation.measuring import Measured

HEADINGS = ("metric", "value", "real against real", "better", "against", "what it is")


@dataclass(frozen=True)
class Told:
    """A measurement, what was measured, and against what, in words."""

    measured: Measured
    images: str
    against: str

    def sentences(self) -> list[str]:
        """Return what a reader has to know of the numbers."""
        one = self.measured
        size = f"{one.resolution}x{one.resolution}"
        sentences = [
            f"{format_count(one.samples)} images of {self.images} ({size}) against {self.against}. Values depend on "
            f"their number, N = {format_count(one.samples)}: compare values of equal N only.",
        ]
        first = one.lines[0]
        if first["floor"] is None:
            sentences.append(
                "There is no floor: it takes twice as many real images, or the training images (--training)."
            )
        else:
            kind = "held-out" if first["floor_source"] == "heldout" else "training"
            sentences.append(
                f'"Real against real" is the same metric of {format_count(first["floor_samples"])} other {kind} '
                "images: what a perfect generator would reach."
            )
        return sentences

    def rows(self) -> list[list[str]]:
        """Return a row for each metric, in the columns of HEADINGS."""
        kinds = {"heldout": "held out", "train": "training"}
        return [
            [
                line["metric"],
                format_number(line["value"]),
                "" if line["floor"] is None else format_number(line["floor"]),
                metric_info(line["metric"]).better or "near real",
                f"{format_count(line['reference_samples'])} {kinds[line['reference']]}",
                metric_info(line["metric"]).title,
            ]
            for line in self.measured.lines
        ]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        one = self.measured
        return {
            "images": self.images,
            "against": self.against,
            "samples": one.samples,
            "resolution": one.resolution,
            "images_sha256": one.images_sha256,
            "heldout_sha256": one.heldout_sha256,
            "training_sha256": one.training_sha256,
            "evaluation_id": one.evaluation_id,
            "metrics": list(one.lines),
        }

    def as_markdown(self) -> str:
        """Return a page: what was measured, the table, and by what."""
        one = self.measured
        digests = {line["extractor"]: line["extractor_sha256"] for line in one.lines if line["extractor_sha256"]}
        on = one.lines[0]["measured_on"]
        rows = [[markdown_cell(cell) for cell in row] for row in self.rows()]
        numeric = [heading in ("value", "real against real", "against") for heading in HEADINGS]
        facts = [
            f"SHA-256 of the images as measured: `{one.images_sha256}`; of the reference: `{one.heldout_sha256}`",
            *(f"SHA-256 of the weights of {name}: `{digest}`" for name, digest in digests.items()),
            f"Measured on {on['device']} ({on['capability']}), torch {on['torch']}, evaluation {one.evaluation_id}",
        ]
        return (
            "\n\n".join(
                [
                    f"# {markdown_cell(self.images)}, measured",
                    " ".join(map(markdown_cell, self.sentences())),
                    markdown_table(HEADINGS, rows, numeric),
                    "\n".join(f"- {fact}" for fact in facts),
                    "docs/evaluation.md of bench says how each metric is computed.",
                ]
            )
            + "\n"
        )
