import pytest
from hypothesis import given
from hypothesis import strategies as st

from intertwine.errors import InputError
from intertwine.moments.blocks import joined


@given(st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=8), st.randoms())
def test_parts_of_a_whole_join_to_it_in_any_order(keys, random):
    """Neighbouring ranges join to one range a feature set, whatever the order they come in."""
    parts = [(key, 10 * k, 10 * (k + 1)) for key in "xy" for k in range(keys.count(key))]
    random.shuffle(parts)
    whole = []
    for part in parts:
        whole = joined(whole, [part])
    assert whole == [(key, 0, 10 * keys.count(key)) for key in "xy" if key in keys]


@pytest.mark.parametrize(
    ("first", "other", "shared"),
    [((0, 10), (9, 12), "9:10"), ((0, 10), (0, 10), "0:10"), ((5, 6), (0, 10), "5:6")],
    ids=["edge", "same", "inside"],
)
def test_a_row_in_both_is_refused(first, other, shared):
    """Rows that both hold are named; the same rows of another set are others."""
    with pytest.raises(InputError, match=f"rows {shared} of one feature set are in both"):
        joined([("x", *first)], [("x", *other)])
    assert joined([("x", *first)], [("y", *other)]) == [("x", *first), ("y", *other)]
