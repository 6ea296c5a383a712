"""Products of two arrays that are said in other words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.compiler.plan.lifetimes import is_view
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.simplify.rewriting import Makers, inexact, is_float, like, rewrite
from autodiff.compiler.simplify.views import place, view_of, without_contents
from autodiff.rules.linalg import contracted_axes, einsum_terms

Labels = list[Any]  # of the axes of an array; axes of the same label run together


@inexact
def products(program: Program) -> Program:
    """Say a sum of products of two arrays as a product of matrices, and products of which none are summed by elements.

    Requires `lower`, which says sums in one way, and makes views for `views` to shorten. Gives `np.matmul`, `np.vdot`
    and `np.multiply` for what they can say of `np.dot`, `np.inner`, `np.outer`, `np.tensordot` and `np.einsum` of
    floats; for a transposed product that of the transposes; and one product for those of each of a stack with one
    matrix, and for a sum of outer products. May change rounding, since sums are taken in another order.
    """
    uses = program.use_counts()

    def change(call: Call, makers: Makers) -> list[Call] | None:
        x = call.args[0] if call.args else None
        product = makers.get(x) if isinstance(x, Value) and uses[x] == 1 else None
        if product and product.function is np.matmul and _is_transpose(call) and not product.kwargs:
            call, batch = like(call, np.matmul, product.args), [*range(len(call.output.shape) - 2)]
            terms: Any = [*batch, "row", "sum"], [*batch, "sum", "column"], [*batch, "column", "row"]
        elif stack := _of_stack(call, product):
            return stack
        else:
            terms = _terms(call)
        if not terms or not all(is_float(value) and value.dtype == call.output.dtype for value in call.operands()):
            return None
        x, y = call.operands()
        return _product(call, x, y, *terms)

    return rewrite(program, change)


def _is_transpose(call: Call) -> bool:
    """Whether a call transposes a matrix, or each of a stack."""
    x = call.args[0]
    if not is_view(call) or len(x.shape) < 2 or call.operands() != (x,):
        return False
    memory = without_contents(x)
    return bool(place(view_of(call, memory)) == place(memory.swapaxes(-1, -2)))


def _of_stack(call: Call, product: Call | None) -> list[Call] | None:
    """Say products of each of a stack with one matrix, or a sum of outer products, as one product of two matrices."""
    is_of_one = call.function is np.matmul
    made = call if is_of_one else product
    values = made.operands() if made and not made.kwargs else ()
    if not made or len(values) != 2 or not all(is_float(one) and one.dtype == call.output.dtype for one in values):
        return None
    of_x, of_y = (len(value.shape) for value in values)
    last, axes = max(of_x, of_y), call.kwargs.get("axis")
    # Axes are those of a product by elements, of which a sum is taken.
    if is_of_one and min(of_x, of_y) == 2 < last:
        labels = [*range(last - of_x, last)], [*range(last - of_y, last - 2), last - 1, last]
        axes = last - 1
    elif made.function is np.multiply and call.function == np.add.reduce and call.kwargs.keys() == {"axis"}:
        labels = [*range(last - of_x, last)], [*range(last - of_y, last)]
    else:
        return None
    calls, terms = list[Call](), list[Labels]()
    for value, of_value in zip(values, labels):
        sizes = {label: size for label, size in zip(of_value, value.shape) if size != 1}
        shape = tuple(sizes.values())
        calls.append(like(call, np.reshape, (value, shape), {}, Value("call", shape, value.dtype, True)))
        terms.append([*sizes])
    every = sorted({*terms[0], *terms[1]})
    of_result = [label for label in every if label not in (axes if isinstance(axes, tuple) else (axes,))]
    left, right = ([label for label in of_result if label not in other] for other in reversed(terms))
    both = [label for label in of_result if label not in left + right]
    is_in_order = of_result in ([*both, *left, *right], [*both, *right, *left])
    if not is_in_order or len(of_result) in (0, len(every)) or not (is_of_one or (left and right)):
        return None
    rest = _product(call, calls[0].output, calls[1].output, terms[0], terms[1], of_result)
    return rest and calls + rest


def _terms(call: Call) -> tuple[Labels, Labels, Labels] | None:
    """Label the axes of two arrays and of what a call gives, if that is made of products of the two."""
    function, options = call.function, dict(call.kwargs)
    operands = [*call.operands()]
    if len(operands) != 2:
        return None
    x, y = map(without_contents, operands)
    of_x, of_y = [*range(x.ndim)], [*range(x.ndim, x.ndim + y.ndim)]
    if function is np.einsum and options.keys() <= {"optimize"}:
        args = [without_contents(arg) if isinstance(arg, Value) else arg for arg in call.args]
        _, terms, of_result = einsum_terms(args)
        return (terms[0], terms[1], of_result) if len(terms) == 2 else None  # a number may be the third
    if function in (np.outer, np.linalg.outer) and x.ndim == y.ndim == 1 and not options:
        return of_x, of_y, [*of_x, *of_y]
    if function in (np.tensordot, np.linalg.tensordot):
        axes = options.pop("axes", 2 if len(call.args) == 2 else call.args[-1])
    elif function in (np.dot, np.inner) and x.ndim and y.ndim:
        axes = -1, -min(2, y.ndim) if function is np.dot else -1
    else:
        return None
    summed, by, kept, others = contracted_axes(x, y, axes)
    for axis, other in zip(summed, by):
        of_y[other] = axis
    return None if options else (of_x, of_y, [of_x[axis] for axis in kept] + [of_y[axis] for axis in others])


def _product(call: Call, x: Value, y: Value, of_x: Labels, of_y: Labels, of_result: Labels) -> list[Call] | None:
    """Say a product by elements, of vectors or of matrices, if it is one, on arrays of which it is one."""
    sizes = dict(zip(of_x + of_y, x.shape + y.shape))
    summed = [label for label in of_x if label in of_y and label not in of_result]
    batch = [label for label in of_result if label in of_x and label in of_y]
    left, right = ([label for label in of_result if label not in other] for other in (of_y, of_x))
    is_plain = all(len({*labels}) == len(labels) for labels in (of_x, of_y, of_result))
    fits = x.shape == tuple(sizes[label] for label in of_x) and len(y.shape) == len(of_y)
    is_sum = {*of_result, *summed} == {*of_x, *of_y}
    if not (is_plain and fits and is_sum) or (batch and summed and not (left and right)):
        return None
    calls: list[Call] = []

    def made(function: Any, args: Any, shape: Any) -> Value:
        calls.append(like(call, function, args, {}, Value("call", tuple(shape), x.dtype, True)))
        return calls[-1].output

    def arranged(value: Value, labels: Labels, wanted: Labels, shape: Any) -> Value:
        """Bring axes in another order, and then in another shape."""
        order, shape = tuple(labels.index(label) for label in wanted), tuple(shape)
        if order != tuple(sorted(order)):
            value = made(np.transpose, (value, order), (value.shape[axis] for axis in order))
        return value if value.shape == shape else made(np.reshape, (value, shape), shape)

    if not summed:
        x, y = (
            arranged(v, own, [k for k in of_result if k in own], (sizes[k] if k in own else 1 for k in of_result))
            for v, own in ((x, of_x), (y, of_y))
        )
        return [*calls, like(call, np.multiply, (x, y))]
    if not of_result:
        y = arranged(y, of_y, of_x, x.shape)
        return [*calls, like(call, np.dot if len(x.shape) == 1 else np.vdot, (x, y))]
    if left and right and of_result == [*batch, *right, *left]:
        x, y, of_x, of_y, left, right = y, x, of_y, of_x, right, left
    count, rows, columns = ([math.prod(sizes[k] for k in labels)] if labels else [] for labels in (summed, left, right))
    stack = [sizes[label] for label in batch]
    x = arranged(x, of_x, batch + left + summed, stack + rows + count)
    y = arranged(y, of_y, batch + summed + right, stack + count + columns)
    result = made(np.matmul, (x, y), stack + rows + columns)
    order = batch + left + right
    result = arranged(result, [], [], [sizes[label] for label in order])
    arranged(result, order, of_result, call.output.shape)
    return [*calls[:-1], like(call, calls[-1].function, calls[-1].args)]
