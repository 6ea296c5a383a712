"""Programs as one would write them by hand: no call that does nothing, and no more statements than another library."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.plan.lifetimes import shows
from autodiff.compiler.program import Call, Program, Value
from autodiff.core.rule import facts_of
from tests.compiler.readable import FUNCTIONS, MODELS, Case, ModelCase, statements, statements_of_tangent

functions = pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.function.__name__)
models = pytest.mark.parametrize("case", MODELS, ids=lambda case: case.twin.__name__)
exact = pytest.mark.parametrize("exact", [False, True], ids=["", "exact"])


def applied(call: Call, array: Any) -> Any:
    return call.function(array, *call.args[1:], **call.kwargs)


def assert_nothing_is_left_out(program: Program) -> None:
    """See that no call gives its first argument again, and no two views are one."""
    makers: dict[Value, Call] = {output: call for call in program.calls for output in call.outputs}
    for call in program.calls:
        x = call.args[0] if call.args else None
        if (
            not isinstance(x, Value)
            or not (shows(call) or facts_of(call.function).is_copy)
            or [*call.operands()] != [x]
        ):
            continue
        array = np.arange(np.prod(x.shape, dtype=int)).reshape(x.shape)
        assert call.output.form != x.form or not np.array_equal(applied(call, array), array), program
        first = makers.get(x)
        if first and shows(first) and shows(call) and [*first.operands()] == [first.args[0]]:
            array = np.arange(np.prod(first.args[0].shape, dtype=int)).reshape(first.args[0].shape)
            both = applied(call, applied(first, array))
            if both.size == array.size:
                orders = itertools.permutations(range(array.ndim))
                ways = [array.reshape(both.shape), *(array.transpose(order) for order in orders)]
                assert not any(np.array_equal(way, both) for way in ways), program


@exact
@functions
def test_gradients_of_functions(case: Case, exact: bool) -> None:
    gradient = case.gradient()
    compiled = ad.compile(gradient, exact=exact)
    for found, wanted in zip(compiled(*case.arguments()), gradient(*case.arguments()), strict=True):
        if exact:
            assert np.asarray(found).tobytes() == np.asarray(wanted).tobytes()
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12, strict=True)
    assert_nothing_is_left_out(compiled._latest.program)


@exact
@models
def test_gradients_of_models(case: ModelCase, exact: bool) -> None:
    (model, gradients), (other, eager) = case.gradient(), case.gradient()
    compiled = ad.compile(gradients, state=model, exact=exact)
    compiled(*case.arguments)
    eager(*case.arguments)
    twin, wrt, args = case.as_function()
    by_twin = ad.grad(twin, argnums=wrt)(*args)
    for parameter, same, of_twin in zip(model.parameters(), other.parameters(), by_twin, strict=True):
        if exact:
            assert parameter.grad.tobytes() == same.grad.tobytes()
        np.testing.assert_allclose(parameter.grad, same.grad, rtol=1e-10, atol=1e-12, strict=True)
        np.testing.assert_allclose(parameter.grad, of_twin, rtol=1e-8, atol=1e-10, strict=True)
    assert_nothing_is_left_out(compiled._latest.program)


@exact
@pytest.mark.parametrize(
    "case", [case for case in FUNCTIONS if case.by_tangent], ids=lambda case: case.function.__name__
)
def test_functions_have_no_more_statements_than_by_tangent(case: Case, exact: bool) -> None:
    pytest.importorskip("tangent")
    compiled = ad.compile(case.gradient(), exact=exact)
    compiled(*case.arguments())
    assert statements(compiled.source) <= statements_of_tangent(case.function, case.wrt)[0]


@exact
@models
def test_models_have_no_more_statements_than_by_tangent(case: ModelCase, exact: bool) -> None:
    pytest.importorskip("tangent")
    twin, wrt, args = case.as_function()
    model, gradients = case.gradient()
    of_model = ad.compile(gradients, state=model, exact=exact)
    of_model(*case.arguments)
    of_twin = ad.compile(ad.grad(twin, argnums=wrt), exact=exact)
    of_twin(*args)
    limit, _ = statements_of_tangent(twin, wrt)
    assert statements(of_model.source) <= limit
    assert statements(of_twin.source) <= limit


def test_statements_are_counted_by_what_a_reader_reads() -> None:
    source = '''
import numpy as np


def build(w):
    """Give step(x)."""
    product = np.empty((2, 3), np.float64)
    c2 = np.array(2.0, np.float64)
    w_T = w.T

    def step(x):
        # loss
        np.dot(x, w_T, out=product)
        if not product.all():
            raise ValueError("zeros")
        return product * c2,

    return step
'''
    assert statements(source) == 4  # w_T, the product, if and raise
