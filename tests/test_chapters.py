"""The chapters make their point: each is run as a notebook, most with another seed in a terminal too."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
pytest.importorskip("nbclient")

from scipy.integrate import quad
from sklearn.datasets import make_moons
from sklearn.linear_model import LinearRegression, LogisticRegression

import autodiff as ad
import nn
from demos import chapter, prose
from demos.__main__ import ORDER
from demos.__main__ import main as list_chapters
from tests.notebooks import run_notebook

ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {
    "activations": ["activations.png"],
    "backpropagation": ["backpropagation.html", "backpropagation.png", "backpropagation.svg"],
    "conditional_expectation": ["conditional_expectation.png"],
    "depth": ["depth.png"],
    "fourier": ["fourier.png"],
    "gaussian_process": ["gaussian_process.png"],
    "gradient_flow": ["gradient_flow.png", "gradient_flow.svg"],
    "larger_than_memory": ["larger_than_memory.png"],
    "linear_model": ["linear_model.png"],
    "linear_regression": ["linear_regression.png"],
    "logistic_regression": ["logistic_regression.png"],
    "maximum_likelihood": ["maximum_likelihood.png"],
    "monte_carlo": ["monte_carlo.png"],
    "neural_ode": ["neural_ode.png"],
    "per_example": ["per_example.png"],
    "probability": ["probability.png"],
}


def run(
    name: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    seed: int = 0,
    changes: Mapping[str, str] | None = None,
    afresh: bool = False,
) -> tuple[Any, str]:
    """Run a chapter, with its first seed as a notebook; give its names after the last cell, and what it printed."""
    if seed == 0:
        names, out, shown = run_notebook(name, folder, changes, afresh)
        assert len(shown) == len(PICTURES[name]) - (name == "backpropagation")  # once, not in two formats
        assert "wrote" not in out
        assert not list(folder.iterdir())
        return names, out
    names = chapter.run(name, ["--output", str(folder), "--seed", str(seed)], changes)
    out, err = capsys.readouterr()
    assert err == ""
    assert sorted(path.name for path in folder.iterdir()) == PICTURES[name]
    wrote = {line for line in out.splitlines() if line.startswith("wrote")}
    assert wrote == {f"wrote {folder / picture}" for picture in PICTURES[name]}
    return names, out


@pytest.mark.parametrize("seed", [0, 1])
def test_linear_regression(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("linear_regression", tmp_path, capsys, seed)
    np.testing.assert_allclose(result["by_hand"], result["by_engine"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(result["long_by_hand"], result["long_by_engine"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["path"][-1], result["solution"], atol=0.01)
    np.testing.assert_allclose(result["solution"], [2, -1, 0.5], atol=0.25)
    np.testing.assert_allclose(result["coefficients"], result["expected"], rtol=1e-10)
    X, y = result["measured"], result["data"].target
    assert result["explained"] == pytest.approx(LinearRegression().fit(X, y).score(X, y))
    condition = result["long_condition"]
    assert condition == pytest.approx(470, abs=1)
    late = result["long_distances"][2000:3000]
    np.testing.assert_allclose(late[1:] / late[:-1], (condition - 1) / (condition + 1), rtol=1e-4)
    steps = re.findall(r"^ +\d+ +[\d.]+((?: +-?\d\.\d{4}){3})((?: +-?\d\.\d{4}){3}) +\S+$", out, re.MULTILINE)
    assert len(steps) == result["STEPS"] + 1
    assert all(hand.split() == engine.split() for hand, engine in steps)


def test_activations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("activations", tmp_path, capsys)
    assert result["difference"] < 1e-15
    z = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
    for name, value, derivative in (
        ("sigmoid", 1 / (1 + np.exp(-z)), np.exp(-z) / (1 + np.exp(-z)) ** 2),
        ("tanh", np.tanh(z), 1 / np.cosh(z) ** 2),
        ("ReLU", [0, 0, 0, 1, 4], [0, 0, 0, 1, 1]),
    ):
        rows = [
            f"{name:10} value        {result['row'](value)}",
            f"derivative by hand      {result['row'](derivative)}",
            f"           by engine    {result['row'](derivative)}",
        ]
        assert "\n".join(rows) in out
    assert result["gap"] < 1e-13
    accuracies = result["accuracies"]
    assert accuracies["none"] <= result["best_line"](*result["test"]) < 0.91
    check_the_best_line(result["best_line"])
    for name in ("sigmoid", "tanh", "relu"):
        assert accuracies[name] > 0.96, name
        assert f"{result['TITLES'][name]:14} {accuracies[name]:.3f}" in out


def check_the_best_line(best_line: Any) -> None:
    X, y = make_moons(60, noise=0.3, random_state=0)
    w1, w2, b = np.random.default_rng(0).normal(size=(3, 20000, 1))
    at_random = ((w1 * X[:, 0] + w2 * X[:, 1] + b > 0) == y).mean(axis=1).max()
    assert at_random <= best_line(X, y) < 1
    assert best_line(X, X @ [1.0, 2.0] > 0.3) == 1
    flat = LogisticRegression(C=1e6).fit(X, y)
    assert flat.score(X, y) <= best_line(X, y) < flat.score(X, y) + 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_backpropagation(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("backpropagation", tmp_path, capsys, seed)
    for name, gradient in result["by_hand"].items():
        np.testing.assert_allclose(result["by_engine"][name], gradient, rtol=1e-12, err_msg=name)
    assert list(result["by_hand"]) == list(result["by_engine"])
    assert "∂L/∂W₁ = Xᵀ ∂L/∂z" in out
    assert result["difference"] < 1e-14
    np.testing.assert_allclose(np.diag(result["matrix"]), result["slope"], rtol=1e-14)
    assert np.count_nonzero(result["matrix"]) == 3
    if seed == 0:  # a notebook writes no files
        return
    shown = set(html.unescape((tmp_path / "backpropagation.svg").read_text()).replace(">", "<").split("<"))
    for name, gradient in result["by_hand"].items():
        assert {f"{number:.4g}" for number in gradient.ravel()} <= shown, name


@pytest.mark.parametrize("seed", [0, 1])
def test_gradient_flow(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("gradient_flow", tmp_path, capsys, seed)
    assert result["difference"] < 1e-13
    sigmoid, relu, large = result["norms"].values()
    assert sigmoid[-1] > 4**9 * sigmoid[0]
    assert 0.4 < relu[0] / relu[-1] < 2.5
    assert large[0] > 200 * large[-1]
    for name, rate in result["rates"].items():
        assert rate == pytest.approx(result["predicted"][name], rel=0.06), name
        assert f"{rate:.3f}" in out
    if seed == 0:
        return
    graph = html.unescape((tmp_path / "gradient_flow.svg").read_text())
    shown = [float(norm) for norm in re.findall(r">gradient norm ([\d.e-]+)<", graph)]
    assert min(shown) == pytest.approx(sigmoid[0], rel=0.01)
    assert graph.count(": Sigmoid()") == graph.count(": ReLU()") == 9


def test_monte_carlo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("monte_carlo", tmp_path, capsys)
    assert result["slope"] == pytest.approx(-0.5, abs=0.05)
    assert result["SIZES"][-1] / result["SIZES"][0] == 1e5
    assert pytest.approx(quad(lambda x: np.exp(-(x**2)), -1, 1)[0], rel=1e-12) == result["EXACT"]
    np.testing.assert_allclose(result["errors"], result["SPREAD"] / np.sqrt(result["SIZES"]), rtol=0.35)
    np.testing.assert_allclose(result["estimates"][-1].mean(), result["EXACT"], atol=3e-4)
    for name, (estimate, exact, error) in result["moments"].items():
        assert abs(estimate - exact) < 4 * error, name
        assert error < 0.02 * max(1, exact), name
        assert re.search(rf"^{name} +{estimate:.5f} +{exact:.5f} ", out, re.MULTILINE)
    assert len(result["gradients"]) == 4
    for name, (exact, moved, weighted) in result["gradients"].items():
        for way in (moved, weighted):
            assert abs(way.mean() - exact) < 4 * way.std() / np.sqrt(len(way)), name
        assert moved.std() < weighted.std() / 2, name
    f, _ = result["FUNCTIONS"]["sin x"]
    noise = np.random.default_rng(2).normal(size=50)
    by_mu, by_sigma = result["through_the_draws"](f, 0.3, 0.7, 50, np.random.default_rng(2))
    slope = np.cos(0.3 + 0.7 * noise)
    np.testing.assert_allclose(by_mu, slope, rtol=1e-12)
    np.testing.assert_allclose(by_sigma, slope * noise, rtol=1e-12)


@pytest.mark.parametrize("name", PICTURES)
def test_the_gallery_has_a_small_picture(name: str) -> None:
    picture = (ROOT / "demos" / "gallery" / f"{name}.png").read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) < 60_000


@pytest.mark.parametrize("name", PICTURES)
def test_bad_flags_are_refused_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "FILE").touch()
    for flags in (["--seed", "-1"], ["--output", str(tmp_path / "FILE")], ["--colour", "red"]):
        with pytest.raises(SystemExit) as caught:
            chapter.run(name, flags)
        assert caught.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"python -m demos\.{name}: .*{flags[0]}.*\n", err)


def test_a_picture_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "backpropagation.svg").mkdir()
    with pytest.raises(SystemExit) as caught:
        chapter.run("backpropagation", ["--output", str(tmp_path)])
    assert caught.value.code == 2
    message = r"python -m demos\.backpropagation: argument --output: .*backpropagation\.svg.*\n"
    assert re.fullmatch(message, capsys.readouterr().err)


def test_the_list_of_chapters() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-m", "demos"], cwd=ROOT, env=os.environ | {"COLUMNS": "1000"},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(re.findall(r"^python -m demos\.(\w+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert tuple(listed) == ORDER
    assert {*listed} == {path.stem for path in (ROOT / "demos").glob("*.py")} - {
        "__init__",
        "__main__",
        "chapter",
        "prose",
    }
    for name, title in listed.items():
        assert (ROOT / "demos" / f"{name}.py").read_text("utf-8").startswith(f"# %% [markdown]\n# # {title}\n#\n")


def test_the_list_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    list_chapters([])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("python -m demos.") for line in lines) == len(ORDER) < len(lines)


@pytest.mark.parametrize("width", [72, 80, 100])
@pytest.mark.parametrize("name", ORDER)
def test_prose_is_plain_in_a_terminal(name: str, width: int) -> None:
    for kind, _, text in chapter.cells((ROOT / "demos" / f"{name}.py").read_text("utf-8")):
        if kind == "markdown":
            shown = prose.plain(text, width)
            assert not set(shown) & {"\\", "$", prose.GAP, prose.NARROW, prose.WIDE}
            assert max(map(len, shown.splitlines())) <= width


def test_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    widths = "1: (48, 64, 80), 2: (4, 6, 8, 10), 3: (2, 3, 4, 5), 6: (1, 2, 3)"
    changes = {widths: "1: (64,), 2: (6, 8), 3: (3, 4), 6: (1, 2)", "range(5)": "range(3)"}
    result, out = run("depth", tmp_path, capsys, changes=changes)
    # Constructed: 2L neurons in L layers are what 2^L are in one, up to 8 layers, and exactly the function.
    assert list(result["by_steps"]) == [1, 2, 3, 4, 5, 6, 7, 8]
    for k, (wide, wide_error, deep, deep_error) in result["by_steps"].items():
        assert (wide, deep) == (2**k, 2 * k)
        assert max(wide_error, deep_error) < 1e-12
        assert np.count_nonzero(np.diff(np.sign(np.diff(result["folded"](result["u"][:, 0], k))))) == 2**k - 1
    assert {depth: neurons for depth, (neurons, _) in result["by_depth"].items()} == {1: 256, 2: 32, 4: 16, 8: 16}
    assert max(error for _, error in result["by_depth"].values()) < 1e-12
    # Trained: each lesson begins with a large error, and ends at the function; from random weights nothing is found.
    assert min(result["by_chance"]) > 0.9
    assert len(result["grown"]) == 3
    for lessons in result["grown"]:
        starts, ends, curves = zip(*lessons, strict=True)
        assert np.median(starts) > 0.2
        assert max(ends) < 1e-9
        for k, curve in enumerate(curves, 1):
            np.testing.assert_allclose(curve, result["folded"](result["u"], k), atol=1e-7)
    # For one function, training needs as many neurons as are constructed, and one layer more, if any.
    needed = result["needed"]
    assert {depth: needed[depth] for depth in (2, 3, 6)} == {2: 16, 3: 12, 6: 12}
    assert needed.get(1, 80) >= 64
    medians = {size: np.median(found) for size, found in result["errors"].items()}
    assert min(medians[2, 12], medians[3, 9], medians[6, 6]) > 0.5
    assert max(medians[2, 16], medians[3, 12], medians[6, 12]) < 0.01 < medians[1, 64]
    assert re.findall(r"^ +(\d) +(\d+) +(\d+)$", out, re.MULTILINE)[-3:] == [
        ("2", "16", "16"), ("3", "12", "12"), ("6", "12", "12")
    ]  # fmt: skip


def test_neural_ode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("neural_ode", tmp_path, capsys)
    assert result["difference"] < 1e-3
    forward, back = result["forward"], result["back"]
    assert f"calls the network {forward} times on the way\nforward, and {back} times back" in out
    untrained, short, long = result["distances"].values()
    is_seen = result["is_seen"]
    assert long[is_seen].mean() < short[is_seen].mean() / 2 < untrained[is_seen].mean() / 4
    assert long[~is_seen].mean() < short[~is_seen].mean() / 2
    # Of the loss, two parts are noise: that of the place where a piece begins, and of the one that it is to reach.
    assert result["fits"]["pieces of 1 interval"].fun < 4 * result["NOISE"] ** 2


def test_per_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("per_example", tmp_path, capsys)
    norms, changed = result["norms"], result["changed"]
    assert result["difference"] < 1e-6
    # The largest gradients are those of images with a wrong label, of which there are three in a hundred.
    assert len(set(changed)) == result["CHANGED"] < len(norms) / 30
    assert result["found"] >= 0.7 * result["CHANGED"]
    assert np.median(norms[changed]) > 10 * np.median(norms)
    assert f"{result['found']} have one of the {result['CHANGED']} labels that were changed" in out
    # Trained at once, the networks are what they are when trained in turn.
    assert max(result["apart"].values()) < 1e-3
    assert len(result["alone"]) == result["NETWORKS"]
    assert np.mean(result["alone"]) > 0.88
    assert result["together"] > np.mean(result["alone"])
    assert f"accuracy of the ensemble {result['together']:.4f}" in out
    # The gradient of an example is that of a network alone.
    model, X, labels = result["model"], result["X"], result["labels"]
    for k in (0, 3, 9):
        model.zero_grad()
        nn.functional.cross_entropy(model(X[k]), labels[k]).backward()
        expected = np.sqrt(sum((parameter.grad**2).sum() for parameter in model.parameters()))
        assert norms[k] == pytest.approx(expected, rel=1e-5)


def test_gaussian_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("gaussian_process", tmp_path, capsys)
    assert result["difference"] < 1e-12
    loss, at_first, found, truth = (result[name] for name in ("loss", "START", "found", "TRUTH"))
    data = result["X"], result["y"]
    assert abs(result["by_density"] - loss(at_first, *data)) < 1e-9
    assert loss(found, *data) < loss(truth, *data) < loss(at_first, *data)
    assert max(float(np.abs(slope).max()) for slope in ad.grad(loss)(found, *data).values()) < 1e-2
    for name, logarithm in truth.items():
        np.testing.assert_allclose(result["found"][name], logarithm, atol=0.5, err_msg=name)
    assert 0.86 < result["inside"] < 0.98
    in_gap, elsewhere = result["widths"]
    assert in_gap > 4 * elsewhere
    matter = result["MATTER"]
    assert result["lengths"][matter:].min() > 8 * result["lengths"][:matter].max()
    with_gradient, without = result["with_gradient"], result["without"]
    assert without > 8 * with_gradient
    assert f"{with_gradient} with the gradient, {without} without" in out


def test_fourier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("fourier", tmp_path, capsys)
    # The spectrum of the samples has one hump where there are two tones, and the search finds both.
    hump = np.abs(result["spectrum"](result["samples"]))[10:20]
    assert np.sum((hump[1:-1] > hump[:-2]) & (hump[1:-1] > hump[2:]) & (hump[1:-1] > 2)) == 1
    error = np.abs(result["frequencies"] - result["FREQUENCIES"])
    assert np.all(error < 4 * result["bounds"])
    assert np.all(result["bounds"] < 0.04)
    np.testing.assert_allclose(result["amplitudes"], result["AMPLITUDES"], atol=0.25)
    assert result["losses"][-1] < 0.05 * result["losses"][0]
    # Dividing by the spectrum of the line makes noise of the picture, and descent makes it sharp.
    quality = result["quality"]
    assert quality["divided by the line's spectrum"] < quality["moved"] < quality["found by gradient"] - 6
    assert result["apart"] < 1e-15
    assert f"found by gradient               {quality['found by gradient']:5.1f} dB" in out
    # The bound is that of one tone in noise, in bins, and far from both ends of the spectrum:
    # 24 σ² / (2π)² / (A² (N² - 1) / N)
    bound = result["cramer_rao"](np.array([57.4]), np.array([0.8]))
    n = result["SAMPLES"]
    assert bound == pytest.approx(np.sqrt(24 * n / (n**2 - 1)) * result["NOISE"] / 0.8 / (2 * np.pi), rel=1e-2)
