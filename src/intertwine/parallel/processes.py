"""Processes of this machine, which share its cores and end with whoever opened them."""

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
    """Give what opens executors of processes, whose processes all end with the context.

    Whatever ends the context, a kill of this process too, ends them: where it is an error, Ctrl-C or
    a kill, at once, whatever they have in hand.

    Parameters
    ----------
    count
        Processes of an executor.

    Yields
    ------
    open_pool
        Opens one; again where the last one broke.
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
    """Give a new process its share of the cores, and let Ctrl-C end it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    with counter.get_lock():
        number = counter.value % count
        counter.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::count] or [cores[number % len(cores)]])


def _end_with(lifeline: Connection) -> None:
    """End this process once the pipe's other end is closed, be it by a kill of its holder."""
    lifeline.poll(None)
    os._exit(1)
