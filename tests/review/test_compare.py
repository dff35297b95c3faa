"""`bench compare`: what changed between two reports is named, noise is called noise, no run counts twice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from helpers.statistics_fixture import DIVERGED, FAILED, PLANNED, Fate, study_of
from helpers.study_fixture import realistic

from bench.cli import bench
from bench.errors import BenchError
from bench.files import read_json, sha256_file, write_json
from bench.metrics.settings import EvaluationSettings
from bench.report.model import ReportOptions
from bench.report.render.manifest import manifest
from bench.report.study import load_study
from bench.review.compare import Compared, compare, in_words, read_shipped
from bench.statistics import Change, Matched, Summary, compare_changes, difference_interval

NOISE = np.random.default_rng(5).normal(0, 1, (8, 8))
CODE = {"training": "7r41n", "objective": "0b"}


def around(mean: float, draw: int, seeds: int = 5) -> list[float]:
    """Return scores with a standard deviation of about 1."""
    return [float(mean + noise) for noise in NOISE[draw, :seeds]]


class Reports:
    """Writes the files of a report that a comparison reads."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(
        self,
        name: str,
        entries: Mapping[str, Sequence[Fate]],
        *,
        ids: str | None = None,
        code: Mapping[str, str] | None = CODE,
        evaluation: EvaluationSettings | None = None,
        plan_changes: Mapping[str, Any] | None = None,
        result_changes: Mapping[str, Any] | None = None,
        digest: str = "b2",
        metric: str = "fd_lite0",
    ) -> Path:
        """Write root/<name>; two reports written with the same `ids` have the same specifications and seeds."""
        results, plan = study_of(entries, metric)
        for column, value in ({"reference_samples": 1000} | dict(result_changes or {})).items():
            results.loc[results["metric"].notna(), column] = value
        settings = evaluation or EvaluationSettings(samples=1000, snapshot_samples=500)
        plan |= {
            "study": name,
            "final_step": 900,
            "seeds": list(range(max(map(len, entries.values())))),
            "data": {"source": "faces", "resolution": 32, "recipe": "none", "train_count": 8000, "seed": 0},
            "backbone": {"width": 16},
            "evaluation": settings.model_dump(mode="json"),
            "evaluation_id": settings.id(),
        }
        plan |= dict(plan_changes or {})
        runs = [
            {"path": f"{entry['label']}/{seed}", "label": entry["label"], "protocol": entry["protocol"], "seed": seed}
            | {"id": f"{ids or name}-{entry['label']}-{seed}"}
            for entry in plan["entries"]
            for seed in range(len(entries[entry["label"]]))
        ]
        plan["runs"] = runs
        folder = self.root / name
        write_json(folder / "plan.json", plan)
        results.to_csv(folder / "results.csv", index=False, lineterminator="\n")
        told = {"code": code} if code is not None else {}
        written = {
            "schema": 1,
            "made_by": {"bench": "0.1.0"},
            "study": name,
            "files": {file: sha256_file(folder / file) for file in ("plan.json", "results.csv")},
            "data_sha256": {"train": "a1", "heldout": digest},
            "environments": [],
            "runs": [
                {"path": run["path"], "id": run["id"], "files": {"log.jsonl": f"{name} {run['path']}"}} | told
                for run in runs
            ],
        }
        write_json(folder / "manifest.json", written)
        return folder


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(tmp_path)


def ship(runs_root: Path, name: str, folder: Path) -> None:
    """Write what a report ships of a study's runs, without its pages and figures."""
    folder.mkdir(parents=True)
    study = load_study(runs_root, name)
    shutil.copyfile(runs_root / name / "plan.json", folder / "plan.json")
    study.results.to_csv(folder / "results.csv", index=False, lineterminator="\n")
    digests = {file: sha256_file(folder / file) for file in ("plan.json", "results.csv")}
    write_json(folder / "manifest.json", manifest(study, (folder / "plan.json").read_bytes(), digests, ReportOptions()))


def compared(first: Path, second: Path, *, every_metric: bool = False) -> Compared:
    return compare(read_shipped(first), read_shipped(second), every_metric=every_metric)


def rows(found: Compared) -> dict[str, Change]:
    return {change.label: change for change in found.metrics[0].changes}


def test_a_change_beyond_noise_is_told_from_noise(reports: Reports) -> None:
    before = {"nsgan": around(30, 0), "wgan": around(40, 1), "vae": around(50, 2)}
    after = {"nsgan": around(30, 3), "wgan": around(33, 4), "vae": around(58, 5)}
    found = compared(reports.write("a", before), reports.write("b", after))
    changes = rows(found)
    assert {label: change.verdict for label, change in changes.items()} == {
        "nsgan": "undecided",
        "wgan": "better",
        "vae": "worse",
    }
    wgan = changes["wgan"]
    assert wgan.difference == pytest.approx(np.mean(after["wgan"]) - np.mean(before["wgan"]))
    assert (wgan.difference_low, wgan.difference_high) == difference_interval(after["wgan"], before["wgan"])
    assert wgan.p is not None
    assert wgan.p_holm is not None
    assert wgan.p < wgan.p_holm <= 3 * wgan.p
    words = in_words(found)
    assert "3 rows tested, 2 changed beyond noise" in words
    assert re.findall(r"(\w+) \(controlled\) is (\w+) in B", words) == [("wgan", "better"), ("vae", "worse")]


def test_reports_of_one_law_hardly_ever_change_beyond_noise() -> None:
    """Holm over the common rows: at most 5 % of such comparisons may name anything (without it, 13 % would)."""
    rng = np.random.default_rng(11)
    named = 0
    for _ in range(400):
        sides = [[summary(label, rng.normal(30, 1, 5)) for label in ("nsgan", "wgan", "vae")] for _ in range(2)]
        changes = compare_changes([Matched(*pair) for pair in zip(*sides, strict=True)], judged=True)
        named += any(change.verdict != "undecided" for change in changes)
    assert 4 <= named <= 32


def summary(label: str, scores: npt.NDArray[np.float64]) -> Summary:
    """Return the summary of an entry whose runs are all done."""
    values, counts = tuple(enumerate(scores.tolist())), (len(scores), len(scores), 0, 0, 0, 0)
    cell = ("controlled", label, label, "raw", "fd_lite0", "primary")
    return Summary(*cell, *counts, values=values, mean=float(scores.mean()))


def test_where_a_run_was_lost_ranks_decide(reports: Reports) -> None:
    before = {"nsgan": [*around(30, 0, 6), DIVERGED, FAILED], "wgan": around(40, 1, 8)}
    after = {"nsgan": around(20, 3, 8), "wgan": [*around(40, 4, 7), FAILED]}
    changes = rows(compared(reports.write("a", before), reports.write("b", after)))
    assert (changes["nsgan"].test, changes["nsgan"].verdict) == ("ranks", "better")
    assert changes["nsgan"].first_basis == "survivors 6/8"
    assert (changes["wgan"].test, changes["wgan"].verdict) == ("ranks", "undecided")


def test_missing_runs_and_few_seeds_withhold_the_verdict(reports: Reports) -> None:
    before = {"nsgan": around(30, 0), "wgan": around(40, 1, 3)}
    after = {"nsgan": [*around(10, 3, 4), PLANNED], "wgan": around(10, 4, 3)}
    changes = rows(compared(reports.write("a", before), reports.write("b", after)))
    assert changes["nsgan"].unjudged.startswith("1 of 5 runs of nsgan in B missing")
    assert changes["wgan"].unjudged == "fewer than 5 seeds"
    assert changes["nsgan"].verdict == changes["wgan"].verdict == ""
    assert changes["nsgan"].family == 2, "a row that waits for runs keeps its place in the family"


def test_the_same_runs_are_no_second_sample(reports: Reports) -> None:
    entries = {"nsgan": around(30, 0), "wgan": around(40, 1)}
    first = reports.write("a", entries)
    for change in rows(compared(first, first)).values():
        assert change.unjudged == "the same runs: repeated exactly"
        assert change.difference is change.difference_low is change.p is None
    again = compared(first, reports.write("b", entries, ids="a"))
    assert again.same_runs
    assert rows(again)["nsgan"].unjudged.endswith("trained again: repeated exactly")
    other = {"nsgan": around(90, 2), "wgan": entries["wgan"]}
    moved = rows(compared(first, reports.write("c", other, ids="a")))
    assert "0 of 5 scores repeated exactly" in moved["nsgan"].unjudged
    assert moved["nsgan"].verdict == ""


def test_one_shared_run_is_enough_to_withhold_a_verdict(reports: Reports) -> None:
    before, after = {"nsgan": around(30, 0)}, {"nsgan": around(10, 1)}
    first, second = reports.write("a", before), reports.write("b", after)
    plan, written = read_json(second / "plan.json"), read_json(second / "manifest.json")
    plan["runs"][0]["id"] = "a-nsgan-0"
    write_json(second / "plan.json", plan)
    written["files"]["plan.json"] = sha256_file(second / "plan.json")
    write_json(second / "manifest.json", written)
    change = rows(compared(first, second))["nsgan"]
    assert change.unjudged.startswith("1 of 5 runs are the same runs")
    assert change.verdict == ""


def test_other_code_makes_another_experiment_of_the_same_specification(reports: Reports) -> None:
    before, other_code = {"nsgan": around(30, 0)}, CODE | {"training": "0th3r"}
    first = reports.write("a", before)
    changed = compared(first, reports.write("b", {"nsgan": around(10, 1)}, ids="a", code=other_code))
    assert rows(changed)["nsgan"].verdict == "better"
    assert [(s.first, s.second) for s in changed.settings if s.what == "training"] == [("7r41n", "0th3r")]
    repeated = compared(first, reports.write("c", before, ids="a", code=other_code))
    assert rows(repeated)["nsgan"].unjudged.endswith("trained again: repeated exactly")
    unknown = compared(first, reports.write("d", {"nsgan": around(10, 1)}, ids="a", code=None))
    assert rows(unknown)["nsgan"].verdict == "", "code that nobody names is not known to differ"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"result_changes": {"samples": 500}}, "measured on"),
        ({"result_changes": {"reference": "train"}}, "measured on"),
        ({"result_changes": {"reference_samples": 500}}, "measured on"),
        ({"digest": "ff"}, "other images: heldout b2 and ff"),
        (
            {"plan_changes": {"data": {"source": "faces", "resolution": 64, "recipe": "none"}}},
            "other images: resolution",
        ),
        ({"plan_changes": {"evaluation_id": "0" * 12}}, "another version of the evaluation"),
        ({"plan_changes": {"generator": "ema"}, "result_changes": {"generator": "ema"}}, "another generator"),
        ({"metric": "fid", "plan_changes": {"primary_metric": "fd_lite0"}}, "not measured in B"),
    ],
)
def test_values_that_mean_other_things_are_refused(reports: Reports, changes: dict[str, Any], why: str) -> None:
    first = reports.write("a", {"nsgan": around(30, 0), "wgan": around(40, 1)})
    found = compared(first, reports.write("b", {"nsgan": around(10, 2), "wgan": around(40, 3)}, **changes))
    assert found.metrics[0].refused.startswith(why)
    for change in found.metrics[0].changes:
        assert change.difference is change.p is None
        assert change.verdict == ""
    assert "not comparable" in in_words(found)


def test_a_kid_over_other_subsets_is_refused_and_other_sample_seeds_are_not(reports: Reports) -> None:
    entries = {"nsgan": around(30, 0), "wgan": around(40, 1)}
    others = [
        EvaluationSettings(samples=1000, snapshot_samples=500, **{key: 2})  # type: ignore[arg-type]
        for key in ("kid_subset_size", "sample_seeds")
    ]
    first = reports.write("a", entries, metric="kid_lite0")
    subsets, latents = (
        compared(first, reports.write("b", {"nsgan": around(10, 2)}, metric="kid_lite0", evaluation=settings))
        for settings in others
    )
    assert subsets.metrics[0].refused == "kid_subset_size 1000 and 2"
    assert latents.metrics[0].refused == ""


def test_settings_entries_and_recipes_that_differ_are_listed_and_no_others(reports: Reports) -> None:
    first = reports.write("a", {"nsgan": around(30, 0), "wgan": around(40, 1)})
    second = reports.write(
        "b", {"nsgan": around(30, 2), "vae": around(50, 3)}, plan_changes={"backbone": {"width": 32}}
    )
    plan = read_json(second / "plan.json")
    plan["entries"][0]["recipe"] = {"norm": "none"}
    write_json(second / "plan.json", plan)
    found = compared(first, second)
    assert {(s.part, s.what, s.first, s.second) for s in found.settings} == {
        ("study", "study", "a", "b"),
        ("backbone", "width", "16", "32"),
        ("nsgan, controlled", "recipe.norm", "–", "none"),
    }
    assert (found.only_first, found.only_second) == ((("controlled", "wgan"),), (("controlled", "vae"),))
    (warning,) = found.warnings
    assert warning.startswith("plan.json of B was changed")


def test_the_order_changes_beyond_noise_only_where_both_reports_decide(reports: Reports) -> None:
    before = {"nsgan": around(30, 0), "wgan": around(40, 1), "vae": around(50, 2)}
    first = reports.write("a", before)
    turned = {"nsgan": around(40, 3), "wgan": around(30, 4), "vae": around(50, 5)}
    (order,) = compared(first, reports.write("b", turned)).orders
    assert order.reversed_pairs == (("nsgan", "wgan"),)
    assert order.swapped == (("nsgan", "wgan"),)
    close = {"nsgan": around(30, 3), "wgan": [score - 0.05 for score in around(30, 3)], "vae": around(50, 5)}
    found = compared(first, reports.write("c", close))
    (order,) = found.orders
    assert order.swapped == (("nsgan", "wgan"),)
    assert order.reversed_pairs == ()
    assert order.told_apart == 2
    assert "1 pair swapped (nsgan, wgan)" in in_words(found)


def test_other_metrics_are_shown_on_demand_and_carry_no_verdict(reports: Reports, tmp_path: Path) -> None:
    realistic("first", objectives=("nsgan", "vae"), seeds=(0, 1, 2, 3, 4)).write(tmp_path / "runs")
    realistic("second", objectives=("nsgan", "vae"), seeds=(10, 11, 12, 13, 14)).write(tmp_path / "runs")
    for name in ("first", "second"):
        ship(tmp_path / "runs", name, tmp_path / "reports" / name)
    runner, roots = CliRunner(), ["--reports", str(tmp_path / "reports")]
    done = runner.invoke(bench, [*roots, "compare", "first", str(tmp_path / "reports/second"), "--all", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert [metric["metric"] for metric in found["metrics"] if metric["judged"]] == ["fd_lite0"]
    assert {"recall_lite0", "kid_lite0"} <= {metric["metric"] for metric in found["metrics"]}
    for metric in found["metrics"]:
        assert all(bool(change["verdict"]) == metric["judged"] for change in metric["changes"])
    # What a real manifest says of code and environment reaches the comparison.
    written = read_json(tmp_path / "reports/second/manifest.json")
    written["environments"][0]["packages"]["torch"] = "2.99.0"
    write_json(tmp_path / "reports/second/manifest.json", written)
    words = runner.invoke(bench, [*roots, "compare", "first", "second"])
    assert words.exit_code == 0
    assert "| environment | packages.torch | 2.11.0 | 2.99.0 |" in words.output
    assert "recall" not in words.output


def test_bad_input_is_told_and_ends_with_2(reports: Reports) -> None:
    good = reports.write("a", {"nsgan": around(30, 0)})
    with pytest.raises(BenchError, match="There is no report"):
        CliRunner().invoke(bench, ["compare", str(good), "nowhere"], catch_exceptions=False, standalone_mode=False)
    (good / "results.csv").unlink()
    with pytest.raises(BenchError, match=r"holds no results\.csv") as caught:
        read_shipped(good)
    assert caught.value.exit_code == 2
    broken = reports.write("b", {"nsgan": around(30, 0)})
    write_json(broken / "plan.json", {"study": "b"})
    with pytest.raises(BenchError, match="give no statistics"):
        read_shipped(broken)
