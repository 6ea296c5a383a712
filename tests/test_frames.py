"""Frames of the steps through a graph: what is in them, where it stands, and what is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import frames
from tests.pictures import needs_graphviz

pytest.importorskip("PIL")
from PIL import Image, ImageChops

pytestmark = needs_graphviz


def product() -> ad.Tensor:
    x, w = ad.Tensor(2.0, name="x"), ad.Tensor(-3.0, name="w")
    y = x * w
    y.name = "y"
    return y


def test_an_animation_has_a_frame_for_each_step() -> None:
    image = Image.open(io.BytesIO(frames.animation([product()])))
    assert (image.n_frames, image.size, image.info["loop"]) == (6, frames.SIZE, 0)
    durations, pictures = [], []
    for number in range(6):
        image.seek(number)
        durations.append(image.info["duration"])
        pictures.append(image.convert("RGB"))
    assert durations == [2000] * 5 + [6000]
    # From step to step only the nodes of the two change, and what is below.
    reel = frames._Reel([product()], "light")
    room = reel._room
    boxes = [reel._boxes[step.node.key] for step in reel._steps]
    shift = reel._shift(boxes[0])
    graphs = [picture.crop((0, 0, picture.width, room)) for picture in pictures]
    for before, after, *two in zip(graphs, graphs[1:], boxes, boxes[1:]):
        changed = np.asarray(ImageChops.difference(before, after)).max(axis=2) > 8
        others = changed.copy()
        for left, top, right, bottom in two:
            place = slice(top + shift[1], bottom + shift[1]), slice(left + shift[0], right + shift[0])
            assert changed[place].any()
            others[place] = False
        assert not others.any()


def test_what_is_said_of_steps() -> None:
    reel = frames._Reel([product() + ad.Tensor([1.0, 2.0], name="b") @ np.array([0.5, 1.0])], "dark")
    captions = dict(zip([(reel._names[step.node.key], step.phase) for step in reel._steps], reel._captions))
    assert captions["x", "forward"] == ["x = 2"]
    assert captions["y", "forward"] == ["y = x·w = −6", "x = 2,   w = −3"]
    assert captions["y", "backward"] == [
        "∂v₂/∂y = 1",
        "∂v₂/∂x = ∂v₂/∂y · w = 1 · (−3) = −3",
        "∂v₂/∂w = ∂v₂/∂y · x = 1 · 2 = 2",
    ]
    assert captions["w", "backward"] == ["∂v₂/∂w = 2"]
    assert captions["v₁", "backward"][1].startswith("∂v₂/∂b = ")
    assert captions["v₁", "backward"][1].endswith(" = [0.5, 1]")


def test_a_large_graph_is_followed() -> None:
    y: Any = ad.Tensor(0.5, name="x")
    for _ in range(30):
        y = np.sin(y)
    reel = frames._Reel([y], "light")
    assert max(reel._empty.size) > max(frames.SIZE)
    assert reel._scale == pytest.approx(1.15)
    for box in (reel._boxes[step.node.key] for step in reel._steps):
        x, y0 = reel._shift(box)
        assert box[0] + x >= 0
        assert box[2] + x <= frames.SIZE[0]
        assert box[1] + y0 >= 0
        assert box[3] + y0 <= reel._room


def test_an_image_each(tmp_path: Path) -> None:
    (tmp_path / "steps-001.png").write_bytes(b"old")
    drawing = ad.draw(product(), theme="dark")
    path = drawing.save(tmp_path / "steps-*.png")
    assert path == tmp_path / "steps-*.png"
    files = sorted(path.parent.glob(path.name))
    assert [file.name for file in files] == [f"steps-{number:03}.png" for number in range(1, 7)]
    for file in files:
        with Image.open(file) as image:
            assert image.size == (1920, 1080)
            assert image.convert("RGB").getpixel((2, 2)) == (0x17, 0x19, 0x1C)
    with pytest.raises(FileNotFoundError, match=r"cannot write .*nowhere"):
        drawing.save(tmp_path / "nowhere" / "steps-*.png")


def test_frames_have_the_colours_of_the_theme() -> None:
    model = nn.MLP([2, 1], rng=0)
    reel = frames._Reel([model(ad.Tensor(np.ones((1, 2), np.float32)))], "light")
    theme = reel._theme
    frame = next(iter(reel.frames())).convert("RGB")
    most = {"#{:02X}{:02X}{:02X}".format(*colour) for count, colour in frame.getcolors(256) if count > 2_000}
    assert {theme.ground, *theme.boxes, theme.fills["input"], theme.fills["parameter"]} <= most


@pytest.mark.parametrize("name", ["a*.svg", "a*.gif", "a*b*.png", "f*/a.png", "f*/a*.png"])
def test_a_star_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"save: one \* in the name of a \.png stands for a step's number"):
        ad.draw(product()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_had_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.gif"
    path.write_bytes(b"old")
    drawing = ad.draw(product())
    monkeypatch.setattr(frames, "MOST_FRAMES", 5)
    with pytest.raises(ValueError, match=r"6 steps are too many for frames \(the most is 5\)"):
        drawing.save(path)
    compiled = ad.compile(lambda x: x * 2)
    compiled(np.ones(3))
    with pytest.raises(ValueError, match="a program has no numbers to step through"):
        ad.draw(compiled).save(path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"save: frames need Pillow, which is not installed: pip install"):
        drawing.save(path)
    assert path.read_bytes() == b"old"


def test_a_series_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = ad.draw(ad.Tensor(2.0) * 3)
    for name in ("s-003.png", "s-old.png"):
        (tmp_path / name).write_bytes(b"old")
    before = sorted(tmp_path.iterdir())

    def fail_late(path: Path, content: bytes) -> None:
        if path.name == "s-002.png":
            raise OSError(28, "the disk is full")
        path.write_bytes(content)

    monkeypatch.setattr("autodiff.drawing.picture.images", lambda *_: [b"1", b"2"])
    with monkeypatch.context() as patch:
        patch.setattr("autodiff.drawing.picture.write_atomically", fail_late)
        with pytest.raises(OSError, match="full"):
            drawing.save(tmp_path / "s-*.png")
    assert sorted(tmp_path.iterdir()) == before
    drawing.save(tmp_path / "s-*.png")  # and nothing of others is lost
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "s-001.png", tmp_path / "s-002.png", *before])
