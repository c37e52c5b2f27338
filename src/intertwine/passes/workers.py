"""Where pieces of work run: processes of this machine, a Dask cluster, or any executor."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    Piece = TypeVar("Piece")
    Result = TypeVar("Result")

# Workers may die this often without a single piece being finished in between.
MAX_DEATHS = 3
# Seconds to wait for a scheduler to answer.
CONNECT_SECONDS = 10


class Workers:
    """Runs pieces of work over an executor; what a worker that died had in hand is done again.

    Parameters
    ----------
    executor
        Any `concurrent.futures.Executor`. Functions, pieces and results are pickled where its
        workers are other processes, and they see the same files.
    count
        How many workers there are; twice as many pieces are handed out at a time.
    reopen
        Makes an executor in place of one that broke; without it a broken one is an error.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     dict(Workers(executor).run(abs, [-3, 4]))
    {0: 3, 1: 4}
    """

    def __init__(
        self,
        executor: Executor,
        *,
        count: int = 2,
        reopen: Callable[[], Executor] | None = None,
    ) -> None:
        self.executor, self.count, self._reopen = executor, count, reopen
        # One piece waits for each that is worked on.
        self.in_flight = 2 * count

    def run(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece]
    ) -> Iterator[tuple[int, Result]]:
        """Run a function on every piece.

        Parameters
        ----------
        function, pieces
            What to do, and to what.

        Yields
        ------
        index, result
            The piece's number and its result, in the order in which they come.

        Raises
        ------
        InputError
            When workers die again and again.
        Exception
            What the function raises.
        """
        left, deaths = deque(range(len(pieces))), 0
        running: dict[Future[Result], int] = {}
        try:
            while left or running:
                broken = not self._hand_out(function, pieces, left, running)
                done = running if broken else wait(running, return_when=FIRST_COMPLETED).done
                for future in list(done):
                    index = running.pop(future)
                    try:
                        result = _result(future)
                    except BrokenExecutor:
                        left.appendleft(index)
                        broken = True
                    else:
                        deaths = 0
                        yield index, result
                if broken and not running:
                    deaths += 1
                    self._open_anew(deaths)
        finally:
            for future in running:
                future.cancel()

    def _hand_out(
        self,
        function: Callable[[Piece], Result],
        pieces: Sequence[Piece],
        left: deque[int],
        running: dict[Future[Result], int],
    ) -> bool:
        """Hand pieces out until enough are; return whether the executor still takes them."""
        while left and len(running) < self.in_flight:
            try:
                running[self.executor.submit(function, pieces[left[0]])] = left[0]
            except BrokenExecutor:
                return False
            left.popleft()
        return True

    def _open_anew(self, deaths: int) -> None:
        if self._reopen is None or deaths > MAX_DEATHS:
            raise InputError(
                f"workers died {deaths} times without finishing a piece of work; they may have run "
                "out of memory: use fewer of them"
            )
        self.executor = self._reopen()


def _result(future: Future[Result]) -> Result:
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:
        # Dask's own name for a piece whose workers died again and again; Dask may not be installed.
        if type(error).__name__ == "KilledWorker":
            raise InputError(
                "workers of the cluster died again and again over one piece of work; they may have "
                "run out of memory: give them more"
            ) from error
        raise


@contextmanager
def open_workers(workers: int | None, scheduler: str | None) -> Iterator[Workers | None]:
    """Give what was asked for: processes, a cluster, or None where nothing was.

    Parameters
    ----------
    workers
        Number of processes on this machine; they share its cores.
    scheduler
        Address of a Dask scheduler, such as `tcp://host:8786`, or `local`: a cluster on this
        machine of `workers` processes, one a core when omitted.

    Raises
    ------
    InputError
        For fewer than one worker, workers together with an address, and a scheduler that does not
        answer.
    MissingExtraError
        Where Dask is needed and not installed.
    """
    if workers is not None and workers < 1:
        raise InputError(f"got {workers} workers, expected at least 1")
    if scheduler is not None:
        with _dask(workers, scheduler) as pool:
            yield pool
    elif workers is None:
        yield None
    else:
        with _processes(workers) as pool:
            yield pool


@contextmanager
def _processes(count: int) -> Iterator[Workers]:
    def open_pool() -> Executor:
        # Spawned: threads and their locks do not survive a fork.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            count, context, initializer=_begin, initargs=(context.Value("i", 0), count)
        )

    pool = Workers(open_pool(), count=count, reopen=open_pool)
    try:
        yield pool
    finally:
        pool.executor.shutdown(wait=True, cancel_futures=True)


def _begin(counter: Any, count: int) -> None:
    """Give a new worker its share of the cores, and let Ctrl-C end it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with counter.get_lock():
        number = counter.value % count
        counter.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::count] or [cores[number % len(cores)]])


@contextmanager
def _dask(workers: int | None, scheduler: str) -> Iterator[Workers]:
    distributed = import_extra("distributed", "cluster")
    if scheduler != "local" and workers is not None:
        raise InputError(
            f"got {workers} workers and scheduler {scheduler}, whose cluster has its own; leave "
            "--workers out"
        )
    if scheduler == "local":
        count = workers or available_cores()
        cluster = distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=None
        )
        with cluster, distributed.Client(cluster) as client:
            yield Workers(client.get_executor(), count=count)
        return
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"got scheduler {scheduler}, which does not answer ({error})") from error
    with client:
        count = max(1, len(client.scheduler_info()["workers"]))
        yield Workers(client.get_executor(), count=count)
