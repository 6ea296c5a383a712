"""Formulas of local derivatives: every rule gives one or none, those given are right, and they are well written."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.arrays.activations import relu
from autodiff.core.record import is_variable
from autodiff.core.rule import FACTS, is_elementwise
from autodiff.core.tape import Outputs, arguments, pack
from autodiff.core.tensor import Tensor, is_complex
from autodiff.drawing.formulas import LONGEST_FORMULA, Formula, formulas
from autodiff.drawing.notation import plain
from autodiff.drawing.symbols import Symbol
from tests.cases import CASES, Case
from tests.test_rules import several, tensors

F = nn.functional


def name_of(one: Any) -> str | None:
    return one.name if isinstance(one, Tensor) else None


def texts(call: Tensor) -> list[str]:
    return [formula.text for _, formula in formulas(call, name_of)]


def calls_behind(results: Any) -> Iterator[Tensor]:
    pending, seen = list(results), set()
    while pending:
        one = pending.pop()
        if isinstance(one, list | tuple):
            pending += one
        elif isinstance(one, Tensor) and not one.is_leaf and one._age not in seen:
            seen.add(one._age)
            pending += one._args
            if one._function is not pack:
                yield one


def variables_in(arg: Any, piece: Any) -> Iterator[tuple[Tensor, Any]]:
    if is_variable(arg):
        yield arg, piece
    elif type(arg) in (list, tuple):
        for one, its in zip(arg, piece):
            yield from variables_in(one, its)


def by_rule(call: Tensor, g: Any) -> list[tuple[Tensor, Any]]:
    """What the rules themselves give for each Tensor among the arguments."""
    found: list[tuple[Tensor, Any]] = []
    for rule, arg in zip(FACTS[call._function].rules, arguments(call)):
        if any(True for _ in variables_in(arg, arg)):
            found += variables_in(arg, rule(g, call._array, *call._values, **call._kwargs))
    return found


def gradient_for(call: Tensor) -> Any:
    rng = np.random.default_rng(5)
    data = call._array
    if type(data) is Outputs:
        return Outputs(rng.normal(size=np.shape(one)).astype(one.dtype) for one in data)
    return np.asarray(rng.normal(size=data.shape))[()]


# All rules


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.together("case", CASES, ids=str)
def test_a_formula_computes_what_its_rule_does(case: Case) -> None:
    for call in calls_behind(several(case.function(*tensors(case.args)))):
        g = gradient_for(call)
        derived = formulas(call, name_of, g)
        expected = by_rule(call, g)
        assert [id(tensor) for tensor, _ in derived] == [id(tensor) for tensor, _ in expected]
        for (tensor, formula), (_, gradient) in zip(derived, expected):
            if formula.product is None:
                assert formula.text != f"{plain(formula.left)} by its rule", call._function
                continue
            assert len(plain(formula.left)) <= LONGEST_FORMULA
            assert 0 < len(plain(formula.right)) <= LONGEST_FORMULA
            shown = np.conj if is_complex(tensor) else np.real
            gradient = shown(gradient)
            product = formula.product if is_complex(tensor) else np.real(formula.product)
            np.testing.assert_allclose(product, gradient, rtol=1e-12, atol=1e-14)
            if formula.derivative is not None and np.size(gradient):
                assert formula.derivative.any() or not np.any(gradient)
                if formula.derivative.any():
                    shape = np.broadcast_shapes(np.shape(g), formula.derivative.shape, np.shape(gradient))
                    product = np.broadcast_to(shown(np.conj(g) * formula.derivative), shape)
                    np.testing.assert_allclose(product, np.broadcast_to(gradient, shape), rtol=1e-12, atol=1e-14)


def test_most_rules_have_a_formula() -> None:
    total = found = 0
    functions: dict[Any, bool] = {}
    for case in CASES:
        if case.name.startswith("scipy."):
            continue  # whose derivatives are compositions, or equations solved
        for call in calls_behind(several(case.function(*tensors(case.args)))):
            for _, formula in formulas(call, name_of):
                total += 1
                found += formula.product is not None
                functions[call._function] = functions.get(call._function, False) or formula.product is not None
    assert found > 0.6 * total
    # The others are too long to be read, as where a series takes over from a formula that loses its digits, or ask for
    # numbers: what is sorted, the ranks of matrices, which half of a spectrum is stored. Those are said in words.
    assert sum(functions.values()) > 0.78 * len(functions)


# What is written, read again as Python

_SIGNS = {
    "·": "*",
    "−": "-",
    "√": "sqrt",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    " = ": " == ",
    "σ": "expit",
    "[": "float(",
    "]": ")",
}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def read(text: str, **names: float) -> float:
    """Compute what a formula says, by itself, of numbers."""
    text = re.sub("⁽(.)⁾", lambda m: f"_{m[1].translate(_RAISED)}", text)
    for sign, code in _SIGNS.items():
        text = text.replace(sign, code)
    text = re.sub(r"\|(\w+)\|", r"abs(\1)", text)
    text = re.sub(r"sqrt(\w+)", r"sqrt(\1)", text)
    text = re.sub(r"(\w+)([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)\(", lambda m: f"raised({m[1]}, {m[2].translate(_RAISED)})(", text)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda m: f"**({m[0].translate(_RAISED)})", text).replace("^", "**")
    rules = pytest.importorskip("autodiff.rules.special")
    functions = {**vars(rules), **vars(rules.sp), **vars(np), "relu": relu}
    functions["raised"] = lambda function, power: lambda *args: function(*args) ** power
    return float(eval(text, functions, names))


ELEMENTWISE_CASES = [
    case
    for case in CASES
    if case.order
    and (is_elementwise(case.function) or case.name.startswith(("x**", "clip", "where", "relu", "sigmoid")))
    and "list" not in case.name
    and case.name != "clip, bounds equal"  # by one of the bounds alone, that is a kink
    and type((case.plain or case.function)(*case.args)) is not tuple
]


@pytest.mark.together("case", ELEMENTWISE_CASES, ids=str)
def test_what_is_written_is_the_derivative(case: Case) -> None:
    call = case.function(*tensors(case.args))
    names = {id(arg): f"a{k}" for k, arg in enumerate(call._args)}
    count = len(call._args)
    for tensor, formula in formulas(call, lambda one: names.get(id(one))):
        if formula.derivative is None:
            continue
        position = next(k for k, arg in enumerate(call._args) if arg is tensor)
        values = [value if value is None else np.broadcast_to(value, call.shape) for value in call._values]
        for index in list(np.ndindex(call.shape))[:3]:
            point = [value if value is None else value[index] for value in values]
            low, high = ([x if k != position else x + step for k, x in enumerate(point)] for step in (-1e-6, 1e-6))
            numerical = (call._function(*high, **call._kwargs) - call._function(*low, **call._kwargs)) / 2e-6
            # An argument that stands there twice is numbered.
            known = {f"a{k}{end}": point[k] for k in range(count) for end in ("", f"_{k + 1}")}
            known |= {f"a{count - 1}_{k + 1}": point[k] for k in range(count)} | {"out": call.data[index]}
            assert read(plain(formula.right), **known) == pytest.approx(numerical, rel=1e-4, abs=1e-6), formula.text
        if sum(arg is tensor for arg in call._args) > 1:
            break  # the second has the other's name


def test_enough_of_it_was_read_again() -> None:
    assert len(ELEMENTWISE_CASES) > 250


x, y, w = Tensor([0.5, 2.0], name="x"), Tensor([1.5, 3.0], name="y"), Tensor([[1.0, 2.0], [3.0, 4.0]], name="W")


def named(name: str) -> Tensor:
    return Tensor([1.0, 2.0], name=name)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: x * y, ["∂(x·y)/∂x = y", "∂(x·y)/∂y = x"]),
        (lambda: x * named("a+b"), ["∂(x·(a+b))/∂x = a+b", "∂(x·(a+b))/∂(a+b) = x"]),
        (lambda: named("-c") ** 2, ["∂((-c)²)/∂(-c) = 2·(-c)"]),
        (lambda: named("w[0]") * named("f(t)"), ["∂(w[0]·f(t))/∂w[0] = f(t)", "∂(w[0]·f(t))/∂f(t) = w[0]"]),
        (lambda: x**2.5, ["∂(x^2.5)/∂x = 2.5·x^1.5"]),
        (lambda: x @ y, ["∂(x y)/∂x = y", "∂(x y)/∂y = x"]),
        (lambda: x / y, ["∂(x/y)/∂x = 1/y", "∂(x/y)/∂y = −x/y²"]),
        (lambda: x - y, ["∂(x − y)/∂x = 1", "∂(x − y)/∂y = −1"]),
        (lambda: x**3, ["∂(x³)/∂x = 3·x²"]),
        (lambda: x**-1, ["∂(x⁻¹)/∂x = −x⁻²"]),
        (lambda: 2**x, ["∂(2^x)/∂x = 2^x·log(2)"]),
        (lambda: np.tanh(x), ["∂tanh(x)/∂x = 1 − tanh²(x)"]),
        (lambda: np.hypot(x, y), ["∂hypot(x, y)/∂x = x / hypot(x, y)", "∂hypot(x, y)/∂y = y / hypot(x, y)"]),
        (lambda: np.sqrt(x), ["∂√x/∂x = 1/(2·√x)"]),
        (lambda: np.absolute(x), ["∂|x|/∂x = sign(x)"]),
        (lambda: x.sigmoid(), ["∂σ(x)/∂x = σ(x)·(1 − σ(x))"]),
        (lambda: F.log_sigmoid(x), ["∂log_sigmoid(x)/∂x = σ(−x)"]),
        (lambda: x.relu(), ["∂relu(x)/∂x = [relu(x) > 0]"]),
        (lambda: np.maximum(x, 0), ["∂maximum(x, 0)/∂x = 1/2 if x = 0 else [x ≥ 0]"]),
        (lambda: np.where(x.data > 1, x, 0), ["∂([c]·x)/∂x = [c]"]),
        (lambda: np.clip(x, -1, 1), ["∂clip(x, −1, 1)/∂x = [x ≥ −1 and x ≤ 1]"]),
        (lambda: x.sum(), ["∂(Σ x)/∂x = 1"]),
        (lambda: x.mean(), ["∂mean(x)/∂x = 1/2"]),
        (lambda: w.sum(axis=0), ["g ↦ broadcast(g)"]),
        (lambda: w @ w.data, ["g ↦ g yᵀ"]),
        (lambda: w.data @ w, ["g ↦ xᵀ g"]),
        (lambda: w.T, ["g ↦ gᵀ"]),
        (lambda: np.linalg.inv(w), ["g ↦ −(W⁻¹)ᵀ g (W⁻¹)ᵀ"]),
        (lambda: x.max(), ["g to the largest"]),
        (lambda: x[np.array([0, 1, 1])], ["g back to the places it was taken from"]),
        (lambda: np.linalg.norm(w, 2), ["g in the direction in which the norm grows"]),
        (lambda: F.gelu(x), ["g times the slope in x"]),
        (lambda: np.prod(Tensor([1j, 2.0], name="z")), ["g times the conjugated product of all others"]),
        (lambda: np.dot(x, [1.0, 2.0]), ["∂(x y)/∂x = y"]),
        (lambda: np.concatenate([x, y]), ["g ↦ g[0:2]", "g ↦ g[2:4]"]),
        (lambda: x[1:], ["g ↦ scatter(g, [1:])"]),
        (lambda: w.reshape(4), ["g ↦ reshape(g)"]),
        (lambda: np.linalg.slogdet(w).logabsdet._args[0], ["g₁, g₂ ↦ g₂[…, None, None] ⊙ (W⁻¹)ᵀ"]),
        (lambda: F.silu(x), ["∂silu(x)/∂x = σ(x) + minimum(silu(x), 20000)·(1 − σ(x))"]),
        (lambda: F.softmax(x), ["g ↦ softmax(x, −1) ⊙ (g − Σ₋₁ (g ⊙ softmax(x, −1)))"]),
        (lambda: F.linear(w, w.data, y), ["g ↦ g weightᵀ", "g ↦ Σ₀ g"]),
    ],
)
def test_what_is_written(call: Callable[[], Tensor], expected: list[str]) -> None:
    assert texts(call()) == expected


def test_the_loss_of_a_classifier() -> None:
    logits = Tensor(np.ones((8, 4)), name="logits")
    loss = F.cross_entropy(logits, np.arange(8) % 4)
    loss.name = "loss"
    assert texts(loss) == ["∂loss/∂logits = (softmax(logits, 1) − [target[:, None] = 0…3]) / 8"]


def test_a_named_output_stands_for_itself() -> None:
    h = np.tanh(x)
    h.name = "h"
    assert texts(h) == ["∂h/∂x = 1 − h²"]


def test_names_that_are_alike_are_numbered() -> None:
    other = Tensor([1.0, 1.0], name="x")
    assert texts(x * other) == ["∂(x⁽¹⁾·x⁽²⁾)/∂x⁽¹⁾ = x⁽²⁾", "∂(x⁽¹⁾·x⁽²⁾)/∂x⁽²⁾ = x⁽¹⁾"]
    g = Tensor(w.data, name="g")
    assert texts(g @ w) == ["ḡ ↦ ḡ Wᵀ", "ḡ ↦ gᵀ ḡ"]
    out = Tensor(1.0, name="f")
    call = out * 2
    call.name = "f"
    assert texts(call) == ["∂(f·2)/∂f = 2"]


# Where there is none


def declared(rule: Callable[..., Any]) -> Tensor:
    @ad.primitive
    def doubled(x: Any) -> Any:
        return 2 * x

    ad.defvjp(doubled, rule)
    return doubled(x)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(lambda g, out, x: 2 * g if np.all(x > 0) else g, id="branches on values"),
        pytest.param(lambda g, out, x: g * float(x[0] * 0 + 2), id="makes a number of a value"),
        pytest.param(lambda g, out, x: g * math.fsum([x.item(0) * 0, 2]), id="asks for an element"),
        pytest.param(lambda g, out, x: np.asarray(g) * 2, id="converts"),
        pytest.param(lambda g, out, x: np.multiply(g, 2, out=np.empty(2)), id="writes"),
        pytest.param(lambda g, out, x: g * np.array([2.0, 2.0]), id="an array without a name"),
        pytest.param(lambda g, out, x: np.multiply(g, 2, dtype=float), id="options"),
        pytest.param(
            lambda g, out, x: g * (np.sin(x) + np.cos(x)) * (np.tan(x) + np.sinh(x)) * np.exp(np.cosh(x) * np.sinh(x)),
            id="long",
        ),
    ],
)
def test_a_rule_that_is_not_read_is_in_words(rule: Callable[..., Any]) -> None:
    assert texts(declared(rule)) == ["g by its rule"]


def test_a_rule_of_ones_own() -> None:
    assert texts(declared(lambda g, out, x: g.sum() * x.mean() + g * 2)) == ["g ↦ (Σ g)·mean(x) + 2·g"]


def test_a_symbol_is_not_to_be_looked_into() -> None:
    symbol = Symbol(np.array([1.0, 2.0]), "x")
    for look in (bool, float, int, operator.index, np.asarray, complex):
        with pytest.raises(TypeError, match="not to be looked into"):
            look(symbol)
    with pytest.raises(TypeError, match="only the numbers of a symbol can tell"):
        np.allclose(symbol, symbol)
    assert (symbol.shape, symbol.ndim, symbol.size, len(symbol), np.shape(symbol)) == ((2,), 1, 2, 2, (2,))


def test_deriving_changes_nothing() -> None:
    z = (x * y).sum()
    z.backward()
    before = x.grad.copy(), y.grad.copy()
    for call in calls_behind([z]):
        assert all(isinstance(formula, Formula) for _, formula in formulas(call, name_of))
    np.testing.assert_array_equal(before, (x.grad, y.grad))
    x.grad = y.grad = None
