"""How these functions act on a batch, under `ad.vmap`: as the calls that they are made of."""

from inspect import unwrap

from autodiff.batching.table import as_composition, of_each_element
from nn.functional import activations, class_losses, layers, losses

for _function in (
    activations._leaky_relu,
    activations._elu,
    activations._gelu,
    activations._tanh_gelu,
    activations._silu,
    activations._softplus,
    activations._log_sigmoid,
    activations._hardtanh,
    losses._share,
    losses._binary_cross_entropy,
    losses._sigmoid_cross_entropy,
    losses._divergence,
    losses._divergence_of_logarithms,
    losses._raised,
):
    of_each_element(unwrap(_function))
for _made_of_others in (
    activations._softmax,
    activations._logsumexp,
    activations._log_softmax,
    class_losses._cross_entropy,
    layers._linear,
    layers._standardized,
):
    as_composition(unwrap(_made_of_others), unwrap(_made_of_others))
