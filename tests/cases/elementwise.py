"""Functions that act on each element by itself."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from autodiff.arrays.activations import relu, sigmoid
from autodiff.rules.digits import cosine, logistic, one_less_square
from autodiff.rules.elementwise import as_complex
from autodiff.rules.limits import convention, exact_to
from tests.cases.case import Case, Sampler

sampler = Sampler(0)
normal, positive, nonzero, unit, distinct = (
    sampler.normal,
    sampler.positive,
    sampler.nonzero,
    sampler.unit,
    sampler.distinct,
)


BROADCASTS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((2, 3), (1, 1)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((), ()),
    ((0, 3), (3,)),
    ((1,), (0,)),
]


def unary() -> Iterator[Case]:
    table: list[tuple[Callable[..., Any], Callable[..., Any], str | None]] = [
        (np.negative, normal, "negative"),
        (np.positive, normal, "positive"),
        (np.reciprocal, nonzero, "reciprocal"),
        (np.square, normal, "square"),
        (np.exp, normal, "exp"),
        (np.exp2, normal, "exp2"),
        (np.expm1, normal, "expm1"),
        (np.log, positive, "log"),
        (np.log2, positive, "log2"),
        (np.log10, positive, "log10"),
        (np.log1p, unit, "log1p"),
        (np.sqrt, positive, "sqrt"),
        (np.sin, normal, "sin"),
        (np.cos, normal, "cos"),
        (np.tan, unit, "tan"),
        (np.arcsin, unit, "arcsin"),
        (np.arccos, unit, "arccos"),
        (np.arctan, normal, "arctan"),
        (np.sinh, normal, "sinh"),
        (np.cosh, normal, "cosh"),
        (np.tanh, normal, "tanh"),
        (np.absolute, nonzero, "abs"),
        (np.fabs, nonzero, "abs"),
        (np.sign, nonzero, "sign"),
        (np.floor, nonzero, "floor"),
        (np.ceil, nonzero, "ceil"),
        (np.trunc, nonzero, "trunc"),
        (np.rint, nonzero, "round"),
        (np.cbrt, positive, None),
        (np.arcsinh, normal, "asinh"),
        (np.arccosh, lambda *shape: np.array(1 + positive(*shape)), "acosh"),
        (np.arctanh, unit, "atanh"),
        (np.deg2rad, normal, "deg2rad"),
        (np.radians, normal, "deg2rad"),
        (np.rad2deg, normal, "rad2deg"),
        (np.degrees, normal, "rad2deg"),
        (np.sinc, nonzero, "sinc"),
        (np.i0, normal, "i0"),
        (np.conjugate, normal, None),
        (np.real, normal, "real"),
        (np.imag, normal, None),
        (np.angle, nonzero, "angle"),
        (np.real_if_close, normal, None),
        (np.nan_to_num, normal, "nan_to_num"),
        (np.fix, nonzero, "fix"),
        (np.round, nonzero, "round"),
        (np.around, nonzero, "round"),
        (np.spacing, normal, None),
        (logistic, normal, "sigmoid"),
        (one_less_square, normal, None),
    ]
    for function, sample, torch in table:
        for shape in ((2, 3), (), (0, 2)):
            yield Case(f"{function.__name__} {shape}", function, (sample(*shape),), torch=torch)
    yield Case("cbrt of negative numbers", np.cbrt, (-positive(3),))
    yield Case("expm1 of small exponentials", np.expm1, (np.array([-40.0, -1.0, 1e-9]),), torch="expm1")
    yield Case("tanh of large numbers", np.tanh, (np.array([-1e3, 30.0, 1e30]),), torch="tanh")
    yield Case("arcsinh of large numbers", np.arcsinh, (np.array([-1e10, 0.0, 1e10]),), torch="asinh")
    # PyTorch's second derivative of sinc is NaN at 0.
    yield Case("sinc at 0 and near it", np.sinc, (np.array([0.0, 1e-6, -0.01, 0.24, -0.26]),))
    yield Case("sinc at 0", np.sinc, (np.array(0.0),))
    yield Case("i0 at 0 and far from it", np.i0, (np.array([0.0, -0.5, 9.0, 20.0]),), torch="i0")
    yield Case("round, decimals", lambda x: np.round(x, 1), (np.array([0.12, 0.98]),))
    yield Case("copy, order F", lambda x: np.copy(x, order="F"), (normal(2, 3),))
    yield Case("angle, degrees", lambda x: np.angle(x, deg=True), (nonzero(3),))
    for function, name in ((relu, "relu"), (sigmoid, "sigmoid")):
        for shape in ((2, 3), (), (0, 2)):
            yield Case(
                f"{name} {shape}",
                lambda x, name=name: getattr(x, name)(),
                (nonzero(*shape),),
                torch=name,
                plain=function,
            )
    yield Case(
        "sigmoid of large numbers", lambda x: x.sigmoid(), (np.array([-40.0, 30.0]),), torch="sigmoid", plain=sigmoid
    )


def binary() -> Iterator[Case]:
    table: list[tuple[np.ufunc, Callable[..., Any], Callable[..., Any], str]] = [
        (np.add, normal, normal, "add"),
        (np.subtract, normal, normal, "subtract"),
        (np.multiply, normal, normal, "multiply"),
        (np.divide, normal, nonzero, "divide"),
        (np.power, positive, normal, "pow"),
        (np.logaddexp, normal, normal, "logaddexp"),
        (np.maximum, normal, normal, "maximum"),
        (np.minimum, normal, normal, "minimum"),
    ]
    for function, left, right, torch in table:
        name = function.__name__
        for x, y in BROADCASTS:
            yield Case(f"{name} {x} {y}", function, (left(*x), right(*y)), torch=torch)
        for number in (2, 1.5, np.float64(0.75), np.array(1.25), [1.5, 2.5, 0.25]):
            kind = type(number).__name__
            yield Case(f"{name} of a {kind} on the right", lambda x, f=function, c=number: f(x, c), (left(2, 3),))
            yield Case(f"{name} of a {kind} on the left", lambda y, f=function, c=number: f(c, y), (right(2, 3),))
        yield Case(
            f"{name} of a Tensor with itself",
            lambda x, f=function: f(x, x),
            (positive(2),),
            order=2 * (name[1:] not in ("aximum", "inimum")),
        )
    others: list[tuple[np.ufunc, Callable[..., Any], Callable[..., Any], str | None]] = [
        (np.arctan2, normal, normal, "arctan2"),
        (np.hypot, normal, normal, "hypot"),
        (np.logaddexp2, normal, normal, "logaddexp2"),
        (np.float_power, positive, normal, "float_power"),
        (np.fmax, normal, normal, "fmax"),
        (np.fmin, normal, normal, "fmin"),
        (np.copysign, nonzero, nonzero, "copysign"),
        (np.heaviside, nonzero, normal, None),
        (np.nextafter, normal, normal, "nextafter"),
    ]
    for function, left, right, torch in others:
        name = function.__name__
        for x, y in BROADCASTS[3:]:
            yield Case(f"{name} {x} {y}", function, (left(*x), right(*y)), torch=torch)
        yield Case(f"{name} of a float on the right", lambda x, f=function: f(x, 1.5), (left(2, 3),))
        yield Case(f"{name} of a list on the left", lambda y, f=function: f([1.5, 0.5, 2.5], y), (right(2, 3),))
    between = np.array([2.3, -1.7, 5.4]), np.array([1.5, 1.1, -2.0])  # quotients away from integers
    yield Case("remainder", np.remainder, between, torch="remainder")
    yield Case("operator %", operator.mod, between, torch="remainder")
    yield Case("fmod", np.fmod, between, torch="fmod")
    yield Case("fmod, broadcast", np.fmod, (between[0][:, None], between[1]))
    yield Case("divmod", np.divmod, between)
    yield Case("divmod, broadcast", np.divmod, (between[0][:, None], between[1]))
    yield Case("divmod by a number", lambda x: np.divmod(x, 1.5), between[:1])
    yield Case("modf", np.modf, between[:1])
    yield Case("modf, integral part alone", lambda x: np.modf(x)[1], (np.array(2.5),))
    yield Case("frexp, mantissa", lambda x: np.frexp(x)[0], between[:1])
    yield Case("frexp and ldexp", lambda x: np.ldexp(np.frexp(x)[0], 2), (np.array(-2.3),))
    yield Case("ldexp", np.ldexp, (normal(2, 3), np.array([-1, 0, 3])), torch=lambda _, x, i: x * 2.0**i)
    yield Case(
        "ldexp of a number", np.ldexp, (normal(), np.array([1, 2])), torch=lambda t, x, i: x * t.exp2(i.double())
    )
    yield Case("floor_divide", np.floor_divide, between)
    yield Case("operator //", operator.floordiv, between)
    for sign, operate in (
        ("+", operator.add),
        ("-", operator.sub),
        ("*", operator.mul),
        ("/", operator.truediv),
        ("**", operator.pow),
        ("@", operator.matmul),
    ):
        yield Case(
            f"operator {sign}", operate, (positive(3, 3), positive(3, 3)), torch=lambda _, x, y, f=operate: f(x, y)
        )
        if sign != "@":
            yield Case(
                f"operator {sign} 2",
                lambda x, f=operate: f(x, 2),
                (positive(2, 3),),
                torch=lambda _, x, f=operate: f(x, 2),
            )
            yield Case(
                f"operator 2 {sign}", lambda x, f=operate: f(2, x), (positive(),), torch=lambda _, x, f=operate: f(2, x)
            )
    yield Case("operators + and -, unary", lambda x: +x * -x, (normal(3),), torch=lambda _, x: +x * -x)
    yield Case("abs()", abs, (nonzero(3),), torch=lambda _, x: abs(x))


def powers() -> Iterator[Case]:
    for exponent in (0, 1, 2, 3, 0.0, 1.0, 2.0, 3.0):
        point = np.array([-1.5, 0.0, 0.7, 2.0])
        yield Case(f"x**{exponent}", lambda x, n=exponent: x**n, (point,), torch=lambda _, x, n=exponent: x**n)
        yield Case(
            f"0-d x**{exponent} at 0", lambda x, n=exponent: x**n, (np.array(0.0),), torch=lambda _, x, n=exponent: x**n
        )
    for exponent in (-1, -2, 0.5, -0.5):
        yield Case(f"x**{exponent}", lambda x, n=exponent: x**n, (positive(3),), torch=lambda _, x, n=exponent: x**n)
    # As arrays, exponents are the constants they look like only where they are integers.
    bases, whole = np.array([0.0, 0.0, 0.0, 0.0, -1.5, -1.5, 2.0]), np.array([0, 1, 2, 3, 2, 3, -1])
    yield Case("power with an array of integers", np.power, (bases[:6], whole[:6]))
    yield Case("power with negative integers", np.power, (positive(3), np.array([-1, -2, 0])), torch="pow")
    yield Case("power with integers, broadcast", np.power, (normal(2, 1), np.arange(4)), torch="pow")
    yield Case("power of 0", lambda y: np.power(np.zeros(2), y), (positive(2),))
    yield Case("power of 0 with 0, 1 and 2", np.power, (np.zeros(3), np.array([0.0, 1.0, 2.0])), order=0)


def pieces() -> Iterator[Case]:
    x = distinct(2, 3)
    masks = {"same": np.array([[True, False, True], [False, False, True]]), "column": np.array([[True], [False]])}
    for name, low, high in (("both", -0.7, 0.2), ("lower", -0.7, None), ("upper", None, 0.2), ("no", None, None)):
        torch = None if name == "no" else lambda _, x, low=low, high=high: x.clip(low, high)
        yield Case(f"clip, {name} bounds", lambda x, low=low, high=high: np.clip(x, low, high), (x,), torch=torch)
    yield Case("clip, keywords", lambda x: np.clip(x, min=-0.7, max=0.2), (x,), torch=lambda _, x: x.clip(-0.7, 0.2))
    yield Case("clip, a_min and a_max", lambda x: np.clip(x, a_min=-0.7, a_max=0.2), (x,))
    yield Case("clip, list of bounds", lambda x: np.clip(x, [-0.7, -0.2, 0.0], 0.3), (x,))
    yield Case("clip, bounds broadcast", np.clip, (x, unit(3) - 0.6, unit(2, 1) + 0.6), torch="clip")
    yield Case("clip, bounds larger than x", np.clip, (x[0], unit(2, 3) - 0.6, unit(1) + 0.6))
    yield Case("clip, bounds crossed", np.clip, (x, np.array(0.5), np.array(-0.5)), torch="clip")
    yield Case(
        "clip, only lower given",
        lambda x, low: np.clip(x, low, None),
        (x, unit(3)),
        torch=lambda _, x, low: x.clip(min=low),
    )
    yield Case(
        "clip, only upper given",
        lambda x, high: np.clip(x, None, high),
        (x, unit(3)),
        torch=lambda _, x, high: x.clip(max=high),
    )
    yield Case(
        "clip, bounds by keyword",
        lambda x, low, high: np.clip(x, min=low, max=high),
        (x, unit(3) - 0.6, unit(2, 1) + 0.6),
        torch=lambda t, x, low, high: t.clip(x, low, high),
    )
    yield Case("clip, min=", lambda x, low: np.clip(x, min=low), (x, unit(3)), torch=lambda t, x, low: x.clip(min=low))
    yield Case("clip, max= of a list", lambda high: np.clip([0.1, 5.0, -2.0], max=high), (unit(3),))
    yield Case("clip() of a Tensor", lambda x: x.clip(-0.7, 0.2), (x,), torch=lambda _, x: x.clip(-0.7, 0.2))
    yield Case(
        "clip on the bounds",
        lambda x: np.clip(x, -1, 1),
        (np.array([-1.0, 1.0, 0.0, 3.0]),),
        order=0,
        torch=lambda _, x: x.clip(-1, 1),
    )
    for name, mask in masks.items():
        yield Case(f"where, {name}", np.where, (mask, normal(2, 3), normal(2, 3)), torch="where")
        yield Case(f"where, {name}, broadcast", np.where, (mask, normal(3), normal()), torch="where")
    yield Case("where, result larger than both", np.where, (masks["column"], normal(3), normal(1)), torch="where")
    yield Case("where of numbers", lambda x: np.where(x > 0, x, 0) + np.where([True, False, True], 1.0, x), (x,))
    yield Case("where of a comparison", lambda x, y: np.where(x < y, x * y, y), (normal(2, 3), normal(3)))
    yield Case("maximum of equal numbers", np.maximum, (np.ones((2, 3)), np.ones(3)), order=0, torch="maximum")
    yield Case("minimum of equal numbers", np.minimum, (np.ones(3), np.ones((2, 3))), order=0, torch="minimum")
    yield Case(
        "maximum with 0 at 0",
        lambda x: np.maximum(x, 0.0),
        (np.array([-1.0, 0.0, 1.0]),),
        order=0,
        torch=lambda t, x: t.maximum(x, t.zeros(())),
    )
    yield Case("absolute at 0", np.absolute, (np.array([0.0, -0.0, 1.0]),), order=0, torch="abs")
    yield Case("relu at 0", lambda x: x.relu(), (np.array([0.0, -0.0, 1.0]),), order=0, torch="relu", plain=relu)
    yield Case("sign at 0", np.sign, (np.array([0.0, 2.0]),), order=0, torch="sign")


def methods() -> Iterator[Case]:
    for name, sample in (("exp", normal), ("log", positive), ("sqrt", positive), ("tanh", normal)):
        yield Case(
            f".{name}()", lambda x, name=name: getattr(x, name)(), (sample(2, 3),), torch=name, plain=getattr(np, name)
        )


def edges() -> Iterator[Case]:
    """Points where a formula that is right elsewhere divides by zero or overflows, and ties."""
    below = np.array([-np.inf, -np.inf, 0.5]), np.array([-np.inf, 0.5, -np.inf])
    above = np.array([np.inf, np.inf, 0.5]), np.array([np.inf, 0.5, np.inf])
    for function in (np.logaddexp, np.logaddexp2):
        yield Case(f"{function.__name__} of -inf", function, below, order=0)
        yield Case(f"{function.__name__} of inf", function, above, order=0)
    # PyTorch's second derivative is NaN here.
    yield Case("logaddexp far apart", np.logaddexp, (np.array([1e3, -1e3]), np.array([-1e3, 1e3])))
    equal = np.array([0.7, -1e3])
    yield Case("logaddexp of equal numbers", np.logaddexp, (equal, equal.copy()), torch="logaddexp")
    axes = np.array([0.0, 0.0, 2.0, -2.0]), np.array([1.0, -1.0, 0.0, 0.0])
    yield Case("arctan2 on the right", np.arctan2, (axes[0][:1], axes[1][:1]), torch="arctan2")
    yield Case("arctan2 on the axes", np.arctan2, axes, order=0, torch="arctan2")  # with a jump on the left
    yield Case("clip, bounds equal", lambda x, bound: np.clip(x, bound, bound), (np.array([-1.0, 2.0]), np.array(0.5)))
    yield Case("cosine of an angle", lambda x, y: cosine(x, y, np.hypot(x, y)), (normal(2, 3), normal(3)))
    yield Case("hypot on the axes", np.hypot, axes, torch="hypot")
    large = np.array([3e30, 1e-30]), np.array([-4e30, 1e-30])
    yield Case("hypot of large and small", np.hypot, large, order=0)  # beyond the reach of differences
    nans = np.array([np.nan, 1.0, 2.0]), np.array([1.0, np.nan, 3.0])
    equal = np.array([1.0, -2.0])
    for function in (np.fmax, np.fmin):
        name = function.__name__
        yield Case(f"{name} with NaN", function, nans, order=0, torch=name)
        yield Case(f"{name} of equal numbers", function, (equal, equal.copy()), order=0, torch=name)
    for function in (np.maximum, np.minimum):
        name = function.__name__
        yield Case(f"{name} with NaN", function, nans, order=0, torch=name)
    yield Case("copysign at 0", np.copysign, (np.zeros(2), np.array([1.0, -1.0])), order=0)
    yield Case("heaviside at 0", np.heaviside, (np.zeros(2), normal(2)), order=0)
    unclean = np.array([np.nan, np.inf, -np.inf, 1.5])
    yield Case("nan_to_num of NaN", np.nan_to_num, (unclean[[0, 3]],), order=0, torch="nan_to_num")
    yield Case(
        "nan_to_num, other values",
        lambda x: np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0),
        (unclean,),
        order=0,
        torch=lambda t, x: t.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0),
    )
    steep = np.array([[0.5, 3.0, 7.0], [-0.5, -4.0, -7.5]])
    yield Case("unwrap", np.unwrap, (steep,))
    yield Case("unwrap, axis and period", lambda x: np.unwrap(x, axis=0, period=3.0), (steep,))
    yield Case("exact_to", lambda x: x * exact_to(x, 3, "it"), (normal(2, 3),))
    yield Case("convention", lambda x: x + x * convention(x, x > np.inf), (normal(2, 3),))
    yield Case("fmod of a near multiple", np.fmod, (np.array(1.0), np.array(0.1)), order=0)  # 1.0 / 0.1 rounds up to 10


def beyond_reals() -> Iterator[Case]:
    """Functions that give complex numbers where the real function is not defined."""
    for function in (np.emath.sqrt, np.emath.log, np.emath.log2, np.emath.log10):
        torch = function.__name__

        def of_complex(t: Any, x: Any, name: str = torch) -> Any:
            return getattr(t, name)(x + 0j)

        yield Case(f"emath.{torch}", function, (nonzero(2, 3) - 0.3,), torch=of_complex)
        yield Case(f"emath.{torch} of positive numbers", function, (positive(3),), torch=torch)
    for function in (np.emath.arcsin, np.emath.arccos, np.emath.arctanh):
        yield Case(f"emath.{function.__name__}", function, (np.array([-2.5, -0.4, 0.3, 1.7]),))
        yield Case(f"emath.{function.__name__} of small numbers", function, (unit(3),), torch=function.__name__)
    yield Case("emath.logn", np.emath.logn, (positive(3) + 1.5, nonzero(2, 3)))
    yield Case("emath.power", np.emath.power, (np.array([-2.0, 0.7, -0.3]), normal(2, 3)))
    yield Case("emath.power of positive numbers", np.emath.power, (positive(3), normal(2, 1)), torch="pow")
    yield Case("as_complex", as_complex, (normal(2, 3),))
    yield Case("emath.power, integers", lambda x: np.emath.power(x, 2) + np.emath.power(x, -1), (nonzero(3),))


def outers() -> Iterator[Case]:
    for ufunc in (
        np.add, np.subtract, np.multiply, np.divide, np.power,
        np.maximum, np.minimum, np.hypot, np.arctan2, np.logaddexp,
    ):  # fmt: skip
        for x, y in (((2,), (3,)), ((2, 2), (3,)), ((), (2,)), ((0,), (2,))):
            yield Case(f"{ufunc.__name__}.outer {x} {y}", ufunc.outer, (positive(*x), positive(*y)))
    yield Case("multiply.outer of a list", lambda x: np.multiply.outer([1.0, 2.0], x), (positive(3),))


CASES = [*unary(), *binary(), *powers(), *pieces(), *edges(), *outers(), *methods(), *beyond_reals()]
