"""A Dask cluster: a running one, or one started on this machine."""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.parallel.threads import available_cores
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

# Seconds to wait for a scheduler to answer.
CONNECT_SECONDS = 10


@contextmanager
def cluster_executor(workers: int | None, scheduler: str) -> Iterator[tuple[Executor, int]]:
    """Yield an executor over a cluster, and the number of its workers.

    The arguments are those of `intertwine.parallel.workers.open_workers`.
    """
    distributed = import_extra("distributed", "cluster")
    if scheduler != "local" and workers is not None:
        raise InputError(
            f"got {counted(workers, 'worker')} and scheduler {scheduler}, whose cluster has its own; leave "
            "--workers out"
        )
    with _quiet():
        if scheduler == "local":
            count = workers or available_cores()
            with _without_ctrl_c():
                cluster = distributed.LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            with cluster, distributed.Client(cluster) as client:
                yield client.get_executor(), count
            return
        try:
            client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"got scheduler {scheduler}, which does not answer ({one_line(error)})"
            ) from error
        with client:
            yield client.get_executor(), max(1, len(client.scheduler_info()["workers"]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging tracebacks of what is raised as one error anyway."""
    # Dask sets a separate level for the second.
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C while processes and threads start, so that they never receive it.

    A terminal sends it to all of them; only this process should respond, and it ends the others.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started later, it would unblock Ctrl-C.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
