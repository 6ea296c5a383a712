"""The expressions by which micrograd's own engine is tested, with a Tensor in place of its Value, against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

from autodiff import Tensor

torch = pytest.importorskip("torch")


def number(value: float) -> Any:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def sanity(x: Any) -> Any:
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    return h + q + q * x


def more(a: Any, b: Any) -> Any:
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def test_sanity_check() -> None:
    ours, theirs = Tensor(-4.0), number(-4.0)
    y, expected = sanity(ours), sanity(theirs)
    y.backward()
    expected.backward()
    assert float(y) == expected.item() == -20.0
    assert float(ours.grad) == theirs.grad.item() == 46.0


def test_more_operators() -> None:
    ours, theirs = (Tensor(-4.0), Tensor(2.0)), (number(-4.0), number(2.0))
    g, expected = more(*ours), more(*theirs)
    g.backward()
    expected.backward()
    assert float(g) == pytest.approx(expected.item(), abs=1e-12)
    assert float(g) == pytest.approx(24.70408163265306)
    for mine, torchs in zip(ours, theirs, strict=True):
        assert float(mine.grad) == pytest.approx(torchs.grad.item(), abs=1e-10)
    assert float(ours[0].grad) == pytest.approx(138.83381924198252)
    assert float(ours[1].grad) == pytest.approx(645.5772594752186)
