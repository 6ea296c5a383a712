"""Functions that are shown the gradient of a Tensor, and may put another in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

import numpy as np

from autodiff.arrays.foreign import taken_in

if TYPE_CHECKING:
    from autodiff.core.rule import Array
    from autodiff.core.tape import Entry
    from autodiff.core.watch import Watch


class Hook:
    """What `register_hook` gives: ``remove()`` takes the function off the Tensor again."""

    def __init__(self, entry: Entry, function: Callable[[Any], Any] | None) -> None:
        self._entry = ref(entry)
        entry._hooks = {**hooks_of(entry), self: function}
        HOOKS.add(self)

    def remove(self) -> None:
        """Let gradients flow as if the function had not been registered; a second time does nothing."""
        entry = self._entry()
        if entry is not None:
            entry._hooks = {hook: function for hook, function in hooks_of(entry).items() if hook is not self}
        HOOKS.discard(self)


HOOKS: WeakSet[Hook] = WeakSet()  # of all Tensors: as long as it is empty, no walk looks for any


def hooks_of(entry: Entry) -> dict[Hook, Callable[[Any], Any] | None]:
    """Give the hooks of an entry; most have none, and for these nothing was written down."""
    return getattr(entry, "_hooks", {})


def hooked(entry: Entry, g: Array, watch: Watch | None, gradients: dict[Entry, Any]) -> Any:
    """Show a gradient that is complete to the hooks of its entry, and give what is to flow on."""
    hooks = hooks_of(entry)
    is_complex = bool(hooks) and getattr(g.dtype, "kind", "") == "c"
    kinds = ("f", "i", "u", "b", *("c" * is_complex))
    g = np.conjugate(g) if is_complex else g  # as gradients are shown
    for function in filter(None, hooks.values()):
        other = function(g)
        if other is None:
            continue
        other = taken_in(other if type(other) is type(g) else getattr(other, "_array", other), "register_hook")
        if getattr(other, "shape", None) != g.shape or other.dtype.kind not in kinds:
            is_array = getattr(getattr(other, "dtype", None), "kind", "") in kinds
            raise (ValueError if is_array else TypeError)(
                f"register_hook: the gradient of {entry._label()} cannot become {other!r}; the function gives an array "
                f"of {'' if is_complex else 'real '}numbers of its shape, or None"
            )
        if other is not g:
            other = other.astype(g.dtype)  # a copy, since the function may keep its own
            for_each = getattr(getattr(g, "_array", g), "for_each", None)
            g = other if for_each is None else for_each(other)  # of a batch
    g = np.conjugate(g) if is_complex else g
    if None in hooks.values():
        gradients[entry] = g.copy()
    if hooks and watch is not None:
        watch.see_hooked(entry, g)
    return g
