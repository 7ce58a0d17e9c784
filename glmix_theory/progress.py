"""Progress bars for terminals and notebooks; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Sequence[Item] | Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` and show a bar on stderr, in a terminal or a notebook, that vanishes at the end.

    Parameters
    ----------
    items : iterable
        What to go through.
    description : str
        What the user waits for.
    total : int, optional
        Number of items, where ``len(items)`` does not tell.

    Examples
    --------
    >>> list(track([1, 2], "counting"))
    [1, 2]
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        size = total if total is not None else (len(items) if isinstance(items, Sequence) else None)
        task = progress.add_task(description, total=size)
        for item in items:
            yield item
            progress.advance(task)
