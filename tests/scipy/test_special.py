"""Every ufunc of scipy.special is sorted: it has a rule, or refuses a Tensor for a reason that the module says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff import Tensor, grad
from autodiff.core.rule import facts_of

sp = pytest.importorskip("scipy.special")

from autodiff.scipy import special  # noqa: E402

# What the module's documentation says of those that raise NotImplementedError when a Tensor comes: "- names: reason."
REFUSED = [item.partition(":")[0].split() for item in (special.__doc__ or "").split("\n- ")[1:]]
UFUNCS = {name: getattr(sp, name) for name in dir(sp) if isinstance(getattr(sp, name), np.ufunc)}
ALL_REFUSED = {name for names in REFUSED for name in names}


@pytest.mark.together("name", UFUNCS)
def test_every_ufunc_is_sorted(name: str) -> None:
    assert bool(facts_of(UFUNCS[name]).rules) != (name in ALL_REFUSED)


def test_no_ufunc_is_listed_twice() -> None:
    assert len(ALL_REFUSED) == sum(map(len, REFUSED)) > 100


@pytest.mark.together("name", sorted(ALL_REFUSED & UFUNCS.keys()))
def test_what_is_refused_names_itself(name: str) -> None:
    function = UFUNCS[name]
    with pytest.raises(NotImplementedError, match=f"^{function.__name__} has no derivative rule"):
        function(*[Tensor(np.ones(2))] * function.nin)


@pytest.mark.parametrize("name", ["yn", "kn", "jv", "yv", "iv", "kv", "expn", "pdtr"])
def test_an_argument_without_a_derivative_is_refused_by_name(name: str) -> None:
    with pytest.raises(NotImplementedError, match=f"^{name} has no derivative with respect to argument 0"):
        getattr(special, name)(Tensor(2.0), 1.5)


def test_what_the_module_does_not_have_is_scipys() -> None:
    assert special.gammaln is sp.gammaln
    with pytest.raises(AttributeError, match="no_such_function"):
        special.no_such_function  # noqa: B018


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_logsumexp_where_its_terms_are_infinite_is_pytorchs() -> None:
    slope = grad(special.logsumexp)
    np.testing.assert_array_equal(slope(np.full(2, -np.inf)), [np.nan, np.nan])
    np.testing.assert_array_equal(slope(np.array([-np.inf, 1.0])), [0, 1])
    np.testing.assert_array_equal(slope(np.array([np.inf, 1.0])), [np.nan, 0])


def test_a_factor_of_zero_leaves_a_term_out() -> None:
    a, b = Tensor([1.0, 2.0, -1.0]), Tensor([1.0, 0.0, 2.0])
    special.logsumexp(a, b=b).backward()
    total = np.exp(1.0) + 2 * np.exp(-1.0)
    np.testing.assert_allclose(a.grad, [np.exp(1) / total, 0, 2 * np.exp(-1) / total])
    np.testing.assert_allclose(b.grad, np.exp(a.data) / total)


def test_huber_has_no_derivative_where_it_is_infinite() -> None:
    for function in (sp.huber, sp.pseudo_huber):
        for argument in (0, 1):
            assert np.isnan(grad(function, argument)(-1.0, 0.5))


@pytest.mark.parametrize("call", [special.softmax, special.log_softmax, special.logsumexp], ids=["s", "l", "e"])
def test_of_lists_with_tensors_arrays_are_made(call: Any) -> None:
    x = Tensor(1.0)
    call([x, 2.0]).sum().backward()
    assert x.grad is not None
