"""What can be drawn, with which options: functions, models, backward passes, values, colours, themes; and bad input."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
import types
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import draw
from autodiff.drawing.scale import Scale
from autodiff.drawing.themes import FONT, THEMES, ladder, text_on
from tests.pictures import lines_of, needs_graphviz, shown_in, texts

X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)


# Functions and models


def f(x: Any, y: Any, scale: Any = 1.0) -> Any:
    return (x * y).sum() * scale


def test_a_function_is_drawn_with_its_arguments_names() -> None:
    drawing = draw(f, np.ones(3), 2.0, scale=3.0)
    assert [texts(drawing, name)[1] for name in ("x", "y", "scale")] == ["(3,)", "= 2", "= 3"]
    assert repr(drawing) == repr(draw(f, x=np.ones(3), y=2.0, scale=3.0)) == "Drawing(nodes=6, calls=3)"


def test_containers_are_taken_apart() -> None:
    @dataclass
    class State:
        position: Any
        speed: Any

    def energy(state: State, *others: Any, **more: Any) -> Any:
        return state.position @ state.speed["v"][0] + others[1] * more["k"]

    source = draw(energy, State(np.ones(2), {"v": [np.ones(2)]}), 1.0, 2.0, k=3.0).source
    for name in ("state.position", "state.speed['v'][0]", "others[1]", "k"):
        assert f"<b>{name}</b>" in source
    assert "others[0]" not in source


def test_names_of_tensors_come_first() -> None:
    drawing = draw(f, ad.Tensor([1.0], name="mine"), ad.Tensor([2.0]))
    assert texts(drawing, "mine")
    assert texts(drawing, "y")
    assert texts(draw(f, ad.Tensor([1.0], requires_grad=False, name="frozen"), 2.0), "frozen")


def test_integers_stay_what_they_are_and_keep_their_names() -> None:
    def chosen(x: Any, labels: Any, axis: Any) -> Any:
        assert type(axis) is int
        return np.take(x, labels, axis=axis).sum() + (x * labels).sum()

    labels = np.arange(3)
    drawing = draw(chosen, np.ones(3), labels, 0)
    assert texts(drawing, "labels")[1] == "(3,) int64"


def test_what_is_given_is_not_changed() -> None:
    x, w = np.ones(3), ad.Tensor(2.0)
    draw(f, x, w)
    draw(f, x, w, graph="backward")
    draw(f, x, w, color="grad")
    assert w.grad is None
    assert w.name is None
    np.testing.assert_array_equal(x, 1)


def test_a_model_is_drawn_with_its_input() -> None:
    model = nn.MLP([4, 3], rng=0)
    drawing = draw(model, X)
    assert texts(drawing, "x")[1] == "(5, 4)"
    assert "layers.0: Linear(4, 3)" in drawing.source
    scaled = draw(lambda images: model((images - 1) / 2), X)
    assert texts(scaled, "images")
    assert texts(scaled, "divide")


def test_a_function_is_recorded_also_under_no_grad() -> None:
    with ad.no_grad():
        assert draw(f, 1.0, 2.0).calls == 3


def test_several_outputs_of_a_function() -> None:
    drawing = draw(lambda x: {"a": np.sin(x), "b": [np.cos(x), 3]}, 1.0)
    assert drawing.source.count("peripheries=2") == 3  # the third is in the legend


def test_a_ufunc_can_be_drawn() -> None:
    assert draw(np.tanh, 1.0).calls == 1


# The backward pass


def test_the_backward_pass_shows_every_gradient() -> None:
    x, w = ad.Tensor([1.0, 2.0], name="x"), ad.Tensor([3.0, 4.0], name="w")
    loss = (x * w).sum()
    drawing = draw(loss, graph="backward", show="value")
    assert "∂L/∂x" in drawing.source
    assert "∂L/∂w" in drawing.source
    assert "= 1" in texts(drawing, "∂L/∂L")
    outputs = [line for line in drawing.source.splitlines() if "∂L/∂x" in line or "∂L/∂w" in line]
    assert [re.findall(r">([-\d.]+)<", line) for line in outputs] == [["3", "4"], ["1", "2"]]
    assert "legend_gradient" in drawing.source
    assert x.grad is None
    loss.name = "J"
    assert "∂J/∂x" in draw(loss, graph="backward").source


def test_a_linear_backward_pass_is_recorded_too() -> None:
    drawing = draw(ad.Tensor(2.0, name="x") * 3.0, graph="backward")
    assert repr(drawing) == "Drawing(nodes=3, calls=1)"


def test_the_backward_pass_of_a_model_by_modules() -> None:
    model = nn.MLP([4, 8, 3], activation="relu", rng=0)
    drawing = draw(model, X, graph="backward", depth=1)
    assert texts(drawing, "layers.0: Linear(4, 8)")
    assert "(5, 3), (5, 8) → (5, 8), (8, 3), (3,)" in lines_of(drawing, "backward of layers.2: Linear(8, 3)")


# What a node shows


def test_what_is_shown_is_chosen() -> None:
    x = ad.Tensor([3.0, 4.0], name="x")
    y = (x * x).sum() / 2
    y.backward()
    assert texts(draw(y), "x") == ["x", "(2,)", "3", "4", "gradient", "3", "4"]
    assert texts(draw(y, show=("shape", "grad")), "x") == ["x", "(2,)", "gradient (2,)", "norm 5"]
    assert texts(draw(y, show="shape"), "x") == ["x", "(2,)"]
    assert texts(draw(y, show=["value"]), "x") == ["x", "3", "4"]
    assert texts(draw(y, show="grad"), "x") == ["x", "gradient", "norm 5"]
    assert texts(draw(y, show=("shape", "value", "grad")), "x") == [
        *("x", "(2,)", "3", "4", "gradient (2,)", "norm 5", "3", "4")
    ]
    assert texts(draw(y, show=()), "x") == ["x"]
    assert texts(draw(y, show="value"), "divide") == ["divide", "= 12.5"]


def test_scalar_gradients_are_numbers() -> None:
    x = ad.Tensor(2.0, name="x")
    y = x**3
    y.backward()
    assert texts(draw(y, show=("value", "grad")), "x") == ["x", "= 2", "gradient = 12"]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (np.float64(1 / 3), ["= 0.3333"]),
        (np.array([[1.5, -2.0]]), ["1.5", "-2"]),
        (np.array([np.nan, np.inf, -np.inf]), ["nan", "inf", "-inf"]),
        (np.float64(np.nan), ["= nan"]),
        (np.empty((0, 3)), ["empty"]),
        (np.zeros((2, 3, 4)), ["mean 0, std 0"]),
        (np.arange(20.0), ["mean 9.5, std 5.77"]),
        (
            np.array([np.nan, np.inf, -np.inf, -np.inf] + [1.0, 3.0] * 10),
            ["mean 2, std 1", "1 NaN, 1 Inf, 2 -Inf of 24"],
        ),
        (np.full(20, np.nan), ["20 NaN of 20"]),
        (np.full(20, 1e308), ["mean 1e+308, std 0"]),
    ],
)
def test_values(data: Any, shown: list[str]) -> None:
    x = ad.Tensor(data, name="x")
    with np.errstate(all="ignore"):
        y = x * 2
    assert texts(draw(y, show="value"), "x")[1:] == shown


def test_a_heat_strip_has_a_colour_for_each_part() -> None:
    theme = THEMES["light"]
    x = ad.Tensor(np.repeat([-2.0, 0.0, 1.0, np.nan], 60), name="x")
    cells = re.findall(r'fixedsize="true" bgcolor="(#\w+)"', lines_of(draw(x * 2, show="value"), "x"))
    assert len(cells) == 24
    negative, zero, positive = theme.strip
    assert cells[:12] == [negative] * 6 + [zero] * 6
    assert cells[18:] == [theme.strange] * 6
    assert len(set(cells[12:18])) == 1
    assert cells[12] not in (zero, positive)  # half as far from zero as the largest
    few = ad.Tensor(np.arange(20.0), name="x")
    assert lines_of(draw(few * 2, show="value"), "x").count("fixedsize") == 20


@needs_graphviz
def test_a_picture_with_values_can_be_rendered() -> None:
    x = ad.Tensor(np.array([np.nan, np.inf, 0.0] * 10), name="x")
    x.grad = np.full(30, -np.inf)
    svg = draw((x * np.array([[1.0], [2.0]])).sum(), show=("shape", "value", "grad"), theme="dark")._repr_svg_()
    assert "10 NaN, 10 Inf of 30" in shown_in(svg)
    assert "30 -Inf of 30" in shown_in(svg)


# Colours


def fills(drawing: ad.Drawing) -> dict[str, str]:
    found = re.findall(r"<b>([^<]+)</b>.*fillcolor=\"(#\w+)\"", drawing.source)
    return dict(found)


def test_nodes_are_coloured_by_their_gradient() -> None:
    x = ad.Tensor(1.0, name="x")
    y = x * 1e-3
    z = np.exp(y * 1e-3)
    colours = fills(draw(z, color="grad"))
    assert colours["exp"] == ladder(1)
    assert colours["x"] == ladder(0)
    assert colours["0.001"] == THEMES["light"].fills["constant"]
    assert texts(draw(z, color="grad"), "x") == ["x", "= 1", "gradient = 1e-06"]
    assert x.grad is None


def test_gradients_of_several_uses_and_of_broadcasting_add_up() -> None:
    x = ad.Tensor([3.0, 4.0], name="x")
    drawing = draw((x * np.ones((5, 2))).sum() + x.sum(), color="grad")
    assert texts(drawing, "x")[-2:] == ["6", "6"]
    top, bottom = np.split(ad.Tensor(np.ones(4), name="halves"), 2)
    drawing = draw((top * 2).sum() + (bottom * np.sqrt(3)).sum(), color="grad")
    assert texts(drawing, "halves")[-4:] == ["2", "2", "1.732", "1.732"]
    assert "gradient norm 3.74" in texts(drawing, "split")
    top, bottom = np.split(ad.Tensor(np.ones(4), name="unequal"), [1])
    assert "gradient norm 1" in texts(draw(top.sum(), color="grad"), "split")


def test_vanishing_and_exploding_gradients_are_seen() -> None:
    def deep(activation: str) -> ad.Tensor:
        model = nn.MLP([16, *[16] * 9, 10], activation=activation, rng=0)
        kept.append(model)
        return nn.functional.cross_entropy(model(np.ones((4, 16), np.float32)), np.zeros(4, int))

    kept: list[nn.Module] = []
    drawing = draw([deep("sigmoid"), deep("relu")], depth=1, color="grad")
    assert "×" not in drawing.source
    found = re.findall(r"<b>layers.0: Linear.*?>gradient norm ([\d.e-]+)<.*fillcolor=\"(#\w+)\"", drawing.source)
    (vanished, dark), (fine, light) = found
    assert float(vanished) < 1e-4 * float(fine)
    assert luminance(dark) < luminance(light)
    assert "gradient norm" in drawing.source


def luminance(colour: str) -> float:
    parts = np.array(list(bytes.fromhex(colour[1:]))) / 255
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_scale_is_logarithmic_and_ends_at_whole_decades() -> None:
    theme = THEMES["light"]
    scale = Scale({"a": 2e-7, "b": 0.0, "c": np.nan, "d": 30.0, "e": None}, theme)
    assert re.findall(r">([^<>]+)</font>", scale.legend()) == [
        *("gradient norm", "0", "1e-7", "1e-5", "1e-3", "1e-1", "1e1", "1e3", "NaN, Inf")
    ]
    assert scale.fill("a") != scale.fill("d")
    assert scale.fill("b") == theme.strip[1]
    assert scale.fill("c") == theme.strange
    assert scale.fill("e") is None
    assert not Scale({"e": None}, theme).is_used


@pytest.mark.parametrize("name", list(THEMES))
def test_text_stands_out_from_its_ground(name: str) -> None:
    theme = THEMES[name]
    for fill in (*theme.fills.values(), *theme.boxes, theme.ground):
        assert contrast(theme.text, fill) > 7
        assert contrast(theme.quiet, fill) > 4.5
    assert len(set(theme.borders.values())) >= 7
    for share in np.linspace(0, 1, 50):
        assert contrast(text_on(ladder(share)), ladder(share)) > 4.5


def test_the_ladder_grows_lighter() -> None:
    steps = [luminance(ladder(share)) for share in np.linspace(0, 1, 30)]
    assert (np.diff(steps) > 0).all()
    assert ladder(-1) == ladder(0)
    assert ladder(2) == ladder(1)


def test_a_dark_picture_has_no_colour_of_the_light_one() -> None:
    model = nn.MLP([4, 3], rng=0)
    dark = set(re.findall(r"#[0-9A-F]{6}", draw(model, X, theme="dark", show="value").source))
    light = THEMES["light"]
    assert not dark & {light.ground, light.text, light.quiet, *light.fills.values(), *light.boxes}


# The page that a notebook or a browser gets


@needs_graphviz
def test_nodes_and_edges_have_ids() -> None:
    x = ad.Tensor(2.0)
    svg = draw(x * x)._repr_svg_()
    assert set(re.findall(r'id="((?:node|edge)_\w+)"', svg)) == {"node_n0", "node_n1", "edge_n0_n1_1", "edge_n0_n1_2"}


@needs_graphviz
def test_a_notebook_gets_html_that_scrolls() -> None:
    page = draw(ad.Tensor(1.0) * 2, theme="light")._repr_html_()
    assert page.startswith('<div style="overflow: auto"><svg')
    assert "<?xml" not in page


@needs_graphviz
def test_show_opens_a_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    draw(ad.Tensor(1.0) * 2).show()
    assert Path(opened[0].removeprefix("file://")).read_text("utf-8").startswith("<?xml")
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    with pytest.raises(RuntimeError, match=r"no web browser to open .*graph\.svg with"):
        draw(ad.Tensor(1.0) * 2).show()


def test_show_shows_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    notebook = types.SimpleNamespace(
        get_ipython=lambda: types.SimpleNamespace(kernel=None), display=types.SimpleNamespace(display=shown.append)
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    drawing = draw(ad.Tensor(1.0) * 2)
    drawing.show()
    assert shown == [drawing]


# Bad input


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"graph": "up"}, "graph='up' is unknown; known are 'forward', 'backward'"),
        ({"theme": "blue"}, "theme='blue' is unknown; known are 'auto', 'light', 'dark'"),
        ({"color": "value"}, "color='value' is unknown; known are None, 'grad'"),
        ({"show": "shapes"}, "show='shapes' is unknown; known are 'shape', 'value', 'grad'"),
        ({"theme": np.array(["dark", "light"])}, "theme=array"),
        ({"show": ("shape", 3)}, "show=3 is unknown; known are 'shape', 'value', 'grad'"),
        ({"depth": -1}, "depth must be None or a number of levels, .* got -1"),
        ({"depth": 1.0}, "depth must be None or a number of levels, .* got 1.0"),
        ({"depth": True}, "got True"),
        ({"color": "grad", "graph": "backward"}, "color='grad' is for graph='forward'"),
    ],
)
def test_unknown_options(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"draw: .*{message}"):
        draw(ad.Tensor(1.0) * 2, **option)


def test_an_option_that_is_no_list() -> None:
    with pytest.raises(TypeError, match="draw: show must be a name or several, got int"):
        draw(ad.Tensor(1.0) * 2, show=3)


def test_a_model_needs_example_inputs() -> None:
    with pytest.raises(TypeError, match=r"draw: model\(x\) needs example inputs.*ad\.draw\(model, x\)"):
        draw(nn.MLP([4, 3]))
    with pytest.raises(TypeError, match=r"draw: f\(x, y, scale\) needs .*ad\.draw\(f, x, y, scale\): missing .*'y'"):
        draw(f, 1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        draw(f, 1.0, 2.0, z=3.0)


def test_an_option_and_an_argument_of_one_name() -> None:
    def tall(x: Any, depth: int = 1) -> Any:
        return x * depth

    assert draw(tall, 2.0).calls == 1
    with pytest.raises(
        TypeError, match=r"depth= is an option of draw, and tall has .*functools\.partial\(tall, depth="
    ):
        draw(tall, 2.0, depth=3)


@pytest.mark.parametrize("what", [nn.MLP, 3, "f"])
def test_what_cannot_be_drawn(what: Any) -> None:
    with pytest.raises(TypeError, match="draw: expected a Tensor, a list of Tensors, or a function or model"):
        draw(what, 1.0)


def test_inputs_without_a_function() -> None:
    x = ad.Tensor(1.0) * 2
    with pytest.raises(TypeError, match=r"several Tensors, give ad\.draw\(\[y, z\]\)"):
        draw(x, x)
    with pytest.raises(TypeError, match="example inputs are for a function"):
        draw(x, inputs=1.0)


@pytest.mark.parametrize("function", [lambda x: 3.0, lambda x: None, lambda x: np.ones(3), lambda x: x > 0])
def test_a_function_that_records_nothing(function: Any) -> None:
    with pytest.raises(ValueError, match=r"draw: <lambda> gave an? \w+ that has no graph"):
        draw(function, 1.0)


def test_integers_are_not_followed() -> None:
    with pytest.raises(ValueError, match=r"only floats are followed, so give 2\.0 in place of 2"):
        draw(lambda x: x * 2, 2)


def test_errors_of_the_function_come_through() -> None:
    with pytest.raises(ValueError, match="matmul"):
        draw(lambda x: x @ np.ones(3), np.ones(2))


def test_a_graph_that_was_changed_has_no_colours() -> None:
    w = ad.Tensor(2.0, name="w")
    y = w * w
    w.data = np.float64(3.0)
    with pytest.raises(RuntimeError, match=r"Tensor 'w'.*was changed after"):
        draw(y, color="grad")


def test_names_of_modules_are_shown_and_never_obeyed() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.layers = {'<b>"x"</b>\n': nn.Linear(4, 4, rng=0)}

        def forward(self, x: Any) -> Any:
            (layer,) = self.layers.values()
            return layer(x)

        def __repr__(self) -> str:
            return "Odd(<script>): 1"

    model = Odd()
    for depth in (None, 0, 1):
        source = draw(model, X, depth=depth).source
        assert "<b>&lt;b" in source or "Odd(&lt;script&gt;)" in source
        assert "<script>" not in source
        assert '<b>"x"' not in source


def test_nothing_of_nn_is_imported_for_a_picture() -> None:
    code = "import sys, autodiff as ad; ad.draw(ad.Tensor(1.0) * 2); print('nn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# Text in its box

_MEASURE = """<script>
const found = [];
for (const node of document.querySelectorAll("g.node")) {
  const shapes = [...node.querySelectorAll("polygon, ellipse, path, polyline")].map((s) => s.getBoundingClientRect());
  const left = Math.min(...shapes.map((s) => s.left)), right = Math.max(...shapes.map((s) => s.right));
  const top = Math.min(...shapes.map((s) => s.top)), bottom = Math.max(...shapes.map((s) => s.bottom));
  for (const text of node.querySelectorAll("text")) {
    const place = text.getBoundingClientRect();
    const outside = Math.max(left - place.left, place.right - right, top - place.top, place.bottom - bottom);
    found.push([text.textContent, outside]);
  }
}
document.body.textContent = "MEASURED" + JSON.stringify(found) + "END";
</script>"""


@needs_graphviz
@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium to measure text in")
@pytest.mark.parametrize("fonts", [FONT, "DejaVu Sans Condensed"])
def test_text_does_not_overflow_its_box(fonts: str, tmp_path: Path) -> None:
    model = nn.MLP([4, 8, 3], activation="relu", rng=0)
    loss = nn.functional.cross_entropy(model(X), np.zeros(5, int))
    loss.backward()
    names = [ad.Tensor(1.0, name=name) for name in ("W" * 40, "i" * 40, "∂L/∂W₁ ∇²φ", "Слой", "<b>&amp;</b>")]
    drawings = [
        draw(loss, show=("shape", "value", "grad")),
        draw(loss, graph="backward", depth=1),
        draw(loss, theme="dark", depth=1),
        draw(sum(names, start=ad.Tensor(0.0))),
    ]
    page = tmp_path / "page.html"
    pictures = "".join(drawing._repr_html_() for drawing in drawings).replace(FONT, fonts)
    page.write_text(f'<meta charset="utf-8"><body>{pictures}{_MEASURE}', "utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True)
    measured = json.loads(html.unescape(done.stdout.split("MEASURED")[1].split("END")[0]))
    assert len(measured) > 150
    assert [(text, outside) for text, outside in measured if outside > 0] == []
