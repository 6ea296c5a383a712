"""How these functions act on a batch, under `ad.vmap`: as the calls that they are made of."""

from inspect import unwrap
from typing import Any

from autodiff.arrays.whole import require
from autodiff.batching.array import Level
from autodiff.batching.table import as_composition, batched, enter, lined_up, of_each_element
from nn.functional import activations as a
from nn.functional import class_losses, layers, losses

_OF_EACH_ELEMENT: Any = (
    a._leaky_relu, a._elu, a._gelu, a._tanh_gelu, a._silu, a._softplus, a._log_sigmoid, a._hardtanh, losses._raised,
    losses._share, losses._binary_cross_entropy, losses._sigmoid_cross_entropy, losses._divergence,
    losses._divergence_of_logarithms,
)  # fmt: skip
_OF_ROWS: Any = (
    a._softmax, a._logsumexp, a._log_softmax, class_losses._cross_entropy, layers._linear, layers._standardized,
)  # fmt: skip

of_each_element(*map(unwrap, _OF_EACH_ELEMENT))
for _function in map(unwrap, _OF_ROWS):
    as_composition(_function, _function)


def _require(level: Level, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Ask of all members at once; for which it does not hold is then said member by member."""
    condition, error, message, *values = args
    if not batched(condition, level):
        return NotImplemented
    condition, *values = lined_up((condition, *values), level)
    return require(condition, error, message, *values)


enter(require, _require)
