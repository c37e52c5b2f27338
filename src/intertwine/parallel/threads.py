"""Work side by side on the cores of one machine."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from threadpoolctl import ThreadpoolController, threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return `function` of every item, in order, one thread a core and one BLAS thread each.

    Independent pieces with one BLAS thread each use the cores better than one piece with many: BLAS
    threads wait for each other at every step, and wait badly when the machine has other work. A
    result also does not depend on how many cores there are.

    Parameters
    ----------
    function
        What to do; it spends its time in NumPy, which lets other threads run.
    items
        Its arguments.

    Returns
    -------
    results
        In the order of the items.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(function, items))


def one_by_one(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return `function` of every item, in order, here, with one thread of NumPy's BLAS.

    The same results as `parallel_map`, bit for bit, without what threads cost to start.
    """
    with _at_first().limit(limits=1, user_api="blas"):
        return list(map(function, items))


@cache
def _at_first() -> ThreadpoolController:
    """Return the libraries that have threads when this is first asked for, NumPy's among them.

    Finding them costs more than a small piece of work.
    """
    return ThreadpoolController()


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Give items one after another while a thread already makes the next one.

    Reading then goes on beside arithmetic. Memory holds three items at most: the one in hand, the
    next, and the one being made.

    Parameters
    ----------
    items
        What to go through; an error that it raises comes when its item's turn comes.

    Yields
    ------
    item
        In order.
    """
    iterator, end = iter(items), object()

    def following() -> Item | object:
        return next(iterator, end)

    with ThreadPoolExecutor(1) as thread:
        coming: Future[Item | object] = thread.submit(following)
        while (item := coming.result()) is not end:
            coming = thread.submit(following)
            yield item  # type: ignore[misc] # it is not the end
