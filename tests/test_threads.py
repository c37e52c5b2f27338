"""Work side by side."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from intertwine.threads import available_cores, side_by_side


def test_results_come_in_the_order_of_the_items():
    """Results stand in the items' order, whichever finished first."""
    assert side_by_side(lambda x: x * x, range(20)) == [x * x for x in range(20)]


def test_blas_has_one_thread_inside_and_its_own_number_after():
    """While pieces run, BLAS uses one thread each; afterwards it is as it was."""
    np.ones((2, 2)) @ np.ones((2, 2))

    def blas_threads(_):
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = blas_threads(None)
    assert side_by_side(blas_threads, range(3)) == [{1}] * 3
    assert blas_threads(None) == before


def test_pieces_run_at_the_same_time():
    """As many pieces run at once as there are cores."""
    barrier = threading.Barrier(available_cores(), timeout=20)
    side_by_side(lambda _: barrier.wait(), range(available_cores()))


def test_an_error_in_a_piece_is_raised():
    """An error of any piece reaches the caller."""
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        side_by_side(lambda x: 1 / x, [1, 0])
