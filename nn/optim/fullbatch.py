"""SciPy's methods for a loss that is computed on all the data at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import numpy as np

import autodiff as ad
from autodiff.core.record import constant
from autodiff.core.rule import Array
from autodiff.core.tape import pullback, recording
from autodiff.extras import install
from nn.checks import check_choice
from nn.optim.base import AT_LEAST_0, COUNT, Optimizer, checked_gradient, checked_parameters, choice, number

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
    tensors = _real("minimize", closure, checked_parameters("minimize", parameters))
    check_choice("minimize", "method", method, (*WITH_GRADIENT, *WITH_HESSIAN_PRODUCT))
    objective = _Objective(closure, tensors, second_order=method in WITH_HESSIAN_PRODUCT)
    return _run(objective, method, options)


def _real(caller: str, closure: Any, parameters: list[ad.Tensor]) -> list[ad.Tensor]:
    """Give the parameters that learn, and refuse complex ones, and a closure that is none."""
    if not callable(closure):
        raise TypeError(f"{caller}: the closure must be a function that computes the loss, got {closure!r}")
    tensors = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in tensors:
        if parameter.dtype.kind == "c":
            raise TypeError(f"{caller}: {parameter!r} is complex: take its real and its imaginary part as parameters")
    return tensors


def _run(objective: _Objective, method: str, options: dict[str, Any]) -> Any:
    """Let SciPy minimize; the parameters are what it found, or after an error what they were."""
    tensors = objective.parameters
    try:
        from scipy.optimize import minimize as scipys
    except ImportError:
        raise ImportError(f"{objective.caller} needs SciPy: {install('special')}") from None
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

    without_gradients = "the loss does not depend on the parameters; compute it from them"

    def __init__(
        self,
        closure: Callable[[], ad.Tensor],
        parameters: list[ad.Tensor],
        second_order: bool,
        caller: str = "minimize",
    ) -> None:
        self.caller = caller
        self.closure = closure
        self.parameters = parameters
        self.second_order = second_order
        self.x: Array = None  # where the gradients were taken
        self.gradients: list[Array] = []

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        self.move_to(x)
        with recording(True):
            loss = self.closure()
        if not isinstance(loss, ad.Tensor):
            raise TypeError(f"{self.caller}: the closure must return the loss, a scalar Tensor, got {loss!r}")
        if loss.size != 1:
            raise ValueError(
                f"{self.caller}: the loss must be a scalar, got shape {loss.shape}; reduce it, as with .mean()"
            )
        reached = self._reached(loss)
        if not reached:
            raise ValueError(f"{self.caller}: {self.without_gradients}")
        loss, self.gradients = ad.materialize((loss, self._of_all(reached)))  # lazy ones in one pass over the data
        self.x = x.copy()
        return float(loss), _joined([getattr(gradient, "data", gradient) for gradient in self.gradients])

    def _reached(self, loss: ad.Tensor) -> dict[ad.Tensor, Array]:
        """Give the gradients of the parameters that the loss depends on."""
        one = np.ones_like(loss.data)
        with recording(self.second_order):
            seed = constant(one) if self.second_order else one
            return pullback([(loss, seed)], self.second_order, self.parameters)

    def hessian_product(self, x: Array, vector: Array) -> Array:
        # SciPy asks for many products at one point, so the graph of the gradient is kept until the point moves.
        if not np.array_equal(x, self.x):
            self.value_and_gradient(x)
        pairs = zip(self.gradients, split(vector, self.parameters), strict=True)
        with recording(False):
            seeds = [(g, v) for g, v in pairs if isinstance(g, ad.Tensor) and g.requires_grad]
            return _joined(self._of_all(pullback(seeds, False, self.parameters)))

    def move_to(self, x: Array) -> None:
        """Put a vector into the parameters."""
        for parameter, piece in zip(self.parameters, split(x, self.parameters), strict=True):
            parameter.data = piece

    def _of_all(self, reached: dict[ad.Tensor, Array]) -> list[Array]:
        """Give a gradient for every parameter, zeros where none arrived."""
        return [reached[p] if p in reached else np.zeros_like(p.data) for p in self.parameters]


class _WithBackward(_Objective):
    """A loss whose closure goes backward itself, as those of PyTorch's optimizers do."""

    without_gradients = (
        "there are no gradients; the closure computes the loss, calls loss.backward() and returns the loss"
    )
    first_loss: Any = None

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        for parameter in self.parameters:
            parameter.grad = None
        return super().value_and_gradient(x)

    def _reached(self, loss: ad.Tensor) -> dict[ad.Tensor, Array]:
        self.first_loss = loss.detach() if self.first_loss is None else self.first_loss
        return {p: checked_gradient(self.caller, p) for p in self.parameters if p.grad is not None}


class LBFGS(Optimizer):
    """Quasi-Newton method for a loss on all the data, SciPy's "L-BFGS-B", with the calls of PyTorch's ``LBFGS``.

    Byrd, Lu, Nocedal and Zhu, A limited memory algorithm for bound constrained optimization (1995). `minimize` has the
    other methods, and gives SciPy's result.

    Args:
        parameters: as `Optimizer` says.
        lr: 1, since a line search finds how far each step goes.
        max_iter: iterations a step, positive.
        max_eval: losses that a step may compute, positive; by default 1.25 times ``max_iter``.
        tolerance_grad: a step ends where no element of the gradient is larger.
        tolerance_change: a step ends where an iteration lowers the loss by no larger a share.
        history_size: from how many iterations the curvature is known, positive. Each step begins to learn it anew.
        line_search_fn: "strong_wolfe", which it is.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or an option is of the wrong type.
        ValueError: there are several groups, or an option is outside its domain.

    Example:
        >>> x, y = ad.Tensor(-1.0), ad.Tensor(2.0)
        >>> optimizer = nn.optim.LBFGS([x, y], max_iter=100)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        ...     loss.backward()
        ...     return loss
        >>> float(optimizer.step(closure))
        104.0
        >>> round(float(x), 3), round(float(y), 3)
        (1.0, 1.0)
    """

    options = {  # noqa: RUF012 (each class has its own)
        "lr": number(lambda rate: rate == 1, "1, since a line search finds how far each step goes"),
        "max_iter": COUNT,
        "max_eval": COUNT,
        "tolerance_grad": AT_LEAST_0,
        "tolerance_change": AT_LEAST_0,
        "history_size": COUNT,
        "line_search_fn": choice("strong_wolfe"),
    }

    def __init__(
        self,
        parameters: Iterable[ad.Tensor] | Iterable[dict[str, Any]],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: Literal["strong_wolfe"] = "strong_wolfe",
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            max_iter=max_iter,
            max_eval=COUNT("LBFGS", "max_iter", max_iter) * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        if len(self.param_groups) != 1:
            raise ValueError(f"LBFGS: all parameters take their steps together, got {len(self.param_groups)} groups")

    def step(self, closure: Callable[[], ad.Tensor] | None = None) -> ad.Tensor:  # type: ignore[override]
        """Take the iterations of a step.

        Args:
            closure: takes nothing, computes the loss, calls its ``backward`` and returns it; the same parameters must
                give the same loss.

        Returns:
            The loss at the beginning.

        Raises:
            TypeError: there is no closure, or it returns no Tensor, or a parameter is complex.
            ValueError: the loss is not a scalar, or the closure has left no gradients.
            ImportError: SciPy is not installed.
            Exception: whatever the closure raises; the parameters are then as they were.
        """
        if closure is None:
            raise TypeError(
                "LBFGS.step: give it a closure, a function that computes the loss on all the data, calls "
                "loss.backward() and returns the loss; batches, as nn.fit has them, are for the other optimizers"
            )
        options = self._options("LBFGS.step", 0)
        objective = _WithBackward(closure, _real("LBFGS.step", closure, self.parameters), False, "LBFGS.step")
        settings = {
            "maxiter": options["max_iter"],
            "maxfun": options["max_eval"],
            "gtol": options["tolerance_grad"],
            "ftol": options["tolerance_change"],
            "maxcor": options["history_size"],
        }
        _run(objective, "L-BFGS-B", settings)
        self.steps = [count + 1 for count in self.steps]
        loss: ad.Tensor = objective.first_loss
        return loss


def split(x: Array, parameters: list[ad.Tensor]) -> list[Array]:
    """Cut a vector into arrays like the parameters."""
    pieces = np.split(x, np.cumsum([parameter.size for parameter in parameters])[:-1])
    return [
        piece.reshape(parameter.shape).astype(parameter.dtype)[()]
        for piece, parameter in zip(pieces, parameters, strict=True)
    ]


def _joined(arrays: list[Array]) -> Array:
    """Give the elements of all arrays in one float64 vector."""
    return np.concatenate([np.ravel(array).astype(np.float64) for array in ad.materialize(arrays)])
