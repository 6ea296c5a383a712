"""The functions that layers and losses are made of, on arrays and Tensors alike.

Losses that take logits, the numbers before the softmax or the sigmoid, stay finite however large these are. A fused
function is one call on the tape: fewer calls, and a derivative that is simpler than that of its parts.
"""

from typing import TYPE_CHECKING

from autodiff.elsewhere import absent
from nn.functional import batches as batches
from nn.functional.activations import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from nn.functional.class_losses import cross_entropy, nll_loss
from nn.functional.layers import batch_norm, dropout, embedding, layer_norm, linear, one_hot
from nn.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu",
    "embedding", "gaussian_nll_loss", "gelu", "hardtanh", "huber_loss", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "logsumexp", "mse_loss", "nll_loss", "one_hot",
    "poisson_nll_loss", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip

if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
