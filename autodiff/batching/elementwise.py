"""Functions that act on each element by itself: on a batch, they are themselves."""

import numpy as np

from autodiff.arrays.activations import relu, sigmoid
from autodiff.batching.array import RULES
from autodiff.batching.table import of_each_element
from autodiff.core.rule import FACTS

of_each_element(
    *(function for function in vars(np).values() if isinstance(function, np.ufunc) and not function.signature)
)
of_each_element(*(f for f in FACTS if isinstance(f, np.ufunc) and not f.signature and f not in RULES))
of_each_element(np.where, np.clip, relu, sigmoid, np.nan_to_num, np.real, np.imag, np.angle, np.fix, np.isclose)
of_each_element(np.iscomplex, np.isreal, np.isneginf, np.isposinf, np.sinc, np.i0, np.copy)
