"""Reverse-mode automatic differentiation on NumPy, to any order."""

import importlib
from typing import TYPE_CHECKING, Any

from autodiff import rules as _rules  # noqa: F401 (importing it fills the table of rules)
from autodiff.core.record import primitive
from autodiff.core.rule import defvjp
from autodiff.core.tape import no_grad
from autodiff.core.tensor import Tensor, stop_gradient
from autodiff.elsewhere import absent as _absent_in
from autodiff.transforms.checkpoint import checkpoint
from autodiff.transforms.composition import defcomposition
from autodiff.transforms.custom_vjp import custom_vjp
from autodiff.transforms.forward import hvp, jvp, linearize
from autodiff.transforms.matrices import hessian, jacobian
from autodiff.transforms.reverse import elementwise_grad, grad, value_and_grad, vjp

if TYPE_CHECKING:
    from autodiff import testing
    from autodiff.anomaly import detect_anomaly
    from autodiff.batching.table import defbatch
    from autodiff.batching.vmap import vmap
    from autodiff.compiler import Compiled, compile
    from autodiff.drawing import Drawing, draw
    from autodiff.materialization import materialize
    from autodiff.transforms.containers import ravel

__version__ = "0.1.0"
_absent = _absent_in(__name__)

# Rooms that not every program enters are imported when they are first asked for.
_LATER = {
    "Compiled": "autodiff.compiler",
    "Drawing": "autodiff.drawing",
    "defbatch": "autodiff.batching.table",
    "compile": "autodiff.compiler",
    "detect_anomaly": "autodiff.anomaly",
    "draw": "autodiff.drawing",
    "materialize": "autodiff.materialization",
    "ravel": "autodiff.transforms.containers",
    "vmap": "autodiff.batching.vmap",
}

__all__ = [
    "Compiled",
    "Drawing",
    "Tensor",
    "checkpoint",
    "compile",
    "custom_vjp",
    "defbatch",
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
    "materialize",
    "no_grad",
    "primitive",
    "ravel",
    "stop_gradient",
    "testing",
    "value_and_grad",
    "vjp",
    "vmap",
]


if not TYPE_CHECKING:  # or checkers took every name for one of these

    def __getattr__(name: str) -> Any:
        if name == "testing":
            return importlib.import_module("autodiff.testing")
        if name in _LATER:
            return getattr(importlib.import_module(_LATER[name]), name)
        return _absent(name)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__version__"]
