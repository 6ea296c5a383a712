"""Jacobians and Hessians of a batch of unit vectors are those of one unit vector after the other, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.record import data_of
from autodiff.transforms import products
from autodiff.transforms.containers import flatten
from tests.cases import CASES, Case

RNG = np.random.default_rng(0)
# Whose rules look at the gradient and decide.
ONE_BY_ONE = {"norm of the identity"}


class NotAtOnceError(Exception):
    pass


@contextmanager
def one_by_one() -> Iterator[None]:
    """Let no Jacobian take a batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_at_once", lambda *args: 1 / 0)
        yield


@contextmanager
def at_once() -> Iterator[None]:
    """Let no Jacobian do without a batch."""

    def refuse(*args: Any) -> Any:
        raise NotAtOnceError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_one_by_one", refuse)
        yield


def assert_same_bits(found: Any, wanted: Any) -> None:
    found, wanted = flatten(found)[0], flatten(wanted)[0]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert type(a) is type(b)
        a, b = data_of(a), data_of(b)
        assert type(a) is type(b)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=isinstance(b, np.ndarray))
        np.testing.assert_array_equal(np.signbit(a), np.signbit(b))
        if isinstance(a, np.ndarray):
            assert a.flags.writeable
            assert a.flags.owndata or a.base.flags.writeable


def check(derivative: Callable[[], Any]) -> Any:
    """Compute a derivative in both ways and compare."""
    with one_by_one():
        wanted = derivative()
    with at_once():
        found = derivative()
    assert_same_bits(found, wanted)
    return found


def is_floats(x: Any) -> bool:
    return getattr(x, "dtype", np.dtype(int)).kind == "f"


def numbers_of(case: Case) -> tuple[int, ...]:
    return tuple(position for position, arg in enumerate(case.args) if is_floats(arg))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_jacobian_of_every_case(case: Case) -> None:
    check(lambda: ad.jacobian(case.function, numbers_of(case))(*case.args))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in CASES if case.order > 1], ids=str)
def test_hessian_of_every_case(case: Case) -> None:
    def weighted(*args: Any) -> Any:
        total: Any = 0.0
        for out in flatten(case.function(*args))[0]:
            total = total + (np.cos(np.arange(1.0, 1 + np.size(data_of(out)))).reshape(np.shape(out)) * out).sum()
        return total

    def derivative() -> Any:
        return ad.hessian(weighted, numbers_of(case))(*case.args)

    if case.name in ONE_BY_ONE:
        with pytest.raises(NotAtOnceError), at_once():
            derivative()
        with one_by_one():
            wanted = derivative()
        assert_same_bits(derivative(), wanted)
    else:
        check(derivative)
