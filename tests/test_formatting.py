"""How values become text: numbers, intervals, units, settings and Markdown tables."""

from __future__ import annotations

import pytest

from bench.formatting import (
    format_bytes,
    format_duration,
    format_interval,
    format_number,
    format_rate,
    format_setting,
    format_tick,
    joined,
    markdown_cell,
    markdown_table,
    plural,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234.5, "1,234"),
        (96.034, "96.0"),
        (4.567, "4.57"),
        (0.6123, "0.612"),
        (0.0, "0.000"),
        (-0.5, "−0.500"),
        (0.000123, "1.2e-04"),
        (-0.000123, "−1.2e-04"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_three_or_four_digits(value: float | None, shown: str) -> None:
    assert format_number(value) == shown


def test_signs_and_intervals() -> None:
    assert format_number(12.06, 1, sign=True) == "+12.1"
    assert format_number(-12.06, 1, sign=True) == "−12.1"
    assert format_interval(-1.0, 2.0, 1, sign=True) == "[−1.0, +2.0]"
    assert format_interval(None, 2.0) == ""


@pytest.mark.parametrize(
    ("value", "shown"), [(2e-4, "2e-4"), (5e-5, "5e-5"), (1e-3, "1e-3"), (0.01, "0.01"), (10.0, "10"), (0.0, "0")]
)
def test_rates(value: float, shown: str) -> None:
    assert format_rate(value) == shown


def test_settings_are_plain() -> None:
    assert format_setting([0.5, 0.999]) == "(0.5, 0.999)"
    assert format_setting(None) == "none"
    assert format_setting({"generator_steps": 25, "repeat_every": None}) == "generator_steps 25"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (0.25, "0.25"), (-40.0, "−40"), (999.0, "999"), (12_000.0, "12k"), (1.5e6, "1.5M"),
        (-2e9, "−2G"), (1e15, "1e+15"), (3e-5, "3e-05"), (-3e-5, "−3e-05"),
    ],
)  # fmt: skip
def test_ticks_are_short(value: float, shown: str) -> None:
    assert format_tick(value) == shown


def test_durations_and_bytes_change_their_unit() -> None:
    seconds = {45: "45 s", 200: "3 min 20 s", 7_500: "2 h 05 min", 273_600: "3 d 04 h"}
    assert {value: format_duration(value) for value in seconds} == seconds
    sizes = {512: "512 bytes", 4_200: "4.2 kB", 83_000_000: "83 MB", 999_600: "1 MB", 2_100_000_000: "2.1 GB"}
    assert {value: format_bytes(value) for value in sizes} == sizes


def test_words_are_counted_and_joined() -> None:
    assert (plural(1, "run"), plural(2_000, "run")) == ("1 run", "2,000 runs")
    assert [joined(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_a_markdown_table_has_a_rule_for_each_column() -> None:
    rows = [["x", markdown_cell("a | b\nc")]]
    assert markdown_table(("one", "two"), rows).splitlines() == ["| one | two |", "| --- | --- |", r"| x | a \| b c |"]
    assert markdown_table(("one", "two"), rows, [False, True]).splitlines()[1] == "| :--- | ---: |"
