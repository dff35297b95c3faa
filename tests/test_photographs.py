"""`bench report --show-training-images`: neighbours among photographs, drawn on request alone. Really trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from bench.__main__ import run
from bench.data.faces import draw_faces

STUDY = """
[study.photographs]
title = "A folder of images"
objectives = ["nsgan"]
seeds = 1
primary_metric = "fd_lite0"

[study.photographs.data]
source = "folder"
path = "images"
resolution = 32

[study.photographs.backbone]
width = 4
latent = 8

[study.photographs.budget]
generator_steps = 4
batch = 8
halve_every = 6

[study.photographs.training]
snapshots = 2
log_every = 2

[study.photographs.evaluation]
extractors = ["lite0"]
samples = 50
snapshot_samples = 50
kid_subset_size = 10
"""


@pytest.mark.slow
def test_neighbours_among_photographs_are_drawn_and_shown_on_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for index, face in enumerate(draw_faces(3, range(600), 32)):
        Image.fromarray(face.transpose(1, 2, 0)).save(tmp_path / "images" / f"{index:03d}.png")
    (tmp_path / "bench.toml").write_text('default_study = "photographs"\n' + STUDY, encoding="utf-8")

    def type_(*words: str) -> str:
        assert run(list(words)) == 0, capsys.readouterr()
        return (tmp_path / "reports" / "photographs" / "report.html").read_text("utf-8") if "report" in words else ""

    type_("run", "--all", "--workers", "1")
    assert not list((tmp_path / "runs").rglob("nearest.png"))
    assert "Nearest training images" not in type_("report")
    page = type_("report", "--show-training-images")
    (drawn,) = (tmp_path / "runs").rglob("nearest.png")
    assert "Nearest training images" in page
    with Image.open(drawn) as image:
        _, in_pixels = json.loads(image.info["bench"])
    assert "training images in 16 x 16 pixels" in in_pixels["row"]
    assert in_pixels["row"] in page
    type_("verify")
