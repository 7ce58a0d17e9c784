"""Threads that run compiled loops side by side.

numba's own thread pools disturb torch's and refuse to be entered by two Python threads at once. Compiled
loops release the interpreter's lock, so plain threads do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

_pools: list[ThreadPoolExecutor] = []


def run_all(tasks: Sequence[Callable[[], None]]) -> None:
    """Run every task, the first in this thread; raise what a task raises.

    >>> done = []
    >>> run_all([lambda: done.append(1), lambda: done.append(2)])
    >>> sorted(done)
    [1, 2]
    """
    waiting: list[Future[None]] = []
    if len(tasks) > 1:
        if not _pools:
            _pools.append(ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="glmix"))
        waiting = [_pools[0].submit(task) for task in tasks[1:]]
    try:
        for task in tasks[:1]:
            task()
    finally:
        for future in waiting:
            future.result()


def shared_out(sizes: Sequence[int], shares: int) -> list[list[int]]:
    """Numbers ``0 … len(sizes)-1`` in at most ``shares`` lists of similar total size, the largest given out first.

    >>> shared_out([5, 1, 1, 3], 2)
    [[0], [1, 2, 3]]
    """
    lists: list[list[int]] = [[] for _ in range(min(shares, len(sizes)))]
    totals = [0] * len(lists)
    for item in sorted(range(len(sizes)), key=lambda item: (-sizes[item], item)):
        least = totals.index(min(totals))
        lists[least].append(item)
        totals[least] += sizes[item]
    return [sorted(items) for items in lists]


# Threads do not survive a fork, so the child starts its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)
