"""SciPy's methods for a loss that is computed on all the data at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import numpy as np

import autodiff as ad
from autodiff.core.record import constant
from autodiff.core.rule import Array
from autodiff.core.tape import pullback, recording
from nn.checks import check_choice
from nn.optim.base import checked_parameters

WithGradient = Literal["BFGS", "CG", "L-BFGS-B", "SLSQP", "TNC"]
WithHessianProduct = Literal["Newton-CG", "trust-krylov", "trust-ncg"]
WITH_GRADIENT: tuple[str, ...] = get_args(WithGradient)
WITH_HESSIAN_PRODUCT: tuple[str, ...] = get_args(WithHessianProduct)
_OWN_KEYWORDS = ("bounds", "callback", "tol")  # of scipy.optimize.minimize; all others are options of the method


def minimize(
    closure: Callable[[], ad.Tensor],
    parameters: Iterable[ad.Tensor],
    method: WithGradient | WithHessianProduct = "L-BFGS-B",
    **options: Any,
) -> Any:
    """Find a minimum of a loss by `scipy.optimize.minimize`, with exact gradients.

    The methods "Newton-CG", "trust-krylov" and "trust-ncg" are given products of the Hessian with vectors, the
    derivative of the gradient in a direction (Pearlmutter, Fast exact multiplication by the Hessian, 1994), and the
    Hessian is never formed.

    Args:
        closure: takes nothing, and computes the loss, a scalar Tensor, from the parameters; the same parameters must
            give the same loss. The gradients in ``grad`` stay as they are.
        parameters: Tensors; those that require no gradient stay as they are.
        method: "BFGS", "CG", "L-BFGS-B", "SLSQP", "TNC", "Newton-CG", "trust-krylov" or "trust-ncg".
        options: ``tol``, ``bounds`` and ``callback`` of SciPy's function, and options of the method, such as
            ``maxiter=100``; SciPy warns of those it does not know.

    Returns:
        SciPy's ``OptimizeResult``. Its ``x`` is a float64 vector of all parameters' elements, one parameter after the
        other, and the parameters hold it, each in its own shape and dtype.

    Raises:
        TypeError: a parameter is not a leaf Tensor or is complex, the closure is no function or returns no Tensor, or
            the method is no text.
        ValueError: the method is unknown, the loss is not a scalar that depends on the parameters, or what `Optimizer`
            says of parameters.
        ImportError: SciPy is not installed.
        Exception: whatever the closure, or SciPy, raises; the parameters are then as they were.

    Example:
        >>> x, y = ad.Tensor(-1.0), ad.Tensor(2.0)
        >>> result = nn.optim.minimize(lambda: (1 - x) ** 2 + 100 * (y - x * x) ** 2, [x, y], method="trust-ncg")
        >>> result.success, round(float(x), 4), round(float(y), 4)
        (True, 1.0, 1.0)
    """
    if not callable(closure):
        raise TypeError(f"minimize: the closure must be a function that computes the loss, got {closure!r}")
    tensors = [parameter for parameter in checked_parameters("minimize", parameters) if parameter.requires_grad]
    for parameter in tensors:
        if parameter.dtype.kind == "c":
            raise TypeError(f"minimize: {parameter!r} is complex: take its real and its imaginary part as parameters")
    check_choice("minimize", "method", method, (*WITH_GRADIENT, *WITH_HESSIAN_PRODUCT))
    try:
        from scipy.optimize import minimize as scipys
    except ImportError:
        raise ImportError('minimize needs SciPy: pip install -e ".[special]"') from None
    objective = _Objective(closure, tensors, second_order=method in WITH_HESSIAN_PRODUCT)
    before = [parameter.data for parameter in tensors]
    keywords: dict[str, Any] = {name: value for name, value in options.items() if name in _OWN_KEYWORDS}
    if objective.second_order:
        keywords["hessp"] = objective.hessian_product
    run: Any = scipys  # its published types know no method by a variable
    try:
        result = run(
            objective.value_and_gradient,
            _joined(before),
            jac=True,
            method=method,
            options={name: value for name, value in options.items() if name not in _OWN_KEYWORDS},
            **keywords,
        )
    except BaseException:
        for parameter, data in zip(tensors, before, strict=True):
            parameter.data = data
        raise
    objective.move_to(result.x)
    return result


class _Objective:
    """A loss and its derivatives as functions of one vector."""

    def __init__(self, closure: Callable[[], ad.Tensor], parameters: list[ad.Tensor], second_order: bool) -> None:
        self.closure = closure
        self.parameters = parameters
        self.second_order = second_order
        self.x: Array = None  # where the gradients were taken
        self.gradients: list[Array] = []

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        self.move_to(x)
        with recording(True):
            loss = self.closure()
            self._check(loss)
            one = np.ones_like(loss.data)
            seed = constant(one) if self.second_order else one
        with recording(self.second_order):
            reached = pullback([(loss, seed)], self.second_order, self.parameters)
        if not reached:
            raise ValueError("minimize: the loss does not depend on the parameters; compute it from them")
        loss, self.gradients = ad.materialize((loss, self._of_all(reached)))  # lazy ones in one pass over the data
        self.x = x.copy()
        return float(loss), _joined([getattr(gradient, "data", gradient) for gradient in self.gradients])

    def hessian_product(self, x: Array, vector: Array) -> Array:
        # SciPy asks for many products at one point, so the graph of the gradient is kept until the point moves.
        if not np.array_equal(x, self.x):
            self.value_and_gradient(x)
        pairs = zip(self.gradients, self._split(vector), strict=True)
        with recording(False):
            seeds = [(g, v) for g, v in pairs if isinstance(g, ad.Tensor) and g.requires_grad]
            return _joined(self._of_all(pullback(seeds, False, self.parameters)))

    def move_to(self, x: Array) -> None:
        """Put a vector into the parameters."""
        for parameter, piece in zip(self.parameters, self._split(x), strict=True):
            parameter.data = piece

    def _of_all(self, reached: dict[ad.Tensor, Array]) -> list[Array]:
        """Give a gradient for every parameter, zeros where none arrived."""
        return [reached[p] if p in reached else np.zeros_like(p.data) for p in self.parameters]

    def _split(self, x: Array) -> list[Array]:
        """Cut a vector into arrays like the parameters."""
        pieces = np.split(x, np.cumsum([parameter.size for parameter in self.parameters])[:-1])
        return [
            piece.reshape(parameter.shape).astype(parameter.dtype)[()]
            for piece, parameter in zip(pieces, self.parameters, strict=True)
        ]

    def _check(self, loss: Any) -> None:
        if not isinstance(loss, ad.Tensor):
            raise TypeError(f"minimize: the closure must return the loss, a scalar Tensor, got {loss!r}")
        if loss.size != 1:
            raise ValueError(f"minimize: the loss must be a scalar, got shape {loss.shape}; reduce it, as with .mean()")


def _joined(arrays: list[Array]) -> Array:
    """Give the elements of all arrays in one float64 vector."""
    return np.concatenate([np.ravel(array).astype(np.float64) for array in ad.materialize(arrays)])
