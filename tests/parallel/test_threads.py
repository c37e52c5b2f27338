"""Work side by side."""

import threading
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from intertwine.parallel.threads import available_cores, one_by_one, parallel_map, prefetch


def test_results_come_in_the_order_of_the_items():
    """Results stand in the items' order, whichever finished first."""
    assert parallel_map(lambda x: x * x, range(20)) == [x * x for x in range(20)]


@pytest.mark.parametrize("each", [parallel_map, one_by_one])
def test_blas_has_one_thread_inside_and_its_own_number_after(each):
    """While pieces run, NumPy's BLAS uses one thread each; afterwards it is as it was."""

    def blas_threads(_=None):
        # Others may be in this process; those on OpenMP count for each thread apart.
        own = [lib for lib in threadpool_info() if "numpy.libs" in Path(lib["filepath"]).parts]
        return {lib["num_threads"] for lib in own if lib["user_api"] == "blas"}

    if not blas_threads():
        pytest.skip("NumPy is linked against a BLAS of the system's here")
    with threadpool_limits(2, user_api="blas"):
        assert each(blas_threads, range(3)) == [{1}] * 3
        assert blas_threads() == {2}


def test_pieces_run_at_the_same_time():
    """As many pieces run at once as there are cores."""
    barrier = threading.Barrier(available_cores(), timeout=20)
    parallel_map(lambda _: barrier.wait(), range(available_cores()))


def test_an_error_in_a_piece_is_raised():
    """An error of any piece reaches the caller."""
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        parallel_map(lambda x: 1 / x, [1, 0])


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_items_made_ahead_come_in_order(count):
    """Items made on another thread come in their order, every one once."""
    assert list(prefetch(iter(range(count)))) == list(range(count))


def test_the_next_item_is_made_while_one_is_in_hand():
    """While the first item is in hand the second is made already."""
    made = threading.Event()

    def items():
        yield 0
        made.set()
        yield 1

    coming = prefetch(items())
    assert next(coming) == 0
    assert made.wait(timeout=20)
    assert list(coming) == [1]


def test_an_error_comes_in_its_turn():
    """Items before an error are given; the error reaches whoever asks for the next."""
    coming = prefetch(1 / x for x in (1, 0))
    assert next(coming) == 1
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        next(coming)


def test_what_is_made_ahead_may_be_left():
    """Whoever stops early leaves no thread behind."""
    before = threading.active_count()
    coming = prefetch(iter(range(100)))
    assert next(coming) == 0
    coming.close()
    assert threading.active_count() == before
