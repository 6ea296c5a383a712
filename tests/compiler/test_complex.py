"""Steps of complex numbers, compiled: to the last bit where that is asked for, and with either backend.

NumPy rounds a product of complex numbers in one way within arrays and in another among numbers and in place, and what
is true of real numbers, such as that a product with one changes nothing, may not be true of them.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from tests.compiler.programs import numbers_in

RNG = np.random.default_rng(0)
X = RNG.normal(size=5)
Z, W = RNG.normal(size=(2, 5)) + 1j * RNG.normal(size=(2, 5))
M = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
EXTREME = np.array([complex(np.inf, 1), complex(-0.0, -0.0), complex(1, -0.0), complex(np.nan, 1), 2 - 1j])
OPTIONS: dict[str, dict[str, Any]] = {"exact": {"exact": True}, "numpy": {}, "numba": {"backend": "numba"}}


def assert_same(make: Callable[[], tuple[Any, Callable[..., Any]]], arguments: Any, **options: Any) -> Any:
    """Take a step eagerly and compiled, each from its own state, and compare all results and the state at the end."""
    if "backend" in options:
        pytest.importorskip("numba")
    (state, step), (others, eager) = make(), make()
    compiled = ad.compile(step, state, **options)
    kept = [numbers_in(compiled(*args)) for args in arguments]
    wanted = [copy.deepcopy(numbers_in(eager(*args))) for args in arguments]
    left, leave = ([one.data for one in of if isinstance(one, Tensor)] for of in (state, others))
    for found, value in zip(numbers_in([*kept, left]), numbers_in([*wanted, leave]), strict=True):
        found, value = np.asarray(found), np.asarray(value)
        assert (found.dtype, found.shape) == (value.dtype, value.shape)
        if options.get("exact"):
            same = np.isnan(found) & np.isnan(value)
            assert np.where(same, 0, found).tobytes() == np.where(same, 0, value).tobytes(), (found, value)
        precision = 1e-4 if value.dtype.name in ("complex64", "float32") else 1e-8
        np.testing.assert_allclose(found, value, precision, precision)
    return compiled


def energy(z: Any) -> Any:
    return np.sum(np.abs(z * z + np.exp(1j * z)) ** 2)


def cubic(z: Any) -> Any:
    return z**3 + np.exp(z)


STEPS: dict[str, tuple[Callable[..., Any], Any]] = {
    "parts": (lambda z: (z.real, z.imag, z.conj(), z.conjugate(), abs(z), np.angle(z), np.abs(z) ** 2), (Z,)),
    "parts of real numbers": (lambda x: (x.real, x.imag + 1, x.conj(), 1j * x, np.exp(1j * x)), (X,)),
    "powers": (lambda z: (z**2, z**-1, z**0.5, z**3, z**0, np.power(z, 2), np.square(z), z ** (1 + 0j)), (Z,)),
    "ones and signs": (
        lambda z: (1 * z, z / 1, z**1, np.negative(-z), z * np.ones(5), z * np.complex128(1)),
        (EXTREME,),
    ),
    "comparisons and order": (lambda z: (z == z.conj(), z != 1j, np.isreal(z), np.sort(z), np.max(z)), (Z,)),
    "numbers": (lambda c, x: (c * c, c**2, c * x, (2 - 1j) ** c, abs(c), c.conj() * 1j), (np.complex128(2 - 1j), X)),
    "numbers of Python": (lambda z, c: z * c, (EXTREME, complex(1.0, -0.0))),
    "products": (
        lambda m: (m @ m.conj().T, m[:, :1] @ m[:1], np.vdot(m, m), np.einsum("ij,ij", m, m), m.T.conj()),
        (M,),
    ),
    "linalg and fft": (lambda m: (np.linalg.inv(m), np.linalg.det(m), np.linalg.solve(m, m[0]), np.fft.fft(m)), (M,)),
    "sums": (lambda z: (z.sum(), z.mean(), np.var(z), np.prod(z), np.cumsum(z), np.linalg.norm(z)), (Z,)),
    "dtypes": (lambda z: (z.astype(np.complex64) * 1j, z.real.astype(complex), np.complex64(1j) * z.real), (Z,)),
    "real memory": (lambda z: abs(z * 2) + abs(z + 1) * abs(z * z) + np.where(abs(z) > 1, z, 0).real, (Z,)),
    "one number": (lambda z: (z[:1] * z[1:2] * z[2:3] / z[3:4], (z[:1] * z[:1]) * z[1:2]), (Z,)),
    "none": (lambda z: (z.sum(), z * 2j, abs(z)), (np.zeros((0, 3), complex),)),
    "gradient": (ad.value_and_grad(energy), (Z,)),
    "gradient by real numbers": (ad.grad(lambda x: energy(np.exp(1j * x) * Z)), (X,)),
    "holomorphic": (lambda z: ad.jacobian(cubic, holomorphic=True)(z), (Z,)),
    "jvp": (lambda z: ad.jvp(energy, (z,), (W,)), (Z,)),
    "hvp": (lambda z: ad.hvp(energy)(z, W), (Z,)),
    "vjp": (lambda z: ad.vjp(cubic, z)[1](W), (Z,)),
    "vmap": (ad.vmap(ad.grad(energy)), (M,)),
    "linalg, gradient": (ad.grad(lambda m: np.abs(np.linalg.det(m)) + np.abs(np.linalg.inv(m)).sum()), (M,)),
}


@pytest.mark.together("name", STEPS)
@pytest.mark.together("option", ["exact", "numpy"])
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_results_are_those_of_the_step(name: str, option: str) -> None:
    step, args = STEPS[name]
    assert_same(lambda: ([], step), [args] * 2, **OPTIONS[option])


# Training


def training(update: Callable[[Any], Any]) -> Callable[[], tuple[Any, Callable[..., Any]]]:
    def make() -> tuple[Any, Callable[..., Any]]:
        weights = [nn.Parameter(M.copy()), nn.Parameter(M[0].copy())]
        optimizer = update(weights)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (np.abs(np.tanh(x @ weights[0] * (0.5 - 0.5j)) + weights[1]) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return [*weights, optimizer], step

    return make


@pytest.mark.parametrize("option", OPTIONS)
def test_training(option: str) -> None:
    assert_same(training(lambda ws: nn.optim.Adam(ws, lr=0.1)), [(M,)] * 4, **OPTIONS[option])


def test_doors_show_what_they_show_in_the_step() -> None:
    def make() -> tuple[Any, Callable[..., Any]]:
        z = Tensor(Z.copy(), name="z")

        def step(x: Any) -> Any:
            z.grad = None
            h = z * x
            h.retain_grad()
            hook = z.register_hook(lambda g: g * 2j)
            np.abs(ad.checkpoint(lambda h: np.exp(1j * h) * h)(h)).sum().backward(create_graph=True)
            hook.remove()
            return h.grad, z.grad

        return [z], step

    assert_same(make, [(X,)] * 3, exact=True)


@pytest.mark.parametrize("part", range(4))
def test_single_numbers_are_no_difference(part: int) -> None:
    a, b = (np.asarray(z) for z in np.random.default_rng(part).normal(size=(2, 2)) @ [1, 1j])
    gradient = ad.grad(lambda a, b: np.real(a * b * (0.1 - 0.3j)), (0, 1))
    np.testing.assert_allclose(ad.compile(gradient, exact=True)(a, b), gradient(a, b), rtol=1e-14)


# Texts, keys and changes


def test_numbers_are_written_as_they_are() -> None:
    numbers = [
        1j,
        0.1 - 0.2j,
        -1j,
        complex(-0.0, 2),
        complex(1, -0.0),
        complex(np.nan, -np.inf),
        np.complex64(1 / 3 + 1j),
    ]
    longer = np.clongdouble(1) / 3 - np.clongdouble(2j) / 3
    compiled = ad.compile(lambda x: (*(x + number for number in numbers), x + longer), exact=True)
    x = np.full(1, complex(-0.0, -0.0))
    for _ in range(3):
        for found, number in zip(compiled(x), [*numbers, longer], strict=True):
            assert found.dtype == (x + number).dtype
            assert str(found) == str(x + number)
    assert "np.add(x, 1j)" in compiled.source


def test_zeros_of_other_signs_are_other_arguments() -> None:
    compiled = ad.compile(lambda x, c: x / c)
    with np.errstate(all="ignore"):
        for c in (0j, complex(0.0, -0.0), complex(-0.0, 0.0), 0j, complex(np.nan, 1), complex(np.nan, 1)):
            assert str(compiled(X, c)) == str(X / c)
    assert len(compiled._programs) == 4
    signs = iter([0j, complex(0.0, -0.0)] * 8)
    compiled = ad.compile(lambda x: x * next(signs), check=False)
    compiled(X)
    with pytest.raises(RuntimeError, match="was given 0j and is given -0j"):
        compiled.check()


def test_a_difference_in_imaginary_parts_is_found() -> None:
    turns = iter([1j] * 3 + [1.001j] * 100)
    with pytest.raises(RuntimeError, match="differs between"):
        ad.compile(lambda x: np.exp(np.angle(np.asarray(next(turns))) * x) * (1 + 0j) + np.asarray(next(turns)))(X)


def test_writing_into_a_part_is_refused() -> None:
    state = Z.copy()

    def step(x: Any) -> Any:
        state.real[...] = x
        return state * 1

    with pytest.raises(TypeError, match="was changed in place"):
        ad.compile(step, state=state)(X)


def test_real_arrays_do_not_take_complex_numbers_in_place() -> None:
    state = X.copy()

    def add(z: Any) -> Any:
        nonlocal state
        state += z
        return state * 1

    for step in (add, lambda z: np.multiply(z, 1j, out=state), lambda z: np.copyto(state, z)):
        with pytest.raises(TypeError, match=r"cannot (cast from complex128|take complex128 in place)"):
            ad.compile(step, state=state, check=False)(Z)
    np.testing.assert_array_equal(state, X)


@pytest.mark.parametrize(
    "function",
    [np.linalg.eigvals, lambda m: np.emath.sqrt(m[0]), lambda m: np.real_if_close(m * 1j), lambda m: np.roots(m[0])],
    ids=["eigvals", "emath", "real_if_close", "roots"],
)
def test_a_dtype_that_depends_on_values_is_refused(function: Callable[[Any], Any]) -> None:
    def step(m: Any) -> Any:
        return np.abs(function(m)).sum()

    with pytest.raises(TypeError, match="real or complex numbers depends on values"):
        ad.compile(step)(M.real)
    if function is np.linalg.eigvals:
        compiled = ad.compile(lambda m: ad.grad(step)(m.astype(complex)))
        for m in (np.diag([1.0, 2.0, 3.0, 4.0]), M.real):
            np.testing.assert_allclose(compiled(m), ad.grad(step)(m.astype(complex)), 1e-10, 1e-10)


# Random programs

SHAPES = [(), (1,), (3,), (1, 1), (3, 1), (2, 3), (3, 3), (40,)]
UNARY = """
np.exp({a} * 0.3) | 1j * {a} | {a} * (0.5 - 0.25j) | -{a} | {a}.conj() | {a}.real | np.imag({a}) | abs({a})
{a} / (2 + 1j) | np.sin({a}) | np.tanh({a} * 0.2) | {a}**2 | {a}**3 | {a} * {a} | np.square({a}) | np.sqrt({a} + 4)
1 / ({a} + (5 + 1j)) | {a}.sum() | {a}.sum(axis=0) | {a}.mean() | np.prod({a}) | {a}.T | {a}[0] | {a}[::-1]
{a}[..., None] | {a}[[0, -1]] | np.reshape({a}, -1) | np.abs({a}) ** 2 | np.exp(1j * {a}) | np.sign({a})
np.real({a} * np.conj({a})) | {a}.astype(complex)
"""
BINARY = """
{a} + {b} | {a} - {b} | {a} * {b} | {a} @ {b} | {a} / ({b} + 5) | np.where(np.abs({b}) > 0.5, {a}, 0) | {a} * {b}.conj()
np.stack([{a}, {b}]) | np.vdot(np.ravel({a}), np.ravel({b})) | np.dot({a}, {b}) | np.einsum("...i,...i", {a}, {b})
"""
EXPRESSIONS = [
    text.strip() for line in (UNARY, BINARY, BINARY) for text in line.replace("\n", "|").split("|") if text.strip()
]
DTYPES = [complex, complex, np.complex64, float]


class RandomStep:
    """A random step of an argument and two Tensors of any kind of numbers, which changes these by their gradients."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        self._forms = [(SHAPES[k], DTYPES[d]) for k, d in zip(rng.integers(8, size=3), rng.integers(4, size=3))]
        found = {name: self._drawn(rng, *form) for name, form in zip(("x", "w", "v"), self._forms)}
        lines: list[str] = []
        for _ in range(200):
            a, b = (list(found)[-1 - int(k)] for k in rng.exponential(2, 2).astype(int) % len(found))
            text = EXPRESSIONS[rng.integers(len(EXPRESSIONS))].format(a=a, b=b)
            try:
                with warnings.catch_warnings(action="ignore"):
                    value = np.asarray(eval(text, {"np": np}, found))
            except (ValueError, IndexError, AttributeError, np.exceptions.AxisError):
                continue  # the shapes do not go together
            if len(lines) < 8 and 0 < value.size <= 100 and value.ndim <= 3 and np.abs(value).max() < 1e3:
                found[f"h{len(lines)}"] = value
                lines.append(f"h{len(lines)} = {text}")
        used = [f"h{k}" for k in rng.integers(len(lines), size=3)]
        loss = " + ".join(f"np.tanh(np.abs({name}) ** 2 * 0.1).mean()" for name in used)
        self.source = "\n    ".join(
            [
                "def step(x):",
                "for t in (w, v): t.grad = None",
                *lines,
                f"loss = {loss} + np.abs(w * 0.1).sum()",
                "loss.backward()",
                "for t in (w, v): t.data = t.data if t.grad is None else t.data - 0.05 * t.grad",
                f"return loss, [{', '.join(used)}], [t.grad * 1 for t in (w, v) if t.grad is not None]",
            ]
        )

    @staticmethod
    def _drawn(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        numbers = rng.normal(size=shape) + (1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else 0)
        return np.asarray(numbers).astype(dtype)[()]

    def make(self) -> tuple[Any, Callable[..., Any]]:
        rng = np.random.default_rng((self._seed, 1))
        tensors = [Tensor(self._drawn(rng, *form)) for form in self._forms[1:]]
        space = {"np": np, "w": tensors[0], "v": tensors[1]}
        exec(self.source, space)
        return tensors, space["step"]

    def arguments(self) -> list[tuple[Any]]:
        return [(self._drawn(np.random.default_rng((self._seed, 2, k)), *self._forms[0]),) for k in range(3)]


@pytest.mark.together("seed", range(10))
def test_random_programs(seed: int) -> None:
    step = RandomStep(seed)
    for option in ("exact", "numpy", "numba")[: 3 if seed == 7 else 2]:
        assert_same(step.make, step.arguments(), **OPTIONS[option])
