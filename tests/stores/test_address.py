"""Addresses of stores, what they may show, and marks."""

from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store
from intertwine.stores.address import Address
from intertwine.stores.masking import HIDDEN, hidden
from intertwine.stores.store import common_metric

MARK = MigrationRecord("ab" * 32, Space("old", 3, "f" * 64), Space("new", 5))


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


HUNTED = "hUnTeR2x"


@pytest.mark.parametrize(
    "text",
    [
        "pgvector:u:{s}@localhost/d?table=t&column=c",
        "pgvector:/u:{s}@localhost/d?table=t&column=c",
        "pgvector:u:a/{s}@localhost/d?table=t&column=c",
        "pgvector:host={s}@localhost",
        "pgvector://u:a@{s}@localhost/d?table=t&column=c",
        "pgvector://u:a@b@{s}@localhost/d?table=t&column=c",
        "pgvector://u:{s}/x@localhost/d?table=t&column=c",
        "pgvector://u:12/{s}@localhost/d?table=t&column=c",
        "pgvector://u:12?{s}@localhost/d?table=t&column=c",
        "pgvector://u:12?w={s}@localhost/d?table=t&column=c",
        "pgvector://u:12#{s}@localhost/d?table=t&column=c",
        "pgvector://u:{s}#x@localhost/d?table=t&column=c",
        "pgvector://u@localhost/d?table=t&column=c&password=1#{s}",
        "pgvector://u@localhost/d?table=t&column=c&password=1&{s}=2",
        "qdrant://localhost:6333/items?api_key=1#{s}",
        "pgvector://u:{s}%x@localhost/d?table=t&column=c",
        "pgvector://u:{s}%@localhost/d?table=t&column=c",
        "pgvector://u:{s}%00@localhost/d?table=t&column=c",
        "pgvector://u:[{s}@localhost/d?table=t&column=c",
        "pgvector://u:x\n{s}@localhost/d?table=t&column=c",
        "pgvector://u:{s}\x1b@localhost/d?table=t&column=c",
        "pgvector://u:{s}@localhost:x/d?table=t&column=c",
        "postgresql://u:{s}@localhost/d?table=t&column=c",
        "postgres://u:{s}@localhost/d?table=t&column=c",
        "u:{s}@localhost/d?table=t&column=c",
        "//u:{s}@localhost/d",
        "u%3A{s}@localhost:5432/d",
        "{s}@localhost:5432/d",
        "{s}@localhost:5432/d?x",
        "pgvector:////u:{s}@localhost/d?table=t&column=c",
        "pgvector:///u:{s}@localhost/d?table=t&column=c",
        "pgvector://u:{s}%40localhost/d?table=t&column=c",
        "pgvector://u:{s};localhost/d?table=t&column=c",
        " pgvector://u:{s}@localhost/d?table=t&column=c",
        "qdrant://u:{s}@localhost:6333/items",
        "qdrant://{s}@localhost:6333/items",
        "qdrant://u:12/{s}@localhost:6333/items",
        "qdrant://localhost:6333/items?{s}@x",
        "qdrant:u:{s}@localhost:6333/items#items",
        "lancedb:s3://key:{s}@bucket/folder#t",
        "lancedb:s3://{s}@bucket/folder#t",
        "lancedb:s3://key:1/{s}@bucket/folder#t",
        "lancedb:s3://key:1#{s}@bucket/folder#t",
        "lancedb:db://u:{s}@host#t",
        "lancedb:u:{s}@host/folder#t",
        "faiss:s3://key:{s}@bucket/x.index",
        "parquet:https://u:{s}@host/x.parquet#v",
        "npy:u:{s}@host/x.npy",
        "npy:u:{s}@" + 5000 * "x",
        "npy:u:{s}@\0",
    ],
)
def test_an_address_that_may_be_read_in_two_ways_shows_nothing_of_its_password(text):
    """It is refused in one line before any library sees it, as a source and as a target."""
    with pytest.raises(InputError, match="got ") as caught:
        open_store(text.format(s=HUNTED))
    assert HUNTED.lower() not in str(caught.value).lower()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://h/d?table=t", "write pgvector:// in place of postgresql://"),
        ("postgres://h/d?table=t", "write pgvector:// in place of postgres://"),
        ("pgvector:h/d", "without //, expected pgvector://HOST"),
        ("pgvector://u:a@b@h/d", "%40 %2F %3F %23 %25"),
        ("faiss:x?metric=l2&metric=ip", "got option 'metric' twice"),
    ],
)
def test_a_refused_address_says_what_to_write(text, message):
    """The line holds what helps."""
    with pytest.raises(InputError, match=message):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("pgvector://u:p%40%2F%3F%23%25%5B@[::1]:5432/d?table=t&column=c", None),
        ("pgvector://u:p&w:=+$@h/d?table=a@b&column=c@d&password=x@y", None),
        ("pgvector:///d?host=/tmp&user=me@tenant&table=t", "///d"),
        ("lancedb:abfss://container@account.dfs.core.windows.net/x#t@u", None),
        ("lancedb:s3://bucket/x#t@u", "s3://bucket/x"),
        ("lancedb:s3://bucket/me@home/x#t", "s3://bucket/me@home/x"),
        ("npy:./a:b@c.npy", "./a:b@c.npy"),
        ("npy:~nobody-of-this-name/x.npy", "~nobody-of-this-name/x.npy"),
        ("npy:/data/a:b@c.npy", "/data/a:b@c.npy"),
        ("parquet:mail@home.parquet#v", "mail@home.parquet"),
        ("qdrant://h:6333/docs%40v2", "//h:6333/docs%40v2"),
    ],
)
def test_addresses_with_an_at_where_it_may_stand_are_read(text, place):
    """What can be read in one way only is."""
    found = Address.parse(text)
    assert place is None or found.place == place
    assert "p%40" not in found.shown
    assert "p&w" not in found.shown


def test_secrets_are_masked_as_typed_meant_encoded_and_escaped(monkeypatch):
    """Also those of the environment, of settings and of addresses within options."""
    monkeypatch.setenv("SOME_API_TOKEN", "environment-secret")
    found = Address.parse(
        "pgvector://me:a%2Fb%20%22c@h/d?sslpassword=s1%2Bs&passfile=/etc/pf&"
        "options=-c%20app.token%3Dtok99&service=postgresql://x:inner7%40h/d&api_key=k3y%3F"
    )
    text = (
        'a/b "c|a%2Fb%20%22c|a%2Fb+%22c|s1+s|s1%2Bs|/etc/pf|tok99|inner7|k3y?|k3y%3F|'
        "environment-secret|environment-secret".replace("|", " | ")
    )
    assert set(hidden(text, found.secrets).split()) <= {HIDDEN, "|"}


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("pgvector.wire", OSError),
        ("qdrant.collection", ValueError),
        ("lancedb.arrow", RuntimeError),
    ],
)
def test_no_librarys_words_bring_a_secret_or_a_command_of_a_terminal(module, error, monkeypatch):
    """Whatever it says goes out without what the environment and the address keep secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "cloud/secret+1")
    one_line = import_module(f"intertwine.stores.{module}").one_line
    given = [] if module == "lancedb.arrow" else [("own%20pass",)]
    with pytest.raises(InputError) as caught, one_line(*given):
        raise error("bad \x1b[31m cloud/secret+1, cloud%2Fsecret%2B1, own%20pass or own pass")
    said = str(caught.value)
    assert said.isprintable()
    assert "secret" not in said
    assert not given or "own" not in said


def test_a_name_steers_no_terminal():
    """The end of a line and escape codes in a name are written out."""
    assert Address.parse("npy:a\nb\x1b[2J").shown == "npy:a\\nb\\x1b[2J"


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
    assert MigrationRecord.from_text(mark.to_text()) == mark


@given(st.text())
def test_any_other_text_is_no_mark(text):
    """A comment of somebody's, or a mark that was cut, is not taken for ours."""
    assert MigrationRecord.from_text(text) is None
    assert MigrationRecord.from_text("intertwine " + text) is None
    assert MigrationRecord.from_text(MARK.to_text()[:-1]) is None
