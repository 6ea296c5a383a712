"""The page to step through backpropagation: its numbers, and how it behaves in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import page as page_module

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NAMES = [
    "<img src=x onerror=hacked()>",
    "</script><script>hacked()</script>",
    "a \"quoted\" & 'name'",
    "two\nlines",
    "@@js@@ ${hacked()} `",
    "Слой 日本 \u202e",
]


def two_layers() -> tuple[ad.Tensor, dict[str, ad.Tensor]]:
    rng = np.random.default_rng(2)
    X = ad.Tensor(rng.normal(size=(3, 2)), name="X")
    shapes = {"W₁": (2, 3), "b₁": (3,), "W₂": (3, 2), "b₂": (2,)}
    leaves = {name: nn.Parameter(rng.normal(size=shape), name=name) for name, shape in shapes.items()}
    h = nn.functional.sigmoid(X @ leaves["W₁"] + leaves["b₁"])
    h.name = "h"
    loss = ((h @ leaves["W₂"] + leaves["b₂"] - rng.normal(size=(3, 2))) ** 2).sum() / 2
    loss.name = "L"
    return loss, {"X": X, **leaves}


def told(html: str) -> dict[str, Any]:
    """Give the data in a page."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def data_of(html: str) -> dict[str, Any]:
    """Give what is told of nodes in a page, by their names."""
    return {node["name"]: node for node in told(html)["nodes"]}


def rows(html: str, value: dict[str, Any]) -> np.ndarray:
    """Give the rows of a large array that are in a page."""
    table = told(html)["arrays"][value["rows"]]
    flat = np.frombuffer(base64.b64decode(table["numbers"]), "<" + table["type"])
    if value.get("absolute"):
        flat = flat[::2] + 1j * flat[1::2]
    return flat.reshape(-1, table["columns"])


def numbers(described: dict[str, Any]) -> np.ndarray:
    words = {"NaN": np.nan, "∞": np.inf, "−∞": -np.inf}
    return np.reshape([words.get(x, x) for x in described["values"]], described["shape"])


def described(*outputs: ad.Tensor) -> dict[str, Any]:
    return data_of(page_module.page(outputs))


# The numbers


def test_gradients_of_leaves_are_those_of_backward() -> None:
    loss, leaves = two_layers()
    nodes = described(loss)
    assert all(leaf.grad is None for leaf in leaves.values())
    loss.backward()
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(numbers(nodes[name]["gradient"]), leaf.grad)
        np.testing.assert_array_equal(numbers(nodes[name]["value"]), leaf.data)


def test_gradients_in_between_are_those_of_what_comes_after() -> None:
    rng = np.random.default_rng(1)
    x = ad.Tensor(rng.normal(size=4), name="x")
    h = np.tanh(x)
    h.name = "h"

    def after(h: Any) -> Any:
        return (h * h + np.exp(h) / h[0]).sum()

    nodes = described(after(h))
    np.testing.assert_allclose(numbers(nodes["h"]["gradient"]), ad.grad(after)(h.data), rtol=1e-12)
    assert len(nodes["h"]["arrivals"]) == 4


def test_contributions_add_up_and_are_products_with_the_local_derivative() -> None:
    loss, _ = two_layers()
    x = ad.Tensor([0.5, -1.0, 2.0], name="x")
    for output in (loss, (np.tanh(x) * x + x[1] / x).sum()):
        nodes = described(output)
        by_key = {node["key"]: node for node in nodes.values()}
        checked = 0
        for node in nodes.values():
            if node["gradient"] is None:
                continue
            edges = [
                next(edge for edge in by_key[key]["edges"] if edge["position"] == position)
                for key, position in node["arrivals"]
            ]
            parts = [numbers(edge["contribution"]) for edge in edges] + [np.ones(())] * node["output"]
            np.testing.assert_allclose(sum(parts), numbers(node["gradient"]), rtol=1e-14)
            assert all(edge["to"] == node["key"] for edge in edges)
            for edge in node.get("edges", ()):
                if edge["derivative"]:
                    product = numbers(node["gradient"]) * numbers(edge["derivative"])
                    shown = numbers(edge["product"] or edge["contribution"])
                    np.testing.assert_allclose(np.broadcast_to(product, shown.shape), shown, rtol=1e-13)
                    checked += 1
        assert checked > 3


def test_an_argument_that_was_broadcast_shows_the_sum() -> None:
    x, b = ad.Tensor(np.ones((2, 3)), name="x"), ad.Tensor([1.0, 2.0, 3.0], name="b")
    edge = next(edge for edge in described((x * b).sum())["v₁"]["edges"] if edge["position"] == 2)
    assert edge["product"]["shape"] == [2, 3]
    np.testing.assert_array_equal(numbers(edge["contribution"]), [2, 2, 2])


def test_uses_in_lists_and_beside_them_are_told_apart() -> None:
    x = ad.Tensor([1.0, 2.0, 3.0], name="x")
    call = np.select([x.data > 2, x.data > 1], [x, np.zeros(3)], x)
    edges = described(call)["v₁"]["edges"]
    assert [edge["to"] for edge in edges] == [described(call)["x"]["key"]] * 2
    np.testing.assert_array_equal(numbers(edges[0]["contribution"]), [0, 0, 1])
    np.testing.assert_array_equal(numbers(edges[1]["contribution"]), [1, 0, 0])


def test_several_outputs() -> None:
    x = ad.Tensor([1.0, 2.0], name="x")
    first, second = x * 3, np.exp(x)
    np.testing.assert_array_equal(numbers(described(first, second)["x"]["gradient"]), 3 + np.exp(x.data))
    top, bottom = np.split(ad.Tensor(np.arange(4.0), name="y"), 2)
    nodes = described((top * 2 + bottom).sum())
    np.testing.assert_array_equal(numbers(nodes["y"]["gradient"]), [2, 2, 1, 1])
    assert [part["values"] for part in nodes["v₁"]["gradient"]["several"]] == [[2, 2], [1, 1]]


def test_an_output_that_is_used_again_has_its_own_one_too() -> None:
    x = ad.Tensor(2.0, name="x")
    square = x * x
    np.testing.assert_array_equal(numbers(described(square, square * 3)["x"]["gradient"]), 16)


def test_gradients_that_were_there_stay() -> None:
    loss, leaves = two_layers()
    loss.backward()
    before = {name: (leaf.grad, leaf.grad.copy()) for name, leaf in leaves.items()}
    page_module.page([loss])
    for name, (grad, copy) in before.items():
        assert leaves[name].grad is grad
        np.testing.assert_array_equal(grad, copy)


def test_a_composition_within_a_rule_is_no_part_of_the_graph() -> None:
    x = ad.Tensor([3.0, 1.0, 2.0], name="x")
    y = ad.checkpoint(lambda x: np.median(np.exp(x)))(x) + np.median(x)
    y.backward()
    np.testing.assert_array_equal(numbers(described(y)["x"]["gradient"]), x.grad)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_have_the_digits_of_their_dtype(dtype: Any) -> None:
    x = ad.Tensor(np.array([0.1, 1 / 3], dtype), name="x")
    value = described((x * x).sum())["x"]["value"]
    assert value["dtype"] == np.dtype(dtype).name
    np.testing.assert_array_equal(np.array(value["values"], dtype), x.data)
    assert all(len(str(one)) <= {2: 6, 4: 10, 8: 18}[np.dtype(dtype).itemsize] for one in value["values"])


def test_large_arrays_are_summarised_and_have_their_rows() -> None:
    rng = np.random.default_rng(0)
    x = ad.Tensor(rng.normal(size=(1797, 64)).astype(np.float32), name="x")
    html = page_module.page([(x * x).mean()])
    value = data_of(html)["x"]["value"]
    assert value["shape"] == [1797, 64]
    for figure in ("mean", "std", "min", "max"):
        assert value[figure] == pytest.approx(getattr(x.data.astype(float), figure)())
    assert len(value["strip"]) == 32
    assert "values" not in value
    np.testing.assert_array_equal(rows(html, value), x.data)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.longdouble, np.complex64, np.int8, np.uint64, np.bool_])
def test_rows_of_any_dtype(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = (100 * rng.normal(size=(2, 5, 30))).astype(dtype)
    html = page_module.page([(ad.Tensor(2.0) * x).sum()])
    value = data_of(html)["c₁"]["value"]
    np.testing.assert_array_equal(rows(html, value).astype(dtype), x.reshape(10, 30))


def test_rows_that_find_no_room_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_BYTES", 40_000)
    x, y = ad.Tensor(np.ones((10, 20)), name="x"), ad.Tensor(np.ones((1000, 30)), name="y")
    html = page_module.page([(x * 2).sum() + (y * 2).sum()])
    nodes = data_of(html)
    assert len(rows(html, nodes["x"]["value"])) == 10
    assert 1 < len(rows(html, nodes["y"]["value"])) < 1000
    assert len(html) < 160_000 + 40_000 * 4 / 3


def test_names_that_nobody_gave_collide_with_none() -> None:
    x, c1, v_3 = (ad.Tensor(1.5, name=name) for name in ("x", "c1", "v_3"))
    h = np.tanh(x * c1 + ad.Tensor(2.0))
    h.name = "h"
    g = h * np.array([1.0, 2.0]) * v_3
    h = np.exp(g * 0.1)
    h.name = "h"
    names = set(described(h, x * 2))
    assert {"x", "c1", "v_3", "h⁽¹⁾", "h⁽²⁾", "0.1", "z₁", "z₂", "y₁", "u₁"} <= names
    assert told(page_module.page([h, x * 2]))["loss"] == "(Σh⁽²⁾ + z₆)"


def test_a_gradient_is_not_called_as_a_tensor_is() -> None:
    g, W = ad.Tensor(np.ones((2, 2)), name="g"), ad.Tensor(np.ones((2, 2)), name="W")
    edge = described((np.exp(g) @ W).sum())["v₂"]["edges"][1]
    assert edge["left"] == [["ḡ", "i"]]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1), (2, 3, 4), (2, 2, 2, 2)])
def test_arrays_of_any_shape(shape: tuple[int, ...]) -> None:
    x = ad.Tensor(np.ones(shape), name="x")
    assert described((x * 2).sum())["x"]["gradient"]["shape"] == list(shape)


def test_numbers_that_json_has_not() -> None:
    x = ad.Tensor([np.nan, np.inf, -np.inf, 1.0], name="x")
    assert described((x * 2).sum())["x"]["value"]["values"] == ["NaN", "∞", "−∞", 1.0]
    big = ad.Tensor(np.full(100, np.nan), name="big")
    assert described((big * 2).sum())["big"]["value"]["mean"] == "NaN"


def test_lazy_arrays_are_not_computed() -> None:
    array = pytest.importorskip("dask.array")
    x = ad.Tensor(array.ones((4, 4), chunks=2), name="x")
    assert described((x * 2).sum())["x"]["value"] == {"shape": [4, 4], "dtype": "float64"}


def test_a_tensor_that_was_changed_is_refused(tmp_path: Path) -> None:
    loss, leaves = two_layers()
    drawing = ad.draw(loss)
    path = drawing.save(tmp_path / "page.html")
    before = path.read_bytes()
    leaves["W₂"].data = leaves["W₂"].data * 2
    with pytest.raises(RuntimeError, match=r"'W₂' of shape .* was changed"):
        drawing.save(path)
    assert path.read_bytes() == before


def test_a_program_has_no_page(tmp_path: Path) -> None:
    compiled = ad.compile(lambda x: x * 2)
    compiled(np.ones(3))
    with pytest.raises(ValueError, match="a program has no numbers to step through"):
        ad.draw(compiled).save(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_too_many_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("autodiff.drawing.page.MOST_NODES", 3)
    path = tmp_path / "page.html"
    with pytest.raises(ValueError, match=r"save: a page of 5 nodes would open too slowly \(the most is 3\).*as \.dot"):
        ad.draw(ad.Tensor(1.0) * 2 * ad.Tensor(1.0)).save(path)
    with pytest.raises(TypeError, match="save: expected the path of a file, got 3"):
        ad.draw(ad.Tensor(1.0) * 2).save(3)  # type: ignore[arg-type]
    assert not path.exists()


def test_the_page_is_one_file_that_runs_only_its_own_script() -> None:
    html = page_module.page([two_layers()[0]])
    assert len(html.encode()) < 200_000
    addresses = re.findall(r"https?://[^\"'\s]+", html)
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "innerHTML" not in script


def test_names_cannot_end_the_data() -> None:
    total = sum((ad.Tensor(1.0, name=name) for name in NAMES), start=ad.Tensor(0.0))
    html = page_module.page([total])
    assert html.count("<script") == 2
    assert html.count("<img") == 0
    assert "</script><script>hacked()</script>" in data_of(html)


# In a browser

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the page of Tensors; it must ask for nothing else and write nothing to the console."""
    complaints: list[str] = []
    pages = []

    def open_page(*outputs: ad.Tensor, width: int = 1280, height: int = 800, **options: Any) -> Any:
        path = ad.draw(list(outputs)).save(tmp_path / "page.html")
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, **{"reduced_motion": "reduce", **options})
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url == path.as_uri() or complaints.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


def read(text: str) -> float:
    words = {"NaN": np.nan, "∞": np.inf, "−∞": -np.inf}
    return words[text] if text in words else float(text.replace("−", "-"))


def shown(page: Any, selector: str) -> tuple[list[float], list[float]]:
    """Give the numbers of one array: as they are written, and in full."""
    cells = page.locator(f"{selector} [data-value]")
    full = cells.evaluate_all("all => all.map((one) => one.title)")
    return [read(text) for text in cells.all_inner_texts()], [read(text) for text in full]


def node(page: Any, text: str) -> Any:
    return page.locator("#graph .node[id^=node_]", has_text=re.compile(rf"^\s*{text}"))


def where(page: Any) -> str:
    return str(page.inner_text("#where"))


def last_step(page: Any) -> int:
    return int(page.get_attribute("#slider", "max"))


@needs_chromium
def test_stepping_through_two_layers(open_page: Open) -> None:
    loss, leaves = two_layers()
    page = open_page(loss)
    loss.backward()
    last = last_step(page)
    said, gradients = [], {}
    for number in range(last + 1):
        assert where(page).startswith(f"Step {number + 1} of {last + 1} · ")
        said.append(where(page).split(" · ", 1)[1])
        assert page.locator("#graph .current").count() == 1
        assert page.locator("#graph [aria-current=step]").count() == 1
        complete = re.fullmatch(r"chain rule · the gradient of (\S+) is complete", said[-1])
        if complete:
            gradients[complete[1]] = shown(page, "#step .result")
        if number < last:
            page.get_by_role("button", name="Step forward").click()
    assert said[0] == "evaluation · X is given"
    assert said.index("evaluation · L is computed") < said.index("chain rule · the gradient of L goes back to v₇")
    assert "chain rule · the gradient of h goes back to v₂" in said
    assert gradients.keys() == leaves.keys()
    for name, (written, full) in gradients.items():
        np.testing.assert_array_equal(full, leaves[name].grad.ravel())
        np.testing.assert_allclose(written, leaves[name].grad.ravel(), rtol=1e-3, atol=1e-3)


@needs_chromium
def test_a_step_back_shows_the_product_with_the_local_derivative(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    node(page, "sigmoid").click()
    assert page.inner_text("#heading") == "h = σ(v₂)"
    node(page, "sigmoid").click()
    assert page.inner_text("#heading") == "∂L/∂h"
    assert page.inner_text("#step .formula") == "∂h/∂v₂ = h·(1 − h)"
    assert page.inner_text("#step .about") == "back through h = σ(v₂)"
    (_, g), (_, local), (_, product) = (shown(page, f"#step .key figure >> nth={k}") for k in range(3))
    np.testing.assert_allclose(np.multiply(g, local), product, rtol=1e-14)
    h = 1 / (1 + np.exp(np.negative(shown(page, "#step .cards .card >> nth=1")[1])))
    np.testing.assert_allclose(local, h * (1 - h), rtol=1e-12)
    assert page.locator("#step .sign").all_inner_texts() == ["⊙", "="]
    assert page.locator("#graph .edge.active").count() == 1


@needs_chromium
def test_where_paths_meet_the_sum_is_shown(open_page: Open) -> None:
    x = ad.Tensor([0.5, -1.0], name="x")
    page = open_page((np.tanh(x) * x).sum())
    page.keyboard.press("End")
    first, second, whole = (shown(page, f"#step figure >> nth={k}")[1] for k in range(3))
    np.testing.assert_allclose(np.add(first, second), whole, rtol=1e-14)
    assert page.locator("#step .sign").all_inner_texts() == ["+", "="]
    assert "x has 2 uses; what comes back from each is added up." in page.inner_text("#step")
    assert page.locator("#graph .edge.active").count() == 2
    page.locator("#step").get_by_role("button", name="v₁", exact=True).click()
    assert page.inner_text("#heading") == "∂v₃/∂v₁"
    assert page.evaluate("document.activeElement.id") == "heading"


@needs_chromium
def test_keys(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    last = last_step(page)

    def press(key: str) -> int:
        page.keyboard.press(key)
        return int(page.input_value("#slider"))

    keys = ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "ArrowLeft", "Home", "ArrowLeft", "a"]
    assert [press(key) for key in keys] == [1, 2, 1, last, last, last - 1, 0, 0, 0]
    page.focus("#slider")
    assert [press(key) for key in ("ArrowRight", "ArrowRight", "Home", "End")] == [1, 2, 0, last]
    node(page, "sigmoid").focus()
    press("Enter")
    assert page.inner_text("#heading") == "∂L/∂h"
    press(" ")
    assert page.inner_text("#heading") == "h = σ(v₂)"
    page.focus("#forward")
    before = int(page.input_value("#slider"))
    assert [press(" "), press("ArrowLeft"), press("Enter")] == [before + 1, before, before + 1]
    assert page.get_by_role("button", name="Play").count() == 1


@needs_chromium
def test_clicks(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    page.fill("#slider", "9")
    assert where(page).startswith("Step 10 of ")
    page.get_by_role("button", name="Last step").click()
    assert page.get_by_role("button", name="Step forward").is_disabled()
    page.get_by_role("button", name="First step").click()
    assert page.get_by_role("button", name="Step back").is_disabled()
    node(page, "W₁").click()
    assert page.inner_text("#heading") == "W₁"
    node(page, "W₁").click()
    assert page.inner_text("#heading") == "∂L/∂W₁"
    page.get_by_role("button", name="Fit").click()
    node(page, r"2\s*$").first.click()
    assert "back through v₆ = v₅2" in page.inner_text("#step")
    node(page, "c₁").click()
    assert page.inner_text("#heading") == "c₁"


@needs_chromium
def test_play_and_pause(open_page: Open) -> None:
    page = open_page(np.exp(ad.Tensor(2.0, name="x")))
    page.clock.install()
    page.reload()
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()
    page.clock.run_for(1700)
    assert where(page).startswith("Step 2 of 4")
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(5000)
    assert where(page).startswith("Step 2 of 4")
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(9000)
    assert where(page).startswith("Step 4 of 4")
    page.get_by_role("button", name="Play").click()
    assert where(page).startswith("Step 1 of 4")


@needs_chromium
def test_hover_shows_values(open_page: Open) -> None:
    page = open_page(np.exp(ad.Tensor(2.0, name="x")))
    node(page, "exp").hover()
    assert page.inner_text("#tip").split("\n")[-1] == "It is not computed yet."
    page.mouse.move(5, 5)
    page.keyboard.press("ArrowRight")
    node(page, "exp").hover()
    assert page.inner_text("#tip").split() == ["v₁", "=", "exp(x)", "value", "7.38906"]
    page.mouse.move(5, 5)
    assert page.locator("#tip").is_hidden()
    page.keyboard.press("End")
    node(page, "exp").hover()
    assert page.inner_text("#tip").split()[-2:] == ["∂v₁/∂v₁", "1"]


@needs_chromium
def test_names_are_text(open_page: Open) -> None:
    total = sum((ad.Tensor(1.0, name=name) for name in NAMES), start=ad.Tensor(0.0))
    page = open_page(total)
    seen = set()
    for _ in range(last_step(page) + 1):
        seen.add(page.inner_text("#heading"))
        page.keyboard.press("ArrowRight")
    assert {name.replace("\n", "\\n").replace("\u202e", "\\u202e") for name in NAMES} <= seen
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img").count() == 0


@needs_chromium
def test_numbers_that_are_none(open_page: Open) -> None:
    page = open_page((ad.Tensor([np.nan, np.inf, -np.inf, 0.1], name="x") * 2).sum())
    assert page.locator("#step [data-value]").all_inner_texts() == ["NaN", "∞", "−∞", "0.1"]


@needs_chromium
def test_it_is_labelled(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    for button in page.get_by_role("button").all():
        assert button.get_attribute("aria-label") or button.inner_text()
    assert page.get_attribute("#where", "aria-live") == "polite"
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("slider").get_attribute("aria-valuetext") == "Step 2 of 29, W₁ is given"
    assert page.get_by_role("region", name="W₁").count() == 1
    names = [one.get_attribute("aria-label") for one in page.locator("#graph [role=button]").all()]
    assert {"h, sigmoid", "W₁, parameter", "2, constant"} <= set(names)
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@needs_chromium
def test_themes(open_page: Open) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = open_page(two_layers()[0], color_scheme="light")
    dark = open_page(two_layers()[0], color_scheme="dark")
    colours = light.evaluate(background), dark.evaluate(background)
    assert len(set(colours)) == 2
    light.get_by_role("button", name="Dark").click()
    dark.get_by_role("button", name="Light").click()
    assert (dark.evaluate(background), light.evaluate(background)) == colours


@needs_chromium
def test_paper_has_all_steps(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#all article").count() == last_step(page) + 1
    assert page.locator("#all").is_visible()
    assert page.locator("footer").is_hidden()
    assert len(page.pdf()) > 10_000


VIEWS: dict[str, dict[str, Any]] = {
    "light": {"width": 1280, "height": 800},
    "dark": {"width": 1280, "height": 800, "color_scheme": "dark"},
    "narrow": {"width": 390, "height": 844},
    "wide": {"width": 1600, "height": 1000},
}


# Pairs of boxes of the page that share more than a pixel, and what is cut that cannot be scrolled to.
TOUCHING = """(() => {
    const boxOf = (one) => one.getBoundingClientRect();
    const all = [...document.querySelectorAll(
        "h1, #theme, #graph, #divider, #panel, #buttons button, #slider, #phases, #where, #step > *"
    )].filter((one) => one.offsetParent !== null || one.id === "graph");
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    const panel = document.querySelector("#panel");
    const pairs = all.flatMap((one, at) => all.slice(at + 1).map((other) => [one, other]))
        .filter(([one, other]) => one.contains(other) === false && panel.contains(one) === panel.contains(other))
        .filter(([one, other]) => meet(boxOf(one), boxOf(other)));
    const cards = [...document.querySelectorAll("#step .card")];
    const cut = cards.flatMap((card) => [...card.querySelectorAll("figcaption, .matrix, .scalar, .formula, h3, .note")]
        .filter((one) => boxOf(one).right > boxOf(card).right + 1));
    return [...pairs.map((pair) => pair.map((one) => one.id || one.className)), ...cut.map((one) => one.className)];
})()"""


@needs_chromium
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_overflows(view: str, open_page: Open) -> None:
    page = open_page(two_layers()[0], **VIEWS[view])
    for _ in range(last_step(page) + 1):
        for frame in ("document.documentElement", "document.querySelector('#panel')"):
            assert page.evaluate(f"{frame}.scrollWidth <= {frame}.clientWidth")
        box = page.locator("#play").bounding_box()
        assert box["x"] >= 0
        assert box["y"] + box["height"] <= VIEWS[view]["height"]
        assert page.evaluate(TOUCHING) == []
        page.keyboard.press("ArrowRight")


@needs_chromium
def test_nodes_fill_on_the_way_and_empty_on_the_way_back(open_page: Open) -> None:
    x = ad.Tensor(2.0, name="x")
    page = open_page(np.exp(x * 0.5))

    def said() -> list[str]:
        return [text.text_content() for text in page.locator("#graph").locator(".value, .gradient").all()]

    seen = [said()]
    while page.get_by_role("button", name="Step forward").is_enabled():
        page.keyboard.press("ArrowRight")
        seen.append(said())
    assert seen[0] == ["= 2", "", "", "", "", ""]
    assert seen[2] == ["= 2", "", "= 1", "", "= 2.718", ""]
    assert seen[3] == ["= 2", "", "= 1", "", "= 2.718", "grad 1"]
    assert seen[5] == ["= 2", "grad 1.359", "= 1", "grad 2.718", "= 2.718", "grad 1"]
    for before in reversed(seen[:-1]):
        page.keyboard.press("ArrowLeft")
        assert said() == before


@needs_chromium
def test_the_graph_is_seen_as_a_whole_at_first_and_then_large_enough(open_page: Open) -> None:
    page = open_page(two_layers()[0], width=390, height=844)
    pane = page.locator("#graph").bounding_box()

    def sizes() -> list[float]:
        boxes = [one.bounding_box() for one in page.locator("#graph .node[id]").all()]
        assert all(box["height"] > 0 for box in boxes)
        return [box["height"] for box in boxes]

    boxes = [one.bounding_box() for one in page.locator("#graph .node[id]").all()]
    assert len(boxes) == 17
    assert all(pane["y"] <= box["y"] and box["y"] + box["height"] <= pane["y"] + pane["height"] for box in boxes)
    small = max(sizes())
    page.keyboard.press("ArrowRight")
    assert max(sizes()) > 2 * small
    page.get_by_role("button", name="Fit").click()
    page.keyboard.press("ArrowRight")
    assert max(sizes()) < 1.2 * small


@needs_chromium
def test_numbers_are_written_as_the_user_did(open_page: Open) -> None:
    x = ad.Tensor([0.1, 2.0, 1 / 3, -40.0], name="x")
    s, t = ad.Tensor(np.float32(0.1234567), name="s"), ad.Tensor(2.0, name="t")
    page = open_page((x * 2).sum() + s * t * 1e-7)
    seen = {}
    for _ in range(4):
        seen[page.inner_text("#heading")] = page.locator("#step .result [data-value]").all_inner_texts()
        page.keyboard.press("ArrowRight")
    assert seen["x"] == ["0.1", "2", "0.333", "−40"]
    assert seen["s"] == ["0.1234567"]
    assert seen["t"] == ["2"]


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_rows_are_looked_into(width: int, open_page: Open) -> None:
    rng = np.random.default_rng(0)
    X = ad.Tensor(rng.normal(size=(1797, 64)).astype(np.float32), name="X")
    page = open_page((X * X).sum(), width=width)
    page.get_by_text("Look into its 1,797 rows").click()
    grid = page.locator("#step .grid")
    assert grid.locator("[data-value]").count() < 200
    page.get_by_label("Row", exact=False).last.focus()
    for place, row, column in ((0, 0, 0), (1e9, -1, -1)):
        grid.evaluate(f"(grid) => {{ grid.scrollTop = {place}; grid.scrollLeft = {place}; }}")
        head = str(range(1797)[row])
        page.wait_for_function(
            "(head) => document.querySelector('.grid').innerText.split('\\n').includes(head)", arg=head
        )
        cells = grid.locator("[data-value]").evaluate_all("all => all.map((one) => one.title)")
        assert cells[column] == str(X.data[row, column])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    grid.focus()
    page.keyboard.press("ArrowLeft")
    assert where(page).startswith("Step 1 of ")


@needs_chromium
def test_the_divider(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    divider = page.get_by_role("separator")

    def width() -> float:
        return float(page.locator("#graph").bounding_box()["width"])

    def drag(x: float, y: float = 300) -> None:
        box = divider.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(x, y, steps=3)
        page.mouse.up()

    usual = width()
    drag(700)
    assert width() == pytest.approx(700, abs=8)
    drag(5)
    assert width() == pytest.approx(0.15 * 1280, abs=2)
    divider.dblclick()
    assert width() == usual
    divider.focus()
    before = int(divider.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowRight")
    assert int(divider.get_attribute("aria-valuenow")) == before + 2
    assert where(page).startswith("Step 1 of ")
    page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == divider.get_attribute("aria-valuemax") == "85"
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector("#divider[aria-orientation=horizontal]")
    drag(200, 500)
    graph, panel = (page.locator(part).bounding_box() for part in ("#graph", "#panel"))
    assert graph["y"] + graph["height"] == pytest.approx(500, abs=10)
    assert graph["y"] + graph["height"] < panel["y"]
    assert divider.evaluate("(divider) => getComputedStyle(divider).touchAction") == "none"
