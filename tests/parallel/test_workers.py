import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait

import pytest
from tests.parallel.workers import cores, die, die_once, double, refuse, wait_for

from intertwine.errors import InputError
from intertwine.parallel.workers import Workers, open_workers


def test_any_executor_runs_every_piece():
    """Every piece is run once, over an executor of the user's own."""
    with ThreadPoolExecutor(3) as executor:
        found = list(Workers(executor).run(double, range(20)))
    assert sorted(found) == [(i, 2 * i) for i in range(20)]


def test_only_some_pieces_are_handed_out_at_a_time():
    """Results wait for whoever takes them: no more pieces are begun than may be in flight."""
    begun = []
    with ThreadPoolExecutor(2) as executor:
        results = Workers(executor, count=2).run(begun.append, range(50))
        next(results)
        assert len(begun) <= 4
        results.close()
    assert len(begun) <= 5


def test_a_window_bounds_what_waits_for_the_first(tmp_path):
    """While the first piece is not done, no piece beyond the window is begun."""
    pieces, go = [(i, str(tmp_path)) for i in range(20)], tmp_path / "go"
    with ThreadPoolExecutor(2) as executor, ThreadPoolExecutor(1) as other:
        results = Workers(executor, count=2).run(wait_for, pieces, window=6)
        try:
            found = {next(results) for _ in range(5)}
            sixth = other.submit(next, results)
            early = wait([sixth], timeout=0.2).done
            begun = len(list(tmp_path.glob("begun *")))
        finally:
            go.touch()  # or the executor would wait for the first piece for ever
        assert sixth.result() == (0, 0)
        assert sorted(results) == [(i, i) for i in range(6, 20)]
    assert found == {(i, i) for i in range(1, 6)}
    assert (early, begun) == (set(), 6)


class Gone(Executor):
    """An executor that cancels what it takes, as Dask's does once its scheduler is gone."""

    def submit(self, *_):
        """Return work that nobody will do."""
        future = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_cancelled_work_is_one_line():
    """Work that is cancelled before it is done ends in one clear line."""
    with pytest.raises(InputError, match="work was cancelled before it was done: the scheduler"):
        list(Workers(Gone()).run(double, range(3)))


def test_nothing_asked_for_is_no_workers():
    """Without workers and scheduler there is nothing to run over."""
    with open_workers(None, None) as workers:
        assert workers is None


@pytest.mark.slow
def test_processes_share_the_cores():
    """Processes of this machine run every piece, each on its share of the cores."""
    with open_workers(2, None) as workers:
        assert sorted(workers.run(double, range(5))) == [(i, 2 * i) for i in range(5)]
        share = max(1, len(os.sched_getaffinity(0)) // 2)
        assert all(count <= share + 1 for _, count in workers.run(cores, range(4)))


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path):
    """What a killed worker had in hand is done again, and every result comes once."""
    pieces = [(i, str(tmp_path)) for i in range(7)]
    with open_workers(2, None) as workers:
        found = sorted(workers.run(die_once, pieces))
    assert found == [(i, i) for i in range(7)]
    assert (tmp_path / "0.txt").read_text().count("run") >= 2


@pytest.mark.slow
def test_workers_that_always_die_are_given_up():
    """Work that kills every worker ends in one clear line."""
    with (
        open_workers(1, None) as workers,
        pytest.raises(InputError, match="workers died 4 times without finishing"),
    ):
        list(workers.run(die, range(2)))


@pytest.mark.slow
def test_an_error_comes_back_as_it_is():
    """What a piece raises reaches the caller, and the workers go on afterwards."""
    with open_workers(2, None) as workers:
        with pytest.raises(InputError, match="got 3, expected another"):
            list(workers.run(refuse, range(6)))
        assert list(workers.run(double, [4])) == [(0, 8)]


@pytest.mark.parametrize(
    ("workers", "scheduler", "message"),
    [
        (0, None, "got 0 workers, expected at least 1"),
        (2, "tcp://127.0.0.1:9", "leave --workers out"),
        (None, "nonsense://x", "got scheduler nonsense://x, which does not answer"),
    ],
    ids=["none", "both", "nonsense"],
)
def test_what_cannot_be_opened_is_refused(workers, scheduler, message):
    """A number below one, both kinds at once, and a scheduler that does not answer: one line."""
    with pytest.raises(InputError, match=message), open_workers(workers, scheduler):
        pass
