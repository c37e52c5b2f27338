"""Threads on the cores of one machine: a parallel map, and reading ahead."""

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
    """Return `function` of every item, in order, with one thread a core and one BLAS thread each.

    Independent pieces with one BLAS thread each use the cores better than one piece with many: BLAS
    threads wait for each other at every step, and wait badly when the machine has other work. The
    results also do not depend on how many cores there are. The function must spend its time in
    NumPy, which lets other threads run.
    """
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(function, items))


def one_by_one(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return `function` of every item, in order, on this thread, with one thread of NumPy's BLAS.

    The results are those of `parallel_map`, bit for bit, without the cost of starting threads.
    """
    with _at_first().limit(limits=1, user_api="blas"):
        return list(map(function, items))


@cache
def _at_first() -> ThreadpoolController:
    """Return the libraries with threads, NumPy's among them, as they are at the first call.

    Finding them costs more than a small piece of work.
    """
    return ThreadpoolController()


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items in order while a thread already makes the next one.

    Reading then goes on during arithmetic. At most three items are in memory: the last one yielded,
    the next, and the one being made. An error is raised at the item that caused it.
    """
    iterator, end = iter(items), object()

    def following() -> Item | object:
        return next(iterator, end)

    with ThreadPoolExecutor(1) as thread:
        coming: Future[Item | object] = thread.submit(following)
        while (item := coming.result()) is not end:
            coming = thread.submit(following)
            yield item  # type: ignore[misc] # it is not the end
