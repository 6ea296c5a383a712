"""Reverse-mode automatic differentiation on NumPy, to any order."""

from autodiff import rules as _rules  # noqa: F401 (importing it fills the table of rules)
from autodiff import testing
from autodiff.drawing import Drawing, draw
from autodiff.tape import defvjp, no_grad
from autodiff.tensor import Tensor, primitive, stop_gradient
from autodiff.transforms import grad, value_and_grad

__all__ = [
    "Drawing",
    "Tensor",
    "defvjp",
    "draw",
    "grad",
    "no_grad",
    "primitive",
    "stop_gradient",
    "testing",
    "value_and_grad",
]
