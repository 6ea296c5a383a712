"""What holds of all modules: SciPy's functions name ours for Tensors, and ours say that they need SciPy."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from autodiff import Tensor

scipy = pytest.importorskip("scipy")

from scipy import integrate, linalg, signal, special, stats  # noqa: E402

MODULES = ("linalg", "signal", "special", "stats")
x, m = Tensor([0.25, 0.75]), Tensor([[2.0, 0.5], [0.5, 2.0]])

# Calls of SciPy's functions with a Tensor, in place of which ours are to be named.
CALLS: dict[str, list[Callable[[], Any]]] = {
    "linalg.cho_factor": [lambda: linalg.cho_factor(m)],
    "linalg.cho_solve": [lambda: linalg.cho_solve((m, False), x.data), lambda: linalg.cho_solve((m.data, False), x)],
    "linalg.expm": [lambda: linalg.expm(m)],
    "linalg.solve_banded": [lambda: linalg.solve_banded((1, 0), m, x.data)],
    "linalg.solve_sylvester": [lambda: linalg.solve_sylvester(m, m.data, m.data)],
    "linalg.solve_triangular": [lambda: linalg.solve_triangular(m, x.data), lambda: linalg.solve_triangular(m.data, x)],
    "linalg.sqrtm": [lambda: linalg.sqrtm(m)],
    "signal.convolve": [lambda: signal.convolve(x, x.data), lambda: signal.convolve(x.data, x)],
    "signal.correlate": [lambda: signal.correlate(x, x)],
    "signal.fftconvolve": [lambda: signal.fftconvolve(m, m)],
    "special.log_softmax": [lambda: special.log_softmax(x)],
    "special.logsumexp": [
        lambda: special.logsumexp(x),
        lambda: special.logsumexp([Tensor(1.0), 2.0]),
        lambda: special.logsumexp(x.data, b=x),
    ],
    "special.multigammaln": [lambda: special.multigammaln(Tensor(2.0), 2)],
    "special.polygamma": [lambda: special.polygamma(1, x)],
    "special.softmax": [lambda: special.softmax(x)],
    "special.softplus": [],  # a ufunc, where SciPy has it
    "stats.beta": [lambda: stats.beta.pdf(x, 2, 3)],
    "stats.chi2": [lambda: stats.chi2.sf(x, 2)],
    "stats.dirichlet": [lambda: stats.dirichlet.logpdf(x, x.data), lambda: stats.dirichlet(x)],
    "stats.expon": [lambda: stats.expon.logsf(x)],
    "stats.gamma": [lambda: stats.gamma.logcdf(Tensor(2.0), 3)],
    "stats.multivariate_normal": [
        lambda: stats.multivariate_normal.pdf(x),
        lambda: stats.multivariate_normal(x.data, m).logpdf(x.data),
    ],
    "stats.norm": [
        lambda: stats.norm.logpdf(x),
        lambda: stats.norm.cdf(1.0, scale=Tensor(2.0)),
        lambda: stats.norm(Tensor(0.0)).logpdf(1.0),
    ],
    "stats.poisson": [lambda: stats.poisson.logpmf(2, x)],
    "stats.t": [lambda: stats.t.logpdf(x, 2)],
}


@pytest.mark.parametrize("name", CALLS)
def test_scipys_function_of_a_tensor_names_ours(name: str) -> None:
    for call in CALLS[name]:
        with pytest.raises(TypeError, match=rf"write autodiff\.scipy\.{name}(\.[a-z]+)?, which takes Tensors"):
            call()


def test_no_function_is_left_out() -> None:
    rooms = {module: importlib.import_module(f"autodiff.scipy.{module}") for module in MODULES}
    assert sorted(CALLS) == sorted(f"{module}.{name}" for module, room in rooms.items() for name in room.__all__)


def test_where_numpy_has_the_function_it_is_named() -> None:
    with pytest.raises(TypeError, match=r"write np\.linalg\.inv, which takes Tensors"):
        linalg.inv(m)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: linalg.toeplitz(x), "toeplitz of scipy.linalg"),
        (lambda: linalg.logm(m), r"(logm of scipy.linalg|the function of SciPy)"),  # which some releases wrap
        (lambda: stats.lognorm.logpdf(x, 1.0), "lognorm.logpdf of scipy.stats"),
        (lambda: stats.gaussian_kde(x), "gaussian_kde of scipy.stats"),
        (lambda: integrate.solve_ivp(lambda t, y: x * y, (0, 1), [1.0, 1.0]), "solve_ivp of scipy.integrate"),
    ],
)
def test_where_nothing_takes_its_place_it_is_said_that_there_is_no_rule(call: Any, named: str) -> None:
    with pytest.raises(TypeError, match=rf"a plain array: {named} has no rule: write it in NumPy's functions"):
        call()


def test_without_scipy_the_library_works_and_says_what_to_install() -> None:
    program = """
import sys
class Blocked:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == "scipy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
import numpy as np, autodiff as ad, nn
assert ad.grad(np.sin)(0.0) == 1
x = ad.Tensor([1.0, 2.0])
nn.functional.softmax(x).sum().backward()
for name in ("autodiff.scipy", "autodiff.scipy.special"):
    try:
        __import__(name)
    except ImportError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout == 'autodiff.scipy needs SciPy: pip install -e ".[special]"\n' * 2
