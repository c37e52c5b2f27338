"""Where pieces of work run: processes of this machine, a Dask cluster, or any executor."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from intertwine.errors import InputError
from intertwine.parallel.cluster import cluster_executor
from intertwine.parallel.processes import lasting_processes
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    Piece = TypeVar("Piece")
    Result = TypeVar("Result")

# Workers may die this often without a single piece being finished in between.
MAX_DEATHS = 3


class Workers:
    """Runs pieces of work over an executor; pieces of a worker that died are run again.

    Any `concurrent.futures.Executor` will do. Functions, pieces and results are pickled where its
    workers are other processes, which must see the same files. Twice as many pieces as the `count`
    of workers are handed out at a time. `reopen` replaces a broken executor; without it that is an
    error.

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
        self,
        function: Callable[[Piece], Result],
        pieces: Sequence[Piece],
        *,
        window: int | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """Run a function on every piece; yield (index, result) in the order in which they finish.

        At most `window` pieces, counted from the first that is not done, are begun: it bounds the
        results that must wait for a caller who uses them in order. InputError when workers die
        again and again, or a cluster's scheduler has ended; what the function raises is raised here.
        """
        left, deaths = deque(range(len(pieces))), 0
        running: dict[Future[Result], int] = {}
        try:
            while left or running:
                last = len(pieces)
                if window is not None:
                    last = min([*left, *running.values()]) + window
                broken = not self._hand_out(function, pieces, left, running, last)
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
                    self._replace_executor(deaths)
        finally:
            for future in running:
                future.cancel()

    def _hand_out(
        self,
        function: Callable[[Piece], Result],
        pieces: Sequence[Piece],
        left: deque[int],
        running: dict[Future[Result], int],
        last: int,
    ) -> bool:
        """Hand out enough pieces before the last; return whether the executor accepts them."""
        while left and len(running) < self.in_flight and left[0] < last:
            try:
                running[self.executor.submit(function, pieces[left[0]])] = left[0]
            except BrokenExecutor:
                return False
            left.popleft()
        return True

    def _replace_executor(self, deaths: int) -> None:
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
    except CancelledError as error:
        raise InputError(
            "work was cancelled before it was done: the scheduler has ended, or the executor was shut "
            "down; start it and run the same again"
        ) from error
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
    """Open a worker pool: local processes, a Dask cluster, or None.

    `workers` is a number of processes on this machine, which share its cores. `scheduler` is the
    address of a Dask scheduler, such as `tcp://host:8786`, or `local`: a cluster on this machine of
    `workers` processes, one a core when omitted. None is yielded when both are None.
    """
    if workers is not None and workers < 1:
        raise InputError(f"got {counted(workers, 'worker')}, expected at least 1")
    if scheduler is not None:
        with cluster_executor(workers, scheduler) as (executor, count):
            yield Workers(executor, count=count)
    elif workers is None:
        yield None
    else:
        with lasting_processes(workers) as open_pool:
            yield Workers(open_pool(), count=workers, reopen=open_pool)
