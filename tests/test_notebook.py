"""What a notebook shows, in a kernel of its own: progress, histories, pictures, drawings and a training as it goes."""

from __future__ import annotations

import base64
import inspect
import io
import re
from pathlib import Path
from typing import Any

import pytest

from autodiff.drawing.notebook import colours
from autodiff.drawing.themes import THEMES

pytest.importorskip("ipykernel")
pytest.importorskip("nbclient")
pytest.importorskip("matplotlib")

import nbformat
from nbclient import NotebookClient
from PIL import Image

from tests.test_page import browser, needs_chromium

__all__ = ["browser"]  # a fixture

ROOT = Path(__file__).parent.parent
CELLS = {
    "start": """
        import importlib.util, os, shutil, warnings
        import numpy as np
        import autodiff as ad, nn
        warnings.simplefilter("error")
        X = np.random.default_rng(0).normal(size=(60, 2))
        labels = (X[:, 0] * X[:, 1] > 0).astype(int)
        model = nn.MLP([2, 8, 2], rng=0)
        x = ad.Tensor([1.0, 2.0], name="x")
        y = (x * x).sum()
        live = nn.plots.Live(X, labels, seconds=1e9)
        """,
    "fit": 'nn.fit(model, X, labels, epochs=20, validation_data=(X, labels), metrics=["accuracy"], rng=0)',
    "live": "history = nn.fit(model, X, labels, epochs=9, callbacks=[live], rng=0, progress=False)",
    "quiet": """
        os.environ["TQDM_DISABLE"] = "1"
        nn.fit(model, X, labels, epochs=1, rng=0);
        """,
    "curves": "history.plot()",
    "figure": "nn.plots.weights(model, (1, 2)).figure",
    "drawing": "ad.draw(y)",
    "page": "ad.draw(y).page()",
    "without Graphviz": """
        shutil.which = importlib.util.find_spec = lambda name: None
        ad.draw(y)
        """,
    "end": "warnings.resetwarnings()",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Run all cells, and give what stands below each; an error in one of them is raised."""
    cells = [nbformat.v4.new_code_cell(inspect.cleandoc(source)) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TQDM_DISABLE", raising=False)
        patch.setenv("PYTHONPATH", str(ROOT))
        NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells)}


def test_training(outputs: dict[str, list[Any]]) -> None:
    bar, history = outputs["fit"]
    assert re.fullmatch(r"20/20 \[.*\] \|█+\| loss 0\.\d{4}  val_acc 0\.\d{4}  val_loss .*", bar.data["text/plain"])
    assert history.data["text/plain"].startswith("History of 20 epochs in ")
    html = history.data["text/html"]
    image, table = re.match('<img src="data:image/png;base64,([^"]+)".*(<table>.*</table>)', html).groups()
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert "<th>epoch</th><th>1</th>" in table
    assert "<th>validation_accuracy</th><td>" in table
    assert outputs["quiet"] == outputs["start"] == outputs["end"] == []


def test_pictures(outputs: dict[str, list[Any]]) -> None:
    for name in ("live", "curves", "figure"):
        (shown,) = outputs[name]  # also of what was drawn anew at the end
        image = Image.open(io.BytesIO(base64.b64decode(shown.data["image/png"])))
        assert image.width == pytest.approx(2 * shown.metadata["image/png"]["width"], abs=3)


def test_drawings(outputs: dict[str, list[Any]]) -> None:
    (drawing,), (page,), (refused,) = (outputs[name] for name in ("drawing", "page", "without Graphviz"))
    assert {*drawing.data} == {"image/svg+xml", "text/html", "text/plain"}
    assert "light-dark" not in drawing.data["image/svg+xml"]
    assert "&lt;!DOCTYPE html&gt;" in page.data["text/html"]
    assert re.search(r">drawing as svg needs Graphviz, .*pip install [^<>]*</div>$", refused.data["text/html"])
    assert refused.data["text/plain"] == "Drawing(nodes=3, calls=2)"


@needs_chromium
@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("notebook", ["", "light", "dark"])
def test_they_follow_the_theme(
    system: Any, notebook: str, outputs: dict[str, list[Any]], browser: Any, tmp_path: Path
) -> None:
    attribute = f'data-jp-theme-light="{str(notebook == "light").lower()}"' if notebook else ""
    body = "".join(outputs[name][0].data["text/html"] for name in ("drawing", "page"))
    file = tmp_path / "notebook.html"
    file.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body {attribute}>{body}</body>', "utf-8")
    tab = browser.new_page(color_scheme=system)
    tab.goto(file.as_uri())
    theme = THEMES[notebook or system]
    fills = {"#node_n0 ellipse": theme.fills["input"], "#node_n0 text": theme.text, ".graph > polygon": theme.ground}
    for element, colour in fills.items():
        found = tab.eval_on_selector(element, "element => getComputedStyle(element).fill")
        assert found == f"rgb{tuple(bytes.fromhex(colour[1:]))}"
    button = tab.frame_locator("iframe").locator("#theme")
    assert button.inner_text() == ("Dark" if (notebook or system) == "light" else "Light")  # what it would become
    tab.close()


def test_each_colour_has_one_in_the_dark() -> None:
    pairs = [pair for name in ("borders", "fills") for pair in zip(*(vars(THEMES[t])[name].values() for t in THEMES))]
    pairs += [(vars(THEMES["light"])[name], vars(THEMES["dark"])[name]) for name in ("ground", "text", "quiet", "line")]
    assert all(colours()[light] == dark for light, dark in pairs)
    assert not {*THEMES["light"].strip[1:2], THEMES["light"].strange} & {*colours()}
