"""A Dask cluster: one that runs, or one started on this machine."""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.parallel.threads import available_cores
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

# Seconds to wait for a scheduler to answer.
CONNECT_SECONDS = 10


@contextmanager
def cluster_executor(workers: int | None, scheduler: str) -> Iterator[tuple[Executor, int]]:
    """Give an executor over a cluster, and the number of its workers.

    Parameters
    ----------
    workers, scheduler
        As for `intertwine.parallel.workers.open_workers`.

    Raises
    ------
    InputError
        For workers together with an address, and a scheduler that does not answer.
    MissingExtraError
        Where Dask is not installed.
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
                f"got scheduler {scheduler}, which does not answer ({error})"
            ) from error
        with client:
            yield client.get_executor(), max(1, len(client.scheduler_info()["workers"]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging tracebacks of what comes back as one error anyway."""
    # Dask gives the second a level of its own.
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
    """Hold Ctrl-C back while processes and threads start, which never see it then.

    A terminal sends it to all of them; this process alone shall answer, and it ends the others.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Its start would let Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
