"""What is known of functions beside their derivatives, for the tape, the compiler and the pictures."""

import numpy as np

from autodiff.core.rule import describe
from autodiff.core.tensor import astype

# They ask something of an array: their values do not vary with it, so they give plain arrays.
describe(
    # comparisons and logic
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.all, np.any, np.logical_and.reduce, np.logical_or.reduce,
    np.allclose, np.isclose, np.array_equal, np.array_equiv,
    np.isnan, np.isinf, np.isfinite, np.isposinf, np.isneginf, np.signbit, np.isin,
    # positions and counts
    np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argwhere, np.argpartition, np.lexsort,
    np.nonzero, np.flatnonzero, np.count_nonzero, np.searchsorted, np.digitize,
    np.ix_, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.einsum_path, np.linalg.matrix_rank,
    # shape, type and memory
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.min_scalar_type,
    np.iscomplexobj, np.isrealobj, np.iscomplex, np.isreal, np.may_share_memory, np.shares_memory,
    # arrays like another one, but with other contents
    np.zeros_like, np.ones_like, np.empty_like,
    # text
    np.array2string, np.array_repr, np.array_str,
    is_constant=True,
)  # fmt: skip

describe(
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type, np.min_scalar_type, np.iscomplexobj,
    np.isrealobj, np.may_share_memory, np.shares_memory,
    is_question=True,
)  # fmt: skip
describe(
    np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.compress, np.extract, np.trim_zeros, np.bincount,
    np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, np.unique_all, np.unique_counts, np.unique_inverse,
    np.unique_values,
    sized_by=0,
)  # fmt: skip
describe(np.repeat, np.delete, np.insert, np.tile, np.pad, np.resize, np.array_split, np.split, sized_by=1)

# Where results lie. Ufuncs and their methods need no word: they take ``out``, and give new memory without it.

describe(np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze, np.broadcast_to, is_view=True)
describe(
    np.dot, np.take, np.clip, np.concatenate, np.stack, np.cumsum, np.cumprod, np.trace,
    takes_out=True, is_new=True,
)  # fmt: skip
describe(
    np.where, np.zeros_like, np.ones_like, np.full_like, np.linalg.norm, np.mean, np.var, np.std, np.outer, np.copy,
    np.linalg.solve, np.linalg.inv, np.vdot, astype,
    is_new=True,
)  # fmt: skip
describe(np.where, np.zeros_like, np.ones_like, np.full_like, np.copy, is_array=True)
describe(np.copy, np.positive, np.astype, astype, is_copy=True)
