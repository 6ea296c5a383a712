"""The chapters of probability make their point: the figures each is about are checked against other ways to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


from tests.test_chapters import run


@pytest.mark.parametrize("seed", [0, 1])
def test_linear_model(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out = run("linear_model", tmp_path, capsys, seed)
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
