"""Progress bars for terminals and notebooks; silent where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


SHOWN_AFTER = 1.0
"""Seconds before a bar appears: what ends sooner needs none."""

_shown: set[str] = set()
"""The bar on show, if any: notebooks mix up the outputs of two at once."""


def track(items: Iterable[Item], description: str | Callable[[], str], total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` and show a bar on stderr, in a terminal or a notebook, that vanishes at the end.

    One bar at a time: a loop inside a loop that shows one is silent.

    Parameters
    ----------
    items : iterable
        What to go through.
    description : str or callable
        What the user waits for; a callable is asked again after every item, for what changes on the way.
    total : int, optional
        Number of items, where ``len(items)`` does not tell.

    Examples
    --------
    >>> list(track([1, 2], "counting"))
    [1, 2]
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield from items
        return
    size = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    iterator, began = iter(items), time.monotonic()
    for done, item in enumerate(iterator, 1):
        yield item
        if time.monotonic() - began > SHOWN_AFTER and not _shown:
            yield from _with_bar(iterator, description, size, done, console)


def _with_bar(
    items: Iterator[Item], description: str | Callable[[], str], size: int | None, done: int, console: Console
) -> Iterator[Item]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    text = _text(description)
    _shown.add(text)
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(text, total=size, completed=done)
            for item in items:
                yield item
                progress.update(task, advance=1, description=_text(description))
    finally:
        _shown.discard(text)


def _text(description: str | Callable[[], str]) -> str:
    return description() if callable(description) else description
