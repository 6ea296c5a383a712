"""Functions that ask something of an array: their values do not vary with it, so they give plain arrays."""

import numpy as np

from autodiff.core.rule import describe

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
