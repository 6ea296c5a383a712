"""The chapters of probability make their point: the figures each is about are checked against other ways to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from tests.test_chapters import run


def test_linear_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("linear_model", tmp_path, capsys)
    for hand, engine in result["pairs"]:
        np.testing.assert_allclose(hand, engine, rtol=0, atol=1e-14)
        assert abs(engine.sum()) < 1e-14
        assert ("".join(f"{v:10.5f}" for v in hand) + "  " + "".join(f"{v:10.5f}" for v in engine)) in out
    for c, p in result["moved"].items():
        np.testing.assert_allclose(p, result["moved"][0], rtol=1e-12)
        assert p.sum() == pytest.approx(1)
        assert np.isnan(result["naive"][c]).all() == (c == 1000)
    W = result["W"]
    np.testing.assert_array_equal(result["columns"], W)
    np.testing.assert_allclose(W.sum(axis=1), 0, atol=1e-12)
    for (j, k), (points, p, bend) in result["borders"].items():
        np.testing.assert_allclose(p[:, 0], p[:, 1], rtol=1e-9)
        assert bend < 1e-12
        np.testing.assert_allclose((points[2] - points[0]) @ (W[:, j] - W[:, k]), 0, atol=1e-12)
    assert result["right"].sum() >= 143
    assert result["accuracy"] > 0.93
    np.testing.assert_array_equal(result["found"], np.arange(10))


@pytest.mark.parametrize("seed", [0, 1])
def test_probability(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("probability", tmp_path, capsys, seed)
    mass = result["mass"]
    assert mass.sum() == pytest.approx(1)
    for n, shares in result["shares"].items():
        assert (np.abs(shares - mass) < 4 * np.sqrt(mass * (1 - mass) / n)).all(), n
    # The quotient by the distribution function goes to its derivative as h², and that by counting only at first.
    x, h, counts = result["x"], result["widths"], result["counts"]
    truth = norm(1.70, 0.07)
    density = result["density"](x)
    assert density == pytest.approx(truth.pdf(x), rel=1e-12)
    np.testing.assert_allclose(result["by_cdf"], (truth.cdf(x + h) - truth.cdf(x - h)) / (2 * h), rtol=1e-10)
    np.testing.assert_allclose((result["by_cdf"] - density)[2:-1], result["predicted"][2:-1], rtol=0.01)
    assert (np.abs(result["by_count"] / result["by_cdf"] - 1) < 4 / np.sqrt(counts)).all()
    off = np.abs(result["by_count"] - density)
    assert off[:4].min() < off[0] / 10
    assert off[-3:].max() > off.min()
    assert not (result["draws"] == x).any()
    # It is larger than one, and its area is not, for the height and for what is computed of it.
    assert result["heights"].max() == pytest.approx(1 / (0.07 * np.sqrt(2 * np.pi)), rel=1e-3)
    between = result["areas"].pop("1.60 to 1.80")
    assert between == pytest.approx(truth.cdf(1.80) - truth.cdf(1.60), rel=1e-4)
    assert list(result["areas"].values()) == pytest.approx([1, 1, 1], abs=1e-6)
    assert result["changed"]("centimetres", 170.0) == pytest.approx(truth.pdf(1.70) / 100)
    y = np.array([20.0, 24.0, 30.0])
    below, above = (1 - truth.cdf(np.sqrt(70 / (y + step))) for step in (-1e-4, 1e-4))
    np.testing.assert_allclose(result["changed"]("body mass index", y), (above - below) / 2e-4, rtol=1e-6)
    assert f"largest density                   {result['heights'].max():.4f} per metre" in out


@pytest.mark.parametrize("seed", [0, 1])
def test_logistic_regression(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("logistic_regression", tmp_path, capsys, seed)
    x, y, p, w = (result[name] for name in ("x", "y", "p", "w"))
    assert list(result["ways"].values()) == pytest.approx([result["ways"]["the formula"]] * 3, rel=1e-12)
    by_hand, by_engine = np.array(result["gradients"]).transpose(1, 0, 2)
    np.testing.assert_allclose(by_hand, by_engine, rtol=0, atol=1e-14)
    np.testing.assert_allclose(result["by_engine"], result["by_formula"], rtol=0, atol=1e-14)
    assert (np.linalg.eigvalsh(result["by_engine"]) > 0).all()
    fitted = LogisticRegression(C=1e9, tol=1e-8).fit((x - result["center"])[:, None], y)
    assert [w, result["b"]] == pytest.approx([fitted.coef_[0, 0], fitted.intercept_[0]], rel=1e-3)
    np.testing.assert_allclose(result["slopes"], w, rtol=1e-10)
    assert p.sum() == pytest.approx(y.sum(), abs=1e-3)
    np.testing.assert_allclose(result["pair"][:, 1], p, rtol=1e-12)
    # Calibrated: the shares are off by their standard errors, as chance has it (by more in one case of 200).
    predicted, observed, errors = result["predicted"], result["observed"], result["errors"]
    assert (((observed - predicted) / errors) ** 2).sum() < 20.3
    assert predicted[0] < 0.05 < 0.95 < predicted[-1]
    assert f"malignant {y.sum()}, sum of the probabilities {p.sum():.4f}" in out


def test_maximum_likelihood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("maximum_likelihood", tmp_path, capsys)
    np.testing.assert_allclose(result["normal"], result["closed_normal"], rtol=1e-9)
    np.testing.assert_allclose(result["normal"], [2, 1.5**2], rtol=0.3)
    counts = result["counts"]
    assert counts.sum() == 500
    np.testing.assert_allclose(result["categorical"], counts / 500, rtol=1e-9)
    np.testing.assert_allclose(result["slopes"], 500, rtol=1e-9)
    for name, ratios in result["ratios"].items():
        np.testing.assert_allclose(ratios, 1, atol=0.07, err_msg=name)
        distances = result["distances"][name]
        assert distances[0] > 0.15, name
        assert distances[-1] < min(0.05, distances[0] / 8), name
    likelihood, cross, entropy, divergence = result["parts"].T
    np.testing.assert_allclose(cross, likelihood, rtol=1e-12)
    np.testing.assert_allclose(entropy + divergence, likelihood, rtol=1e-12)
    assert np.ptp(entropy) == 0
    assert (np.diff(likelihood) < 0).all()
    assert (divergence > 0).all()
    assert divergence[-1] < divergence[0] / 3
    assert "closed form {:10.8f} {:10.8f}".format(*result["closed_normal"]) in out
    # The product is zero where the sum is a number, and one observation has a gradient that is right on average.
    x = result["x"]
    for n, (product, its_slope, logarithms, slope) in result["underflow"].items():
        assert logarithms == pytest.approx(norm(1.0, 1.5).logpdf(x[:n]).sum())
        assert slope == pytest.approx((x[:n] - 1).sum() / 1.5**2)
        assert product == pytest.approx(np.exp(logarithms), rel=1e-9, abs=0)
        assert its_slope == pytest.approx(product * slope, rel=1e-9, abs=0)
        assert (product == 0) == (n == 1000)
    assert result["costs"] == [[n, 1] for n in (100, 1_000, 10_000, 100_000)]
    full, mean_of_single = np.transpose(result["unbiased"])
    np.testing.assert_allclose(mean_of_single, full, rtol=1e-12)
    np.testing.assert_allclose(result["spreads"], 1.5, rtol=0.2)
    np.testing.assert_allclose(result["single_path"], np.cumsum(x) / np.arange(1, 1001), rtol=1e-10)
    assert result["computed"] == len(x)


def test_conditional_expectation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Where packages are imported before, its functions are handed out with names that are found in no module.
    result, out = run("conditional_expectation", tmp_path, capsys, afresh=True)
    joint, exact = result["joint"], result["exact_joint"]
    assert joint.sum() == pytest.approx(1)
    often = exact * 100_000 > 10
    squares = (joint - exact)[often] ** 2 / (exact[often] / 100_000)
    assert squares.mean() == pytest.approx(1, abs=0.3)  # as chance has it
    a, b = result["X_EDGES"][:-1], result["X_EDGES"][1:]
    np.testing.assert_allclose(joint.sum(axis=1), (4 * (b - a) + (b**2 - a**2) / 2) / 16, atol=0.003)
    np.testing.assert_allclose(result["conditional"] * joint.sum(axis=1, keepdims=True), joint, rtol=1e-12)
    np.testing.assert_allclose(result["conditional"].sum(axis=1), 1)
    for kind, close in (("mean", 0.03), ("distribution", 0.005)):
        counting, network = np.transpose(result[f"{kind}_differences"])
        assert (np.diff(counting) < 0).all()
        assert (np.diff(network) < 0).all()
        assert network[-1] < min(close, counting[-1] / 2)
    assert result["squared_errors"][-1] == pytest.approx(result["conditional_variance"], rel=0.01)
    assert result["cross_entropies"][-1] == pytest.approx(result["conditional_entropy"], rel=0.002)
    np.testing.assert_allclose(result["errors_in_cells"], result["variances"], rtol=0.08)
    x, y = result["draw_pairs"](400_000, np.random.default_rng(0))
    mean, variance, cells = result["truth"](x)
    assert np.mean(y - mean) == pytest.approx(0, abs=0.005)
    assert np.mean((y - mean) ** 2) == pytest.approx(np.mean(variance), rel=0.01)
    counted = np.bincount(result["cell_of"](y)) / len(y)
    np.testing.assert_allclose(counted, cells.mean(axis=0), atol=0.002)
    assert f"E[Var(y|x)] {result['conditional_variance']:8.4f}" in out
    # The proof, line by line: both derivatives at any number, and of a function at every x.
    square, expanded, first, by_hand, second, split = result["numbers"].values()
    np.testing.assert_allclose(square, expanded, rtol=1e-12)
    np.testing.assert_allclose(square, split, rtol=1e-12)
    np.testing.assert_allclose(first, by_hand, atol=1e-12)
    assert abs(first[2]) < 1e-12
    np.testing.assert_allclose(second, 2, rtol=1e-12)
    assert square[2] == pytest.approx(result["here"].var())
    assert square[2] == square.min()
    error, of_function, noise = result["split_error"]
    assert error == pytest.approx(of_function + noise, rel=1e-12)
    np.testing.assert_allclose(result["slopes"]["f = E[y|x]"], 0, atol=1e-13)
    np.testing.assert_allclose(result["slopes"]["f = 0"], result["by_proof"], atol=1e-13)
    np.testing.assert_allclose(result["curvatures"], np.diag(2 * result["marginal"]), atol=1e-12)
    assert np.diag(result["curvatures"]).min() > 0
