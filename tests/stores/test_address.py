"""Addresses of stores, what they may show, and marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import Mark, open_store
from intertwine.stores.address import Address
from intertwine.stores.store import common_metric

MARK = Mark("ab" * 32, Space("old", 3, "f" * 64), Space("new", 5))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lancedb:some/folder?id=key#table", ("lancedb", "some/folder", {"id": "key"}, "table")),
        (
            "pgvector://h/d?table=a%20b&column=c",
            ("pgvector", "//h/d", {"table": "a b", "column": "c"}, ""),
        ),
        ("parquet:x/*.parquet#v%23w", ("parquet", "x/*.parquet", {}, "v#w")),
        ("faiss:/a/b.index", ("faiss", "/a/b.index", {}, "")),
    ],
)
def test_an_address_has_four_parts(text, parts):
    """Scheme, place, options and part, with % codes read where they may stand."""
    found = Address.parse(text)
    assert (found.scheme, found.place, found.options, found.part) == parts


@pytest.mark.parametrize(
    "text", ["", "nothing", "faiss:", ":x", "qdrant:x?y", "pgvector://h:x/d?table=t"]
)
def test_what_is_no_address_is_one_line(text):
    """It says what an address looks like."""
    with pytest.raises(InputError, match="got a ") as caught:
        _ = open_store(text).name if "h:x" not in text else Address.parse(text).shown
    assert "\n" not in str(caught.value)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8))
def test_a_password_is_among_the_secrets_and_never_shown(password):
    """Neither as typed nor as meant, wherever it stands."""
    secret = f"pw{password}%40"
    found = Address.parse(f"pgvector://me:{secret}@host/db?password=other{password}")
    assert secret not in found.shown
    assert {secret, f"pw{password}@", f"other{password}"} <= set(found.secrets)


def test_unknown_options_and_missing_ones_are_named():
    """A slip of the pen is told from what is left out."""
    found = Address.parse("lancedb:x?vectr=v#t")
    with pytest.raises(InputError, match="got option 'vectr', expected vector, id"):
        found.only("vector", "id")
    with pytest.raises(InputError, match="has no table; add table="):
        found.take("table")
    assert found.take("table", "t") == "t"


def test_a_target_is_of_the_sources_kind():
    """Another kind of store is refused."""
    with pytest.raises(InputError, match="got a target of kind faiss, expected lancedb"):
        Address.parse("lancedb:x#t").beside("faiss:y")
    assert Address.parse("lancedb:x#t").beside("lancedb:x#u").part == "u"


def test_a_target_goes_by_the_sources_metric():
    """What is asked for must be the source's, where both are known."""
    assert common_metric(None, "ip", "x") == common_metric("ip", None, "x") == "ip"
    with pytest.raises(InputError, match="got metric l2 for the target and ip"):
        common_metric("l2", "ip", "x")


@pytest.mark.parametrize("kept", [None, "old name"])
def test_a_mark_comes_back_from_its_text(kept):
    """Whole, before and after a switch."""
    mark = MARK.switched(kept)
    assert Mark.from_text(mark.to_text()) == mark


@given(st.text())
def test_any_other_text_is_no_mark(text):
    """A comment of somebody's, or a mark that was cut, is not taken for ours."""
    assert Mark.from_text(text) is None
    assert Mark.from_text("intertwine " + text) is None
    assert Mark.from_text(MARK.to_text()[:-1]) is None
