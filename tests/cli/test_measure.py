"""`bench measure`, `bench add-samples`, and `bench new` and `check` of an extractor, a metric and a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pytest
import torch

from bench.data.faces import draw_faces
from bench.files import read_json, sha256_file
from bench.review.archive import export_study, import_study, verify_archive
from bench.review.findings import is_sound
from bench.review.verify import verify


class Bench(Protocol):
    def __call__(self, *words: str, code: int = 0) -> str: ...


def test_any_images_are_measured_against_files(workplace: Path, bench: Bench) -> None:
    faces = draw_faces(3, range(180), 32)
    np.save(workplace / "made.npy", faces[:60])
    np.savez(workplace / "real.npz", images=faces[60:])
    words = ("measure", "made.npy", "--against", "real.npz", "--extractor", "judge", "--device", "cpu")
    told = json.loads(bench(*words, "--json", "-o", "page.md"))
    assert (told["samples"], told["resolution"], told["training_sha256"]) == (60, 32, None)
    lines = {line["metric"]: line for line in told["metrics"]}
    assert lines["fd_judge"]["floor_samples"] == 60
    assert lines["fd_judge"]["floor"] > 0
    assert not [name for name in lines if name.endswith("_train")]
    page = (workplace / "page.md").read_text()
    assert told["images_sha256"] in page
    assert "| fd_judge |" in page
    assert "fd_judge" in bench(*words, "--samples", "50")
    assert "lite9" in bench("measure", "made.npy", "--against", "real.npz", "--extractor", "lite9", code=2)
    assert "nowhere" in bench("measure", "made.npy", "--against", "nowhere", code=2)
    (workplace / "tiny").mkdir()
    assert "a study's name too" in bench("measure", "made.npy", "--against", "tiny", code=2)  # there is no image in it


def test_samples_from_elsewhere_stand_beside_a_studys_rows(workplace: Path, bench: Bench) -> None:
    for number in range(3):
        np.save(workplace / f"made{number}.npy", draw_faces(30 + number, range(60), 32))
    (workplace / "tiny").mkdir()  # a path is meant where there is one, unless the study is named as one
    told = json.loads(bench("measure", "made0.npy", "--against", "study:tiny", "--device", "cpu", "--json"))
    sets = [f"made{number}.npy" for number in range(3)]
    assert "bench run" in bench("add-samples", "tiny", "theirs", *sets, code=2)  # never planned
    assert "1 done" in bench("run", "nsgan")
    words = ("--seeds", "--source", "drawn | by <hand>", "--device", "cpu", "--json")
    added = json.loads(bench("add-samples", "tiny", "theirs", *sets, *words))
    assert "nsgan" in bench("add-samples", "tiny", "nsgan", "made0.npy", "--device", "cpu", code=2)
    record = read_json(workplace / "runs" / "tiny" / "external" / "theirs.json")
    assert record["evaluation_id"] == told["evaluation_id"]
    assert added == {"did": "added", "file": "runs/tiny/external/theirs.json", "row": record}
    first = {line["metric"]: line["value"] for line in record["sets"][0]["lines"]}
    assert first == {line["metric"]: line["value"] for line in told["metrics"]}

    bench("report")
    report = workplace / "reports" / "tiny"
    external, forgiven = (pd.read_csv(report / f"{name}.csv") for name in ("external", "forgives"))
    assert set(external["label"]) == {"theirs"}
    assert set(external["set"]) == {0, 1, 2}
    assert {"untouched", "average-50", "checkerboard-10", "dropped"} <= set(forgiven["images"])
    for name in ("results", "standings", "comparisons"):
        assert "theirs" not in (report / f"{name}.csv").read_text()
    assert 'id="external"' in (report / "report.html").read_text()
    assert 'id="forgives"' in (report / "report.html").read_text()
    assert is_sound(verify(report, workplace / "runs"))

    export_study(workplace / "runs", "tiny", workplace / "tiny.zip")
    assert is_sound(verify_archive(workplace / "tiny.zip", None))
    import_study(workplace / "tiny.zip", workplace / "elsewhere")
    for name in ("external/theirs.json", "forgives.json"):
        assert (workplace / "elsewhere" / "tiny" / name).is_file()

    changed = report.parent.parent / "runs" / "tiny" / "external" / "theirs.json"
    changed.write_text(changed.read_text().replace('"drawn', '"painted'))
    findings = verify(report, workplace / "runs")
    assert [finding for finding in findings if finding.outcome == "FAILS" and "theirs.json" in finding.what]
    bench("add-samples", "tiny", "../plan", "--remove", code=2)  # which is no row
    assert (workplace / "runs" / "tiny" / "plan.json").is_file()
    assert json.loads(bench("add-samples", "tiny", "theirs", "--remove", "--json"))["did"] == "removed"
    assert not changed.exists()
    bench("report")
    assert not (report / "external.csv").exists()


def test_an_extractor_that_takes_weights_can_be_checked(workplace: Path, bench: Bench) -> None:
    bench("new", "my-features", "--extractor")
    file = workplace / "my_features.py"
    needs = "def __init__(self, device, weights=None):\n        super().__init__(device, weights)\n"
    needs += "        self.scale = torch.load(weights, weights_only=True)\n\n    @torch.inference_mode()"
    file.write_text(file.read_text().replace("@torch.inference_mode()", needs))
    torch.save(torch.ones(1), workplace / "weights.pt")
    assert "--weights" in bench("check", "my_features.py", code=1)
    assert json.loads(bench("check", "my_features.py", "--weights", "weights.pt", "--json"))[0]["passed"]
    bench("check", "nsgan", "--weights", "weights.pt", code=2)
    digest = sha256_file(workplace / "weights.pt")
    declared = f'{{file = "my_features.py", weights = "weights.pt", sha256 = "{digest}"}}'
    toml = workplace / "bench.toml"
    toml.write_text(toml.read_text().replace("evaluation = {", f"evaluation = {{extractor = {{mine = {declared}}}, "))
    assert json.loads(bench("check", "my_features.py", "--json"))[0]["passed"]


@pytest.mark.parametrize("kind", ["extractor", "metric", "dataset"])
def test_a_file_of_ones_own_starts_out_meeting_its_contract(workplace: Path, bench: Bench, kind: str) -> None:
    assert "my_thing.py" in bench("new", "my-thing", f"--{kind}")
    report = json.loads(bench("check", "./my_thing.py", "--json"))[0]
    assert report["passed"]
    assert len(report["results"]) == 4
    assert "exists" in bench("new", "my-thing", f"--{kind}", code=2)


UPSIDE_DOWN = """
    better = "lower"

    def value(self, generated: Images, real: Images) -> float:
        return -abs(self.sharpness(generated) / max(self.sharpness(real), 1e-9) - 1)

    def sharpness("""
BROKEN = {
    "shape": ("extractor", "flatten(1)  # N x 96", "flatten(1)[0]"),
    "batches": ("extractor", "/ 127.5 - 1", "/ 127.5 - images.float().mean()"),
    "repeats": ("extractor", "        mean =", "        pixels = pixels + torch.randn(1)\n        mean ="),
    "order": ("extractor", "torch.cat([mean, spread], dim=1).flatten(1)", "mean.flatten(1) * 0 + spread.mean() * 0"),
    "declared": ("metric", "better = None", "good = None"),
    "finite": ("metric", "max(self.sharpness(real), 1e-9)", "max(self.sharpness(real), 1e-9) * float('nan')"),
    "direction": ("metric", "    def sharpness(", UPSIDE_DOWN),
    "counts": ("dataset", "2000 if", "20 if"),
    "images": ("dataset", "index))", "0))"),
    "held out": ("dataset", '(part == "heldout", index)', "index"),
}


@pytest.mark.parametrize("check", BROKEN)
def test_what_breaks_a_contract_is_found(workplace: Path, bench: Bench, check: str) -> None:
    kind, was, becomes = BROKEN[check]
    bench("new", "my-thing", f"--{kind}")
    file = workplace / "my_thing.py"
    assert was in file.read_text()
    # Another path: a module is imported once in this process.
    broken = workplace / f"broken_{check.replace(' ', '_')}.py"
    broken.write_text(file.read_text().replace(was, becomes))
    results = json.loads(bench("check", f"./{broken.name}", "--json", code=1))[0]["results"]
    assert check in [result["check"] for result in results if result["outcome"] == "failed"]


def test_own_files_carry_a_study_from_images_to_report(workplace: Path, bench: Bench) -> None:
    bench("new", "discs", "--dataset")
    bench("new", "fields", "--extractor")
    bench("new", "sharpness", "--metric")
    text = (workplace / "bench.toml").read_text()
    text = text.replace('source = "faces"', 'source = "own", path = "discs.py"')
    text = text.replace(
        'extractors = ["judge"]',
        'extractors = ["fields"], extractor.fields.file = "fields.py", metric.sharpness.file = "sharpness.py"',
    )
    text = text.replace('"coverage_lite0"', '"fd_fields"')
    (workplace / "bench.toml").write_text(text)
    assert "1 done" in bench("run", "nsgan")
    bench("report")
    results = pd.read_csv(workplace / "reports" / "tiny" / "results.csv")
    results = results[results["metric"].notna()]  # vae was not run
    assert results["metric"].str.startswith("fd_fields-own-").any()
    assert results["metric"].str.startswith("sharpness-near-").any()
    assert results[results["metric"].str.startswith("sharpness")]["floor"].between(0.8, 1.25).all()
    plan = read_json(workplace / "runs" / "tiny" / "plan.json")
    assert plan["evaluation"]["extractor"]["fields"]["file"] == "fields.py"
    assert plan["data_title"] == "discs"
    assert is_sound(verify(workplace / "reports" / "tiny", workplace / "runs"))
    assert "own" in bench("list", "datasets")
