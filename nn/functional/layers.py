"""What layers compute, and what follows each: its derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import autodiff as ad
from autodiff.arrays.foreign import is_sparse
from autodiff.arrays.lazy import gathered_rows, summed_rows, uniform
from autodiff.arrays.sums import mean, total, variance
from autodiff.arrays.whole import is_lazy, look_up, require
from autodiff.batching.array import drawn
from autodiff.core.record import constant, data_of
from autodiff.core.rule import Array
from autodiff.core.tape import running
from nn.checks import (
    check_count,
    check_flag,
    check_known,
    check_number,
    check_padding,
    check_probability,
    check_real,
    check_shape,
    check_values,
    to_array,
)
from nn.init import Seed, generator


@ad.primitive
def _linear(x: Array, weight: Array, bias: Array) -> Array:
    return x @ weight + bias


def _rows(x: Array) -> Array:
    """Give an array as a matrix whose rows are its last axis."""
    return np.reshape(x, (-1, x.shape[-1])) if x.ndim != 2 else x


ad.defvjp(
    _linear,
    lambda g, out, x, weight, bias: g @ weight.T,
    lambda g, out, x, weight, bias: _rows(x).T @ _rows(g),
    lambda g, out, x, weight, bias: total(_rows(g), axis=0),
)


def linear(x: Array, weight: Array, bias: Array = None) -> Array:
    """Affine map of each row, ``x W + b``.

    Args:
        x: of shape ``(..., in_features)``, or a sparse matrix of SciPy of shape ``(N, in_features)``.
        weight: of shape ``(in_features, out_features)``.
        bias: of shape ``(out_features,)``, or None.

    Returns:
        Of shape ``(..., out_features)``.

    Raises:
        TypeError: an argument is not numbers, real or complex.
        ValueError: the shapes do not fit.

    Example:
        >>> nn.functional.linear(np.array([1.0, 2.0]), np.array([[3.0], [4.0]]), np.array([0.5]))
        array([11.5])
    """
    sparse = not isinstance(x, ad.Tensor) and is_sparse(x)
    if not (sparse or isinstance(x, ad.Tensor)):  # most often it is one, and spared the checks
        x = check_real("linear", "x", x, "fiubc")
    if not isinstance(weight, ad.Tensor):
        weight = check_real("linear", "weight", weight, "fiubc")
    if not (bias is None or isinstance(bias, ad.Tensor)):
        bias = check_real("linear", "bias", bias, "fiubc")
    inputs, features = x.shape, weight.shape
    fits = len(features) == 2 and len(inputs) > 0 and inputs[-1] == features[0]
    if not fits or (bias is not None and bias.shape != features[1:]):
        raise ValueError(
            f"linear: x of shape {inputs} needs a weight of shape ({inputs[-1] if inputs else 'in'}, out) and a bias "
            f"of shape (out,), got {features} and {None if bias is None else bias.shape}"
        )
    if sparse:
        return x @ weight if bias is None else x @ weight + bias
    return x @ weight if bias is None else _linear(x, weight, bias)


def dropout(x: Array, p: float = 0.5, training: bool = True, rng: Seed = None) -> Array:
    """Set each element to zero with probability ``p``, and divide the others by ``1 - p`` to keep the mean.

    Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014), section 10.

    Args:
        x: of any shape. For a lazy array, as Dask's are, the numbers are drawn lazily and chunk by chunk; its chunks
            and the generator determine them.
        p: from 0 up to, but not including, 1.
        training: without, ``x`` is returned as it is.
        rng: a Generator or a seed.

    Raises:
        RuntimeError: under `ad.vmap`, ``randomness`` does not say whether each member drops elements of its own.
        TypeError: ``x`` is not real numbers, or an option is of the wrong type.
        ValueError: ``p`` is not a probability below 1.

    Example:
        >>> nn.functional.dropout(np.ones(5), p=0.5, rng=0)
        array([2., 2., 2., 0., 0.])
    """
    check_probability("dropout", p)
    check_flag("dropout", "training", training)
    x = check_real("dropout", "x", x)
    if not training or p == 0:
        return x
    check_known("dropout", x)
    rng = generator(rng)
    if is_lazy(data_of(x)):
        numbers = uniform(rng, data_of(x))
    else:
        numbers = drawn(lambda shape: rng.random(shape, dtype=np.float32), np.shape(x), x)
    mask = (numbers >= p) / np.asarray(1 - p, dtype=x.dtype if x.dtype.kind == "f" else np.float64)
    if isinstance(x, ad.Tensor):
        mask = constant(mask)
        mask.name = "dropout mask"  # in pictures
    return x * mask


# Normalization


@ad.primitive
def _standardized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    centered = x - mean(x, axes, keepdims=True)
    return centered / np.sqrt(mean(np.square(centered), axes, keepdims=True) + eps)


def _standardized_x(g: Array, out: Array, x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """What is left of ``g`` without its parts along a constant and along the output, which the function removes."""
    deviation = np.sqrt(variance(x, axes, keepdims=True) + eps)
    along = out * mean(g * out, axes, keepdims=True)
    return (g - mean(g, axes, keepdims=True) - along) / deviation


ad.defvjp(_standardized, _standardized_x)


def batch_norm(
    x: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Standardize each feature, ``(x - mean) / sqrt(var + eps) weight + bias``, over the rows of a batch.

    Ioffe and Szegedy, Batch normalization (2015), algorithm 1.

    Args:
        x: of shape ``(N, C)`` or ``(N, C, ...)``.
        running_mean: of shape ``(C,)``, or None while training. Outside training it is the mean; while training, the
            batch's own mean is, and moves the running one, which is written into.
        running_var: of shape ``(C,)``, or None, likewise; what moves it is the unbiased variance of the batch.
        weight: of shape ``(C,)``, or None for ones.
        bias: of shape ``(C,)``, or None for zeros.
        training: whether the batch's own mean and variance are used.
        momentum: from 0 to 1, the share of the batch in the new running numbers.
        eps: positive.

    Returns:
        Of the shape of ``x``.

    Raises:
        TypeError: an argument is not real numbers, or a running number that is to be written into no array of them.
        RuntimeError: under `ad.vmap`, running numbers would be written into.
        ValueError: the shapes do not fit, an option is outside its domain, a training batch has only one number for
            each feature, or there are no running numbers outside training. The running numbers stay as they were.

    Example:
        >>> nn.functional.batch_norm(np.array([[1.0], [3.0]]), np.zeros(1), np.ones(1), training=True).round(3)
        array([[-1.],
               [ 1.]])
    """
    check_number("batch_norm", "eps", eps, lambda eps: eps > 0, "positive")
    check_number("batch_norm", "momentum", momentum, lambda share: 0 <= share <= 1, "a share from 0 to 1")
    check_flag("batch_norm", "training", training)
    x = check_real("batch_norm", "x", x)
    shape = x.shape
    if len(shape) < 2:
        raise ValueError(f"batch_norm: x must have the shape (N, C) or (N, C, ...), got {shape}")
    running_mean = _features("running_mean", running_mean, shape, training)
    running_var = _features("running_var", running_var, shape, training)
    weight, bias = _features("weight", weight, shape), _features("bias", bias, shape)
    axes = (0, *range(2, len(shape)))
    if training and running.get() and not (running_mean is None and running_var is None):
        raise RuntimeError(
            "batch_norm: under vmap, members would all write into the same running numbers: evaluate, as by "
            "model.eval(), or do without them, as by BatchNorm1d(..., track_running_stats=False)"
        )

    def aligned(array: Array) -> Array:
        return array if len(shape) == 2 else np.reshape(array, (-1,) + (1,) * (len(shape) - 2))

    if training:
        if math.prod(shape) < 2 * shape[1]:
            raise ValueError(
                f"batch_norm: a training batch needs more than one number for each feature, got x of shape {shape}; "
                "leave out the last batch, choose another batch size, or evaluate"
            )
        if is_lazy(data_of(x)) and any(type(kept) is np.ndarray for kept in (running_mean, running_var)):
            raise TypeError(
                "batch_norm: the statistics of a lazy x are lazy, too, and cannot be written into an array in memory: "
                "give running numbers as nn.Buffer, or make them lazy arrays"
            )
        out = _standardized(x, axes, eps)
        for kept, statistic in (
            (running_mean, mean(data_of(x), axes)),
            (running_var, variance(data_of(x), axes, ddof=1)),
        ):
            if kept is not None:
                array = data_of(kept)
                moved = (1 - momentum) * array + momentum * statistic
                if is_lazy(moved) and isinstance(kept, ad.Tensor):
                    kept.data = moved.astype(array.dtype)
                else:
                    array[...] = moved
    elif running_mean is None or running_var is None:
        raise ValueError("batch_norm: without training, running_mean and running_var are needed")
    else:
        center, var = data_of(running_mean), data_of(running_var)
        out = (x - aligned(center)) * aligned(1 / np.sqrt(var + eps))
    if weight is not None:
        out = out * aligned(weight)
    return out if bias is None else out + aligned(bias)


def _features(name: str, array: Array, shape: tuple[int, ...], written: bool = False) -> Array:
    """Give one number for each feature of an input as an array or a Tensor, or None."""
    if array is None:
        return None
    numbers = check_real("batch_norm", name, array)
    if numbers.shape != shape[1:2]:
        raise ValueError(f"batch_norm: x of shape {shape} needs a {name} of shape ({shape[1]},), got {numbers.shape}")
    if written and (numbers is not array or numbers.dtype.kind != "f"):
        raise TypeError(
            f"batch_norm: {name} is written into while training, and must be a floating-point array, got {array!r}"
        )
    return numbers


def layer_norm(
    x: Array, normalized_shape: int | Sequence[int], weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Array:
    """Standardize each row, ``(x - mean) / sqrt(var + eps) weight + bias``, over its last axes.

    Ba, Kiros and Hinton, Layer normalization (2016), equation 3.

    Args:
        x: of a shape that ends with ``normalized_shape``.
        normalized_shape: lengths of the axes that make up a row; a number for one axis.
        weight: of shape ``normalized_shape``, or None for ones.
        bias: of shape ``normalized_shape``, or None for zeros.
        eps: positive.

    Returns:
        Of the shape of ``x``.

    Raises:
        TypeError: an argument is not real numbers, or a length not an integer.
        ValueError: the shapes do not fit, or ``eps`` is not positive.

    Example:
        >>> nn.functional.layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), 2).round(3)
        array([[-1.,  1.],
               [-1.,  1.]])
    """
    check_number("layer_norm", "eps", eps, lambda eps: eps > 0, "positive")
    row = check_shape("layer_norm", "normalized_shape", normalized_shape)
    x = check_real("layer_norm", "x", x)
    if x.shape[x.ndim - len(row) :] != row:
        raise ValueError(f"layer_norm: x must have a shape that ends with {row}, got {x.shape}")
    weight, bias = (
        None if array is None else check_real("layer_norm", name, array)
        for name, array in (("weight", weight), ("bias", bias))
    )
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.shape != row:
            raise ValueError(f"layer_norm: {name} must have the shape {row}, got {array.shape}")
    out = _standardized(x, tuple(range(-len(row), 0)), eps)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


# Tables

# Of arrays of which one is lazy, for which these are not calls of NumPy's.
_gathered_rows, _summed_rows = ad.primitive(gathered_rows), ad.primitive(summed_rows)
ad.defvjp(_gathered_rows, lambda g, out, table, indices: _summed_rows(g, indices, len(table)))
ad.defvjp(_summed_rows, lambda g, out, values, indices, count: _gathered_rows(g, indices))


def _check_range(indices: Array, rows: int) -> None:
    require(
        (indices >= 0) & (indices < rows),
        IndexError,
        f"embedding: indices must lie from 0 to {rows - 1} for {rows} rows, got {{}}",
        indices,
    )


def embedding(indices: Array, weight: Array, padding_idx: int | None = None) -> Array:
    """Look up rows of a table, ``weight[indices]``; the gradient goes to the rows that were used, and sums their uses.

    Bengio et al., A neural probabilistic language model (2003), section 2.

    Args:
        indices: integers from 0 to K - 1, of any shape.
        weight: the table, of shape ``(K, D)``.
        padding_idx: the row that gets no gradient, or None; a negative one counts from the end.

    Returns:
        Of shape ``(*indices.shape, D)``.

    Raises:
        IndexError: an index, or ``padding_idx``, is out of range.
        TypeError: the indices are not integers, or ``weight`` is not real numbers.
        ValueError: ``weight`` is not a table.

    Example:
        >>> nn.functional.embedding(np.array([2, 0, 2]), np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]))
        array([[2. , 2.5],
               [0. , 0.5],
               [2. , 2.5]])
    """
    indices = to_array("embedding", "indices", data_of(indices))
    weight = check_real("embedding", "weight", weight)
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight must have the shape (K, D), got {weight.shape}")
    rows = len(weight)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices must be integers, got {indices.dtype}; convert them with .astype(int)")
    indices = check_values(indices, _check_range, rows)
    if is_lazy(indices) or is_lazy(data_of(weight)):
        out = _gathered_rows(weight, indices)
    else:
        out = look_up(weight, indices) if type(weight) is np.ndarray else weight[indices]
    if padding_idx is None:
        return out
    check_padding("embedding", padding_idx, rows)
    return np.where(np.expand_dims(indices == padding_idx % rows, -1), ad.stop_gradient(out), out)


def one_hot(target: Array, num_classes: int = -1) -> Array:
    """Give for each label a row that is 1 at its class and 0 elsewhere.

    Args:
        target: class labels, integers from 0 on, of any shape.
        num_classes: C, the number of classes; at -1 it is one more than the largest label.

    Returns:
        Integers, of the shape of the labels with an axis of C classes at the end.

    Raises:
        TypeError: the labels are not integers, or the number of classes is no integer.
        ValueError: a label is negative or not below the number of classes, or there is none to say how many there are.

    Example:
        >>> nn.functional.one_hot(np.array([0, 2]), num_classes=3)
        array([[1, 0, 0],
               [0, 0, 1]])
    """
    labels = to_array("one_hot", "target", data_of(target))
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: class labels must be integers, got {labels.dtype}; convert them with .astype(int)")
    if num_classes != -1:
        check_count("one_hot", "num_classes", num_classes)
    elif is_lazy(labels):
        raise ValueError(
            "one_hot: the largest label of a lazy array is not known before it is computed; give num_classes="
        )
    elif not labels.size:
        raise ValueError("one_hot: there are no labels to say how many classes there are; give num_classes=")
    else:
        num_classes = int(np.max(labels)) + 1
    labels = check_values(labels, _check_classes, num_classes)
    is_class: Array = np.equal(labels[..., None], np.arange(num_classes))
    return is_class.astype(np.int64)


def _check_classes(labels: Array, count: int) -> None:
    fits = (labels >= 0) & (labels < count)
    require(fits, ValueError, f"one_hot: labels must lie from 0 to {count - 1}, got {{}}", labels)
