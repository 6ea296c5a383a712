"""Reverse-mode automatic differentiation on NumPy, to any order."""

from autodiff import rules as _rules  # noqa: F401 (importing it fills the table of rules)
from autodiff import testing
from autodiff.anomaly import detect_anomaly
from autodiff.compiler import Compiled, compile
from autodiff.composition import checkpoint, custom_vjp, defcomposition
from autodiff.drawing import Drawing, draw
from autodiff.tape import defvjp, no_grad
from autodiff.tensor import Tensor, primitive, stop_gradient
from autodiff.transforms import elementwise_grad, grad, hessian, hvp, jacobian, jvp, linearize, value_and_grad, vjp

__all__ = [
    "Compiled",
    "Drawing",
    "Tensor",
    "checkpoint",
    "compile",
    "custom_vjp",
    "defcomposition",
    "defvjp",
    "detect_anomaly",
    "draw",
    "elementwise_grad",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "no_grad",
    "primitive",
    "stop_gradient",
    "testing",
    "value_and_grad",
    "vjp",
]
