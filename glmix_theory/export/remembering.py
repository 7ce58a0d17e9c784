"""Values computed once for an object and kept as long as it lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")
_KEPT = 32


class _Store:
    """Values kept for an object as long as it lives, found by identity.

    Patterns compare by the expression that prints them, which for a long explicit graph costs more to
    hash than a forward pass; identity costs nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Any], dict[Any, Any]]] = {}

    def of(self, owner: object) -> dict[Any, Any]:
        key = id(owner)
        if key not in self._kept:
            # The callback runs before the identity can be used again.
            self._kept[key] = (weakref.ref(owner, lambda _: self._kept.pop(key, None)), {})
        return self._kept[key][1]


_store = _Store()


def remembered(owner: object, key: Any, make: Callable[[], Value]) -> Value:
    """``make()``, computed once per live ``owner`` and ``key``; the least recently used keys are dropped.

    >>> class Owner: ...
    >>> owner = Owner()
    >>> remembered(owner, "a", lambda: 1), remembered(owner, "a", lambda: 2)
    (1, 1)
    """
    values = _store.of(owner)
    value: Value = values.pop(key) if key in values else make()
    values[key] = value
    while len(values) > _KEPT:
        del values[next(iter(values))]
    return value
