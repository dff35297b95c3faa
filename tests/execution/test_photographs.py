"""`bench report --show-training-images`: neighbours among photographs, drawn on request alone. Really trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.tiny_study import on_cpu, write_tiny_study
from PIL import Image

from bench.__main__ import run
from bench.data.faces import draw_faces


@pytest.mark.slow
def test_neighbours_among_photographs_are_drawn_and_shown_on_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for index, face in enumerate(draw_faces(3, range(600), 32)):
        Image.fromarray(face.transpose(1, 2, 0)).save(tmp_path / "images" / f"{index:03d}.png")
    write_tiny_study(
        tmp_path,
        data={"source": "folder", "path": "images", "train_count": None, "heldout_count": None},
        budget={"generator_steps": 4},
        training={"log_every": 2},
        evaluation={"extractors": ["lite0"], "kid_subset_size": 10},
    )

    def type_(*words: str) -> str:
        assert run(on_cpu(words)) == 0, capsys.readouterr()
        return (tmp_path / "reports" / "tiny" / "report.html").read_text("utf-8") if "report" in words else ""

    type_("run", "--all", "--per-device", "1")
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
