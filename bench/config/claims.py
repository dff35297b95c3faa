"""Claims in a file of studies: sentences that arms of its studies bear out or refute."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.config.recipe import Table

Direction = Literal["lower", "higher", "same"]


class Claim(Table):
    """One claim, which `bench claims` puts to the test: a measure of arms, held against another arm or a number.

    id           what it is called, unique in the file
    text         the claim, in neutral words
    source       who says it: a paper, a project
    of           the arms that it is about, one or several: it must hold for each. An arm is a row's label, of another
                 study `STUDY/LABEL`; one of several protocols is `LABEL-published`
    measure      a metric, or one of `collapsed`, `settled`, `opposed`, `gain`, `border_mean`, `border_between`,
                 `border_amplitude`, `same_mode`, `follows.NAME`, `observed.NAME`, `drift.NAME`: docs/claims.md
    direction    what the measure is: `lower` or `higher` than that of another arm or a number, or the `same`
    than         the other arm ...
    level        ... or the number
    step         the snapshot's generator steps (not given: the last)
    tolerance    how far apart `same` may be, and what `no difference` is (not given: the A/A spread, which is what two
                 runs of the arm `than` differ by in 95 of 100 cases)
    refuted_by   what refutes `lower` and `higher`: the `opposite`, or `no difference` beyond the tolerance too
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")
    text: str = Field(min_length=1, max_length=300)
    source: str = Field(min_length=1, max_length=200)
    of: tuple[str, ...] = Field(min_length=1)
    measure: str
    direction: Direction
    than: str | None = None
    level: float | None = None
    step: int | None = Field(None, ge=1)
    tolerance: float | None = Field(None, gt=0)
    refuted_by: Literal["opposite", "no difference"] = "opposite"

    @field_validator("of", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_whole(self) -> Claim:
        if (self.than is None) == (self.level is None):
            raise ValueError("is held against another arm (than) or a number (level): give one of the two")
        if self.needs_tolerance and self.tolerance is None and self.than is None:
            raise ValueError("needs a tolerance: a level has no A/A spread")
        if self.direction == "same" and self.refuted_by != "opposite":
            raise ValueError('refuted_by has no meaning beside direction = "same", which a difference refutes')
        if self.tolerance is not None and not self.needs_tolerance:
            raise ValueError('tolerance has no meaning here: it is of direction = "same" and refuted_by')
        return self

    @property
    def needs_tolerance(self) -> bool:
        """Tell whether a difference that does not matter has a part in the verdict."""
        return self.direction == "same" or self.refuted_by == "no difference"

    @property
    def arms(self) -> tuple[str, ...]:
        """Return all arms, as the file names them."""
        return self.of if self.than is None else (*self.of, self.than)
