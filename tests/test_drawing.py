"""Pictures: what is in the graph, how it is written, and how it becomes a file."""

import errno
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import draw, render
from autodiff.drawing.nodes import Node, nodes_of
from tests.pictures import lines_of, needs_graphviz, shown_in, texts

needs_pygraphviz = pytest.mark.skipif(
    not importlib.util.find_spec("pygraphviz"), reason="the pygraphviz wheel is not installed"
)
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}


class Parameter(ad.Tensor):
    __slots__ = ()


def two_layers() -> ad.Tensor:
    """Two layers on rows of data, with arrays of 40 numbers and of 8, and nothing that holds them but the graph."""
    rng = np.random.default_rng(0)
    W1 = Parameter(rng.normal(size=(4, 5)), name="layers.0.weight")
    b1 = Parameter(np.zeros(5), name="layers.0.bias")
    W2 = Parameter(rng.normal(size=(5, 1)), name="layers.1.weight")
    b2 = Parameter(np.zeros(1), name="layers.1.bias")
    x = ad.Tensor(rng.normal(size=(8, 4)), name="x")
    return ((np.tanh(x @ W1 + b1) @ W2 + b2 - rng.normal(size=(8, 1))) ** 2).mean()


def node_of(nodes: list[Node], tensor: ad.Tensor) -> Node:
    return next(node for node in nodes if node.value is tensor)


# What is in the graph


def test_kinds_of_nodes():
    x, w, frozen = ad.Tensor([1.0, 2.0]), Parameter([3.0, 4.0]), Parameter([5.0, 6.0])
    frozen.requires_grad = False
    array = np.array([7.0, 8.0])
    y = x * w + frozen + array
    kinds = {id(node.value): node.kind for node in nodes_of([y])}
    assert [kinds[id(value)] for value in (x, w, frozen, array, y)] == [
        "input",
        "parameter",
        "constant",
        "constant",
        "call",
    ]


def test_kinds_differ_in_shape_and_in_colour():
    drawing = draw(two_layers())
    looks = [lines_of(drawing, title).split("> ")[-1] for title in ("x", "layers.0.weight", "array", "tanh", "mean")]
    for attribute in ("shape", "color", "fillcolor"):
        values = {re.search(rf"\b{attribute}=([^] ]+)", look)[1] for look in looks}
        assert len(values) == (4 if attribute == "shape" else 5), attribute


def test_two_layers_show_names_and_shapes():
    drawing = draw(two_layers())
    assert repr(drawing) == "Drawing(nodes=15, calls=8)"
    shapes = {
        "x": (8, 4),
        "layers.0.weight": (4, 5),
        "layers.0.bias": (5,),
        "layers.1.weight": (5, 1),
        "layers.1.bias": (1,),
        "tanh": (8, 5),
        "array": (8, 1),
        "subtract": (8, 1),
    }
    for title, shape in shapes.items():
        assert str(shape) in lines_of(drawing, title), title
    assert "(" not in lines_of(drawing, "2").split("</b>")[1]
    assert "(" not in lines_of(drawing, "mean").split("</b>")[1]


def test_edges_lead_from_the_arguments_to_the_call_in_their_order():
    x, y = ad.Tensor(1.0), ad.Tensor(2.0)
    difference = y - np.tanh(x)
    nodes = nodes_of([difference])
    keys = [node_of(nodes, y).key, next(node.key for node in nodes if node.operands == (node_of(nodes, x).key,))]
    assert node_of(nodes, difference).operands == tuple(keys)
    source = draw(difference).source
    head = node_of(nodes, difference).key
    assert f"{keys[0]} -> {head} [headlabel=1 id=edge_{keys[0]}_{head}_1]" in source
    assert f"{keys[1]} -> {head} [headlabel=2 id=edge_{keys[1]}_{head}_2 weight=8]" in source
    assert f"id=node_{head} " in source
    assert "headlabel" not in draw(x * y).source


def test_what_is_used_twice_is_one_node():
    x, array = ad.Tensor([1.0, 2.0]), np.array([3.0, 4.0])
    y = (x * x + array) * array
    nodes = nodes_of([y])
    assert len(nodes) == 5
    square = next(node for node in nodes if node.operands == (node_of(nodes, x).key,) * 2)
    assert draw(y).source.count(f"{square.operands[0]} -> {square.key}") == 2


def test_a_number_is_a_node_each_time():
    assert draw(ad.Tensor(1.0) * 2 * 2).nodes == 5


def test_several_outputs_are_marked():
    x = ad.Tensor([1.0, 2.0])
    first, second = np.exp(x), np.exp(x).sum()
    drawing = draw([first, second])
    assert [node.is_output for node in nodes_of([first, second])].count(True) == 2
    assert drawing.nodes == 4
    assert drawing.source.count("peripheries=2") == 3  # the third is in the legend
    assert draw((first, first)).source.count("peripheries=2") == 2


def test_a_leaf_can_be_drawn():
    assert repr(draw(ad.Tensor(1.0, name="alone"))) == "Drawing(nodes=1, calls=0)"


def test_the_legend_explains_only_what_occurs():
    source = draw(np.tanh(ad.Tensor(1.0))).source
    legend = [line.split()[0] for line in source.splitlines() if line.strip().startswith("legend_")]
    assert legend == ["legend_input", "legend_call", "legend_output"]
    assert "legend_parameter" in draw(two_layers()).source


def test_dtype_is_shown_where_it_differs():
    x = ad.Tensor(np.ones(3, np.float32), name="x")
    drawing = draw(x.astype(np.float64).sum())
    assert "(3,) float32" in lines_of(drawing, "x")
    assert "dtype=float64" in lines_of(drawing, "astype")
    assert "float64 unless noted" in drawing.source
    assert "float64" not in lines_of(drawing, "sum")


@pytest.mark.parametrize(
    ("call", "title", "setting"),
    [
        (lambda x: x.sum(axis=0), "sum", "axis=0"),
        (lambda x: np.sum(x, 1), "sum", "axis=1"),
        (lambda x: x.prod(axis=(0, 1)), "prod", "axis=(0, 1)"),
        (lambda x: x.max(axis=0, keepdims=True), "max", "keepdims=True"),
        (lambda x: x.min(axis=-1), "min", "axis=-1"),
        (lambda x: x[1], "getitem", "[1]"),
        (lambda x: x[1:, ::2], "getitem", "[1:, ::2]"),
        (lambda x: x[..., None, 0], "getitem", "[..., None, 0]"),
        (lambda x: x[np.array([0, 1]), 1], "getitem", "[array (2,), 1]"),
        (lambda x: x[list(range(2)) * 50], "getitem", "[[0, 1, 0, 1, …]]"),
        (lambda x: x.reshape(3, 2), "reshape", "shape=(3, 2)"),
        (lambda x: np.swapaxes(x, 0, 1), "swapaxes", "axis1=0"),
        (lambda x: np.concatenate([x, np.ones((1, 3))], axis=0), "concatenate", "axis=0"),
    ],
)
def test_settings_are_text_and_not_nodes(call, title, setting):
    drawing = draw(call(ad.Tensor(np.ones((2, 3)), name="x")))
    assert f">{setting}<" in lines_of(drawing, title)
    assert drawing.nodes == (3 if title == "concatenate" else 2)


def test_settings_that_say_nothing_are_left_out():
    line = lines_of(draw(ad.Tensor([1.0, 2.0]).sum()), "sum")
    assert "axis" not in line
    assert "keepdims" not in line


def test_operands_that_are_no_tensors_are_nodes():
    x = ad.Tensor([1.0, -2.0], name="x")
    chosen = draw(np.where(np.array([True, False]), x, 0.5))
    assert "(2,) bool" in lines_of(chosen, "array")
    assert lines_of(chosen, "0.5")
    assert draw(x.clip(0, None)).nodes == 3
    assert "(2, 2)" in lines_of(draw(x @ np.ones((2, 2))), "array")
    assert "(2,)" in lines_of(draw(np.add(x, [1.0, 2.0])), "array")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (2, "2"),
        (0.1, "0.1"),
        (np.float64(1 / 3), "0.333333"),
        (np.array(4.0), "4"),
        (1e-12, "1e-12"),
        (np.inf, "inf"),
    ],
)
def test_numbers_are_shown(number, shown):
    assert "(" not in lines_of(draw(ad.Tensor(1.0, name="x") * number), shown).split("</b>")[1]
    assert "(" not in lines_of(draw(ad.Tensor(1.0) * ad.Tensor(7.0, requires_grad=False)), "7").split("</b>")[1]


def test_a_constant_tensor_is_shown_by_its_name():
    data = ad.Tensor(np.ones((2, 3)), requires_grad=False, name="images")
    assert "(2, 3)" in lines_of(draw(ad.Tensor(1.0) * data), "images")


def test_a_named_call_shows_its_name():
    hidden = np.tanh(ad.Tensor(1.0))
    hidden.name = "hidden"
    assert "<i>hidden</i>" in lines_of(draw(hidden * 2), "tanh")


def test_a_call_with_several_outputs():
    x = ad.Tensor(np.ones((4, 2)))
    top, bottom = np.split(x, 2)
    drawing = draw(top * bottom)
    assert ">2 arrays<" in lines_of(drawing, "split")
    assert drawing.source.count("<b>pick</b>") == 2
    assert ">[1]<" in drawing.source


def test_the_backward_pass_can_be_drawn():
    x = ad.Tensor(2.0, name="x")
    (x**3).backward(create_graph=True)
    assert draw(x.grad).calls > 1


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
def test_empty_and_scalar_arrays(shape):
    x = ad.Tensor(np.ones(shape), name="x")
    y = (x * 2).sum()
    y.backward()
    drawing = draw(y, show=("shape", "grad"))
    assert f">{shape}<" in lines_of(drawing, "x")
    assert (">gradient = 2<" if shape == () else f">norm {2 * x.size}<") in lines_of(drawing, "x")
    numbers = ["= 1", "gradient = 2"] if shape == () else [str(shape), *["1", "gradient", "2"][: 3 * x.size]]
    assert texts(draw(y), "x")[1:] == numbers


# Gradients


def test_leaves_show_the_norm_of_their_gradient_after_backward():
    x, w = ad.Tensor([3.0, 4.0], name="x"), Parameter([1.0, 1.0], name="w")
    y = (x * w).sum()
    assert "gradient" not in draw(y).source
    y.backward()
    drawing = draw(y, show=("shape", "grad"))
    assert ">gradient (2,)<" in lines_of(drawing, "w")
    assert ">norm 5<" in lines_of(drawing, "w")
    assert ">norm 1.41<" in lines_of(drawing, "x")
    assert ">gradient = 1<" in lines_of(drawing, "sum")


@pytest.mark.parametrize(
    ("gradient", "shown"),
    [
        (np.array([np.nan, 1.0]), "nan"),
        (np.array([np.inf, 1.0]), "inf"),
        (np.array([-np.inf, np.nan]), "nan"),
        (np.array([3e200, 4e200]), "5e+200"),
        (np.array([3e30, 4e30], np.float32), "5e+30"),
        (np.array([3e-200, 4e-200]), "5e-200"),
        (np.zeros(2), "0"),
        (ad.Tensor([3.0, 4.0]), "5"),
    ],
)
def test_any_gradient_can_be_shown(gradient, shown):
    x = ad.Tensor([1.0, 2.0], name="x")
    x.grad = gradient
    assert f">norm {shown}<" in lines_of(draw(x.sum(), show=("shape", "grad")), "x")


# Formulas


def test_edges_that_a_gradient_comes_back_along_have_a_formula():
    x, w = ad.Tensor([1.0, 2.0], name="x"), Parameter([3.0, 4.0], name="w")
    source = draw(np.tanh(x * w) ** 2 - np.ones(2), formulas=True).source
    labels = re.findall(r"label=<&#160;&#160;(.*)&#160;>", source)
    shown = [re.sub("<.*?>", "", label) for label in labels]
    assert sorted(shown) == sorted(
        ["∂(x·w)/∂x = w", "∂(x·w)/∂w = x", "∂tanh(v₁)/∂v₁ = 1 − tanh²(v₁)", "∂(v₂²)/∂v₂ = 2·v₂", "∂(v₃ − c₁)/∂v₃ = 1"]
    )
    assert "∂(<i>x</i>·<i>w</i>)/∂<i>w</i> = <i>x</i>" in labels
    assert "1 − tanh²(<i>v₁</i>)" in source
    assert source.count("headlabel") == 4  # of the power and the difference


def test_one_array_used_twice_has_a_formula_for_each_use():
    x = ad.Tensor([1.0, 2.0], name="x")
    nodes = nodes_of([x / x])
    edges = re.findall(r"label=<&#160;&#160;(.*)&#160;> .*id=edge_(\w+)", draw(x / x, formulas=True).source)
    edges.sort(key=lambda edge: edge[1])
    first, second = (re.sub("<.*?>", "", label) for label, _ in edges)
    assert (first, second) == ("∂(x⁽¹⁾ / x⁽²⁾)/∂x⁽¹⁾ = 1/x⁽²⁾", "∂(x⁽¹⁾ / x⁽²⁾)/∂x⁽²⁾ = −x⁽¹⁾ / (x⁽²⁾)²")
    assert [edge for _, edge in edges] == [f"{nodes[0].key}_{nodes[1].key}_{k}" for k in (1, 2)]


def test_every_letter_of_a_formula_is_that_of_a_node():
    x, y = ad.Tensor([1.0, 2.0], name="x"), ad.Tensor([3.0, 4.0], name="v₂")
    source = draw(np.where([True, False], (x + 1) * np.exp(y), np.ones(2)).sum() * x, formulas=True).source
    assert "∂(<i>z₁</i>·<i>z₂</i>)/∂<i>z₁</i> = <i>z₂</i>" in source
    letters = {
        letter
        for label in re.findall("label=<&#160;(.*)&#160;>", source)
        for letter in re.findall("<i>(.*?)</i>", label)
    }
    assert letters == {"x", "v₂", "z₁", "z₂", "z₃", "z₄", "z₅", "c₁", "c₂"}
    assert all(re.search(rf" \[label=<<.*>{letter}<", source) for letter in letters)


def test_what_a_module_gives_bears_its_letter():
    x = ad.Tensor(np.ones((1, 2), np.float32), name="x")
    layer = nn.Linear(2, 3, rng=0)
    picture = draw(np.tanh(layer(x)), formulas=True, depth=0)
    assert "∂tanh(<i>v₁</i>)/∂<i>v₁</i>" in picture.source
    assert ">gives v₁<" in lines_of(picture, "Linear(2, 3)")


def test_a_symmetric_call_of_one_array_numbers_its_arguments_where_formulas_do():
    x = ad.Tensor(2.0, name="x")
    assert "headlabel" not in draw(x * x).source
    assert draw(x * x, formulas=True).source.count("headlabel") == 2


def test_a_rule_without_a_formula_says_in_words_what_it_does():
    assert (
        "label=<&#160;&#160;<i>g</i> times the product of all others&#160;>"
        in draw(ad.Tensor([[2.0, 1.0], [1.0, 3.0]]).prod(), formulas=True).source
    )


# Names as they are

NAMES = [
    'a "quoted" name',
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "<",
    "&lt;b&gt; &amp; &",
    "back\\slash\\",
    "{a|b} -> c; // d",
    "]]> <!-- -->",
    "Слой 日本 عربى é 🙂",
]


@needs_graphviz
def test_names_are_shown_and_never_obeyed():
    total = sum((ad.Tensor(1.0, name=name) for name in NAMES), start=ad.Tensor(0.0))
    shown = shown_in(draw(total)._repr_svg_())
    assert [name for name in NAMES if name not in shown] == []
    with_formulas = "".join(text or "" for text in shown_in(draw(total, formulas=True)._repr_svg_()))
    assert [name for name in NAMES if f"/∂({name}) = 1" not in with_formulas] == []


@needs_graphviz
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines\t", "two\\nlines\\t"),
        ("\x00\x1b[31m", "\\x00\\x1b[31m"),
        ("\ud800", "\\ud800"),
        ("\u202ereversed", "\\u202ereversed"),
        ("\\N \\G \\L \\E \\\\N", "\\N \\G \\L \\E \\\\N"),
    ],
)
def test_control_characters_are_written_out(name, shown):
    texts = shown_in(draw(np.tanh(ad.Tensor(1.0, name=name)))._repr_svg_())
    assert shown in "".join(text or "" for text in texts)


def test_a_long_name_is_cut_in_its_middle():
    line = lines_of(draw(ad.Tensor(1.0, name="a" * 5000 + "b" * 5000) * 2), f"{'a' * 24}…{'b' * 23}")
    assert len(line) < 400


# Size


@needs_graphviz
def test_too_slow_for_an_image(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "SECONDS", 0.001)
    drawing = draw(ad.Tensor(1.0) * 2)
    with pytest.raises(ValueError, match=r"3 nodes takes too long: .* after 0\.001 seconds; save it as \.html"):
        drawing.save(tmp_path / "graph.svg")
    assert "takes too long" in drawing._repr_html_()


# Files


@needs_graphviz
@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_formats(form, tmp_path, capfd):
    path = draw(two_layers()).save(str(tmp_path / f"graph.{form.upper()}"))
    assert path == tmp_path / f"graph.{form.upper()}"
    content = path.read_bytes()
    assert content.startswith(MAGIC[form])
    assert len(content) > 3000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert capfd.readouterr() == ("", "")


@needs_graphviz
def test_a_notebook_shows_svg():
    svg = draw(two_layers())._repr_svg_()
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert {"layers.0.weight", "(8, 5)", "parameter"} <= set(shown_in(svg))


def test_dot_needs_no_graphviz(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    drawing = draw(ad.Tensor(1.0, name="größe") * 2)
    assert drawing.save(tmp_path / "graph.dot").read_text("utf-8") == drawing.source == drawing.digraph.source


@pytest.mark.parametrize("name", ["graph", "graph.jpg", "graph.svg.gz", ".svg"])
def test_unknown_endings(name, tmp_path):
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf, \.dot, \.html and \.gif"):
        draw(ad.Tensor(1.0) * 2).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["missing/graph.dot", "file/graph.dot", "folder.dot"])
def test_a_file_that_cannot_be_written(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.dot").mkdir()
    with pytest.raises(OSError, match=re.escape(str(tmp_path / place))):
        draw(ad.Tensor(1.0) * 2).save(tmp_path / place)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "folder.dot"}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "graph.dot"
    path.write_text("old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=f"{re.escape(str(path))}.*No space left"):
        draw(ad.Tensor(1.0) * 2).save(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("graph.dot", "old")]


def test_a_failed_rendering_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "graph.svg"
    path.write_text("old")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(RuntimeError):
        draw(ad.Tensor(1.0) * 2).save(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("graph.svg", "old")]


def test_a_saved_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    path = draw(ad.Tensor(1.0) * 2).save(tmp_path / "graph.dot")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


# Which Graphviz


@pytest.fixture
def fake_dot(tmp_path, monkeypatch):
    """Put a program in the place of dot."""

    def place(script: str) -> None:
        program = tmp_path / "dot"
        program.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(shutil, "which", lambda name: str(program))

    return place


def test_the_installed_dot_comes_first(fake_dot, monkeypatch):
    fake_dot("print(sys.argv[1:], sys.stdin.read())")
    assert render.render("digraph {}", "png") == b"['-Knop2', '-Tpng'] ['-Tdot'] digraph {}\n\n"


@needs_pygraphviz
def test_pygraphviz_comes_second(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert render.render("digraph {a -> b}", "png").startswith(MAGIC["png"])


@needs_pygraphviz
def test_pygraphviz_stands_in_for_a_broken_dot(fake_dot):
    fake_dot("sys.exit('Format: \"pdf\" not recognized')")
    assert render.render("digraph {a -> b}", "pdf").startswith(MAGIC["pdf"])


def test_a_broken_dot_alone_says_why(fake_dot, monkeypatch):
    fake_dot("print('half an image'); sys.exit('Format: \"pdf\" not recognized')")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(RuntimeError, match='could not draw the pdf: Format: "pdf" not recognized'):
        render.render("digraph {}", "pdf")


def test_without_graphviz_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    drawing = draw(ad.Tensor(1.0) * 2)
    with pytest.raises(RuntimeError, match=r'pip install -e "\.\[draw\]"'):
        drawing.save(tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())
    assert drawing._repr_svg_() is None
    assert "pip install -e &quot;.[draw]&quot;</div>" in drawing._repr_html_()
    assert repr(drawing) == "Drawing(nodes=3, calls=1)"


def test_pygraphviz_is_not_imported():
    code = "import sys, autodiff as ad, autodiff.drawing as d; d.draw(ad.Tensor(1.0) * 2); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'autodiff.drawing.render'" in modules
    assert "'pygraphviz'" not in modules


# Bad input


@pytest.mark.parametrize("output", [None, 1.0, np.ones(2), "x", {"loss": 1}, [np.ones(2)], [ad.Tensor(1.0), 2.0]])
def test_only_tensors_can_be_drawn(output):
    with pytest.raises(TypeError, match=r"draw: expected .*Tensor.*, got"):
        draw(output)


@pytest.mark.parametrize("output", [[], ()])
def test_an_empty_list(output):
    with pytest.raises(ValueError, match="empty"):
        draw(output)


def test_nothing_recorded():
    x = ad.Tensor([1.0, 2.0], name="x")
    with ad.no_grad():
        y = x * 2
    for output in (y, x.detach(), [x * 2, y]):
        with pytest.raises(ValueError, match=r"shape \(2,\) has no graph: .*requires_grad=True.*no_grad\(\)"):
            draw(output)
