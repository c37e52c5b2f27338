"""Processes of this machine that share its cores and end with the process that opened them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from multiprocessing.connection import Connection


@contextmanager
def lasting_processes(count: int) -> Iterator[Callable[[], Executor]]:
    """Yield a function that opens an executor of `count` processes, again if the last one broke.

    All processes end with the context, however it ends. After an error, Ctrl-C or a kill of this
    process they end at once, in the middle of their work.
    """
    # Spawned: threads and their locks do not survive a fork.
    context = multiprocessing.get_context("spawn")
    lifeline, end = context.Pipe(duplex=False)
    opened: list[Executor] = []

    def open_pool() -> Executor:
        arguments = (lifeline, context.Value("i", 0), count)
        opened.append(ProcessPoolExecutor(count, context, initializer=_begin, initargs=arguments))
        return opened[-1]

    try:
        yield open_pool
    except BaseException:
        end.close()
        raise
    finally:
        for pool in opened:
            pool.shutdown(wait=True, cancel_futures=True)
        lifeline.close()
        end.close()


def _begin(lifeline: Connection, counter: Any, count: int) -> None:
    """Limit a new process to its share of the cores, and let Ctrl-C end it silently."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    with counter.get_lock():
        number = counter.value % count
        counter.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::count] or [cores[number % len(cores)]])


def _end_with(lifeline: Connection) -> None:
    """End this process once the pipe's other end is closed, even by a kill of its holder."""
    lifeline.poll(None)
    os._exit(1)
