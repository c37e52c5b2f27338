"""Parquet, Arrow and `.npy` files as stores, and migrations of them."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.stores.rows.file_migration import MARK, NEW, OLD, begin, convert, mapped, migrate
from tests.vectors_data import load_table, load_vectors, save_vectors

from intertwine.errors import FileFormatError, InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.rows import switch as file_switch
from intertwine.vectors.tables import TableVectors

N = 1000
ROWS = np.random.default_rng(0).standard_normal((N, OLD)).astype(np.float32)
SUFFIXES = {"parquet": ".parquet", "arrow": ".arrow", "npy": ".npy"}
CUTS = (0, 300, 310, N)


@pytest.fixture(params=SUFFIXES)
def scheme(request):
    """Return each scheme of files."""
    return request.param


@pytest.fixture
def one(tmp_path, scheme):
    """Return the address of one file."""
    return f"{scheme}:{save_vectors(tmp_path / f'items{SUFFIXES[scheme]}', ROWS)}"


def save_many(folder, *, suffix=".parquet", rows=ROWS):
    """Write rows as three files, one of them in a folder of its own, whose names are in order."""
    names = ["a/part-0", "part-1", "part-2"]
    for name, start, stop in zip(names, CUTS, CUTS[1:], strict=False):
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_vectors(path, rows[start:stop])
    return [folder / f"{name}{suffix}" for name in names]


@pytest.fixture
def many(tmp_path):
    """Return the address of three files."""
    save_many(tmp_path / "data")
    return f"parquet:{tmp_path / 'data'}#vector"


def hidden(folder):
    """Return names of hidden files in a folder and below."""
    return sorted(path.name for path in folder.rglob("*") if path.name.startswith("."))


def stem(address):
    """Return the path in an address."""
    return Path(address.partition(":")[2].partition("#")[0])


def test_many_files_are_one_store(many):
    """Rows are numbered through all files; batches begin behind any id."""
    store = open_store(many)
    assert (store.count(), store.sizes) == (N, [300, 10, 690])
    for after in (None, 0, 299, 305, N - 2, N - 1):
        first = 0 if after is None else after + 1
        batches = list(store.batches(100, after))
        assert [item for batch in batches for item in batch.ids] == list(range(first, N))
        for batch in batches:
            np.testing.assert_array_equal(batch.vectors, ROWS[batch.ids])


def test_a_pattern_means_the_files_that_it_matches(many):
    """A pattern, absolute, gives files in the order of their names, without what a switch kept."""
    folder = stem(many)
    (folder / ".part-1.parquet.before-switch").write_bytes(b"old")
    store = open_store(f"parquet:{folder}/part-*#vector")
    assert [path.name for path in store.paths] == ["part-1.parquet", "part-2.parquet"]
    assert open_store(f"parquet:{folder}/**/*.parquet").count() == N


def test_read_gives_rows_in_any_order_and_nan_where_there_is_none(many, one):
    """Ids may repeat, come in any order, and be absent."""
    ids = [999, 3, 3, -1, 305, N, 298, 0]
    for address in (many, one):
        found = open_store(address).read(ids)
        there = [i for i, item in enumerate(ids) if 0 <= item < N]
        np.testing.assert_array_equal(found[there], ROWS[[ids[i] for i in there]])
        assert np.isnan(found[[3, 5]]).all()
    assert open_store(one).read([]).shape == (0, OLD)


def test_a_sample_is_the_same_each_time_and_from_all_over(many):
    """As many rows as asked for, each once, from the beginning and from near the end."""
    store = open_store(many)
    batch = store.sample(200)
    assert len(set(batch.ids)) == 200
    assert batch.ids == open_store(many).sample(200).ids
    assert min(batch.ids) == 0
    assert max(batch.ids) > 0.9 * N
    np.testing.assert_array_equal(batch.vectors, ROWS[batch.ids])
    assert store.sample(5 * N).ids == list(range(N))
    assert len(store.sample(3).ids) == 3


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2", None])
def test_search_is_exact(many, metric, monkeypatch):
    """Blocks find what all scores at once find."""
    monkeypatch.setattr("intertwine.stores.files.store.BLOCK_SCORES", 500)
    store = open_store(many.replace("#", f"?metric={metric}#") if metric else many)
    assert store.metric == metric
    queries = np.random.default_rng(1).standard_normal((7, OLD)).astype(np.float32)
    exact = ROWS.astype(float)
    scores = queries.astype(float) @ exact.T
    if metric == "l2":
        scores = -np.linalg.norm(queries[:, None] - exact, axis=2)
    elif metric != "ip":
        scores /= np.linalg.norm(exact, axis=1)
    assert store.search(queries, 5) == np.argsort(-scores, axis=1)[:, :5].tolist()
    assert len(store.search(queries[:1], 2 * N)[0]) == N


def test_equal_rows_are_found_in_their_order(tmp_path):
    """Of rows that are alike the first come first, whatever block they are in."""
    np.save(tmp_path / "same.npy", np.ones((5000, 2), np.float32))
    assert open_store(f"npy:{tmp_path / 'same.npy'}").search(np.ones((1, 2)), 4) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npy"])
def test_a_migration_maps_vectors_and_leaves_the_rest(tmp_path, suffix, dtype, fixed):
    """Rows are what the map makes; types, metadata and every other column are the source's."""
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    save_vectors(path, ROWS.astype(dtype), fixed=fixed)
    if suffix == ".parquet":
        table = pq.read_table(path).replace_schema_metadata({"note": "kept"})
        pq.write_table(table, path, row_group_size=70)
    source, target = (f"{suffix[1:]}:{each}" for each in (path, out))
    assert migrate(source, target) == N
    expected = mapped(ROWS.astype(dtype)).astype(dtype)
    # The map is float32, and BLAS may sum the rows of another block in another order.
    rounding = 8 * max(float(np.finfo(each).eps) for each in (dtype, np.float32))
    if suffix == ".npy":
        written = np.load(out)
        assert written.dtype == dtype
        np.testing.assert_allclose(written, expected, rtol=rounding, atol=rounding)
    else:
        before, after = load_table(path), load_table(out)
        assert after.drop("vector") == before.drop("vector")
        assert after.schema.metadata == before.schema.metadata
        kinds = [table.schema.field("vector").type for table in (before, after)]
        assert kinds[1] == (pa.list_(kinds[0].value_field, NEW) if fixed else kinds[0])
        vectors = np.array(after.column("vector").to_pylist(), dtype)
        np.testing.assert_allclose(vectors, expected, rtol=rounding, atol=rounding)
    assert hidden(tmp_path) == [f".out{suffix}.intertwine.json"]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4"])
def test_other_columns_are_compressed_as_they_were(tmp_path, codec):
    """Nested ones too; vectors, which do not shrink, are not."""
    path = save_vectors(tmp_path / "in.parquet", ROWS)
    pq.write_table(pq.read_table(path), path, compression=codec)
    migrate(f"parquet:{path}", f"parquet:{tmp_path / 'out.parquet'}")
    groups = [pq.read_metadata(tmp_path / f"{name}.parquet").row_group(0) for name in ("in", "out")]
    seen = [{g.column(c).path_in_schema: g.column(c).compression for c in range(3)} for g in groups]
    assert seen[1] == {**seen[0], "vector.list.element": "UNCOMPRESSED"}
    assert load_table(tmp_path / "out.parquet").drop("vector") == load_table(path).drop("vector")


def test_a_finished_target_is_a_store(many, tmp_path):
    """It counts, reads, samples, searches and gives batches, and opens by its own address."""
    text = f"parquet:{tmp_path / 'new'}/#vector"
    assert migrate(many, text) == N
    assert migrate(many, text) == 0
    _, target = begin(many, text)
    assert list(target.pending(100)) == []
    assert target.finish() == []
    stores = [target, open_store(text)]
    new = mapped(ROWS)
    for store in stores:
        assert (store.count(), store.dim, store.mark()) == (N, NEW, MARK)
        np.testing.assert_allclose(store.read(range(N)), new, rtol=1e-6, atol=1e-6)
        assert [row[0] for row in store.search(new[:20], 2)] == list(range(20))
        assert store.sample(50).ids == open_store(many).sample(50).ids
        assert [i for batch in store.batches(90, 10) for i in batch.ids] == list(range(11, N))
    assert [path.name for path in stores[1].paths] == [f"part-{i}.parquet" for i in range(3)]
    again = open_target(target.whole(), f"parquet:{tmp_path / 'third'}", MARK)
    assert again.source.dim == NEW


def test_an_interrupted_migration_goes_on(many, tmp_path):
    """New objects write what is missing, and only that; files come as soon as they are whole."""
    text = f"parquet:{tmp_path / 'new'}#vector"
    assert migrate(many, text, size=50, most=2) == 100
    _, target = begin(many, text)
    assert target.count() == 100
    with pytest.raises(InputError, match="not finished"):
        target.read([1])
    with pytest.raises(InputError, match="200 rows are not converted yet"):
        target.finish()
    target.close()
    assert migrate(many, text, size=100, most=3) == 210
    assert (tmp_path / "new/a/part-0.parquet").exists()
    assert migrate(many, text, size=64) == N - 310
    np.testing.assert_allclose(open_store(text).read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)


def test_rows_that_are_here_are_not_written_over(one, tmp_path, scheme):
    """A batch that is written twice counts once, and its first vectors stay."""
    store, target = begin(one, f"{scheme}:{tmp_path / 'new'}{SUFFIXES[scheme]}")
    batch = next(iter(store.batches(100)))
    assert target.write(batch, mapped(batch.vectors)) == 100
    assert target.write(batch, np.zeros((100, NEW), np.float32)) == 0
    target.close()
    migrate(one, target.name)
    np.testing.assert_allclose(
        open_store(target.name).read([5]), mapped(ROWS[5:6]), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("moment", ["_make", "note"])
def test_killed_while_a_file_is_made_it_is_made_again(one, tmp_path, scheme, moment, monkeypatch):
    """Rows that are all there make the file, whether or not it had its name already."""
    text = f"{scheme}:{tmp_path / 'new'}{SUFFIXES[scheme]}"
    _, target = begin(one, text)
    step = getattr(type(target), moment)

    def fail(target, *given):
        if moment == "_make" or target._facts:
            raise KeyboardInterrupt
        step(target, *given)

    with monkeypatch.context() as patch:
        patch.setattr(type(target), moment, fail)
        with pytest.raises(KeyboardInterrupt):
            migrate(one, text)
    assert migrate(one, text) == 0
    np.testing.assert_allclose(open_store(text).read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)


def test_what_goes_wrong_in_making_a_file_is_told_while_rows_come(tmp_path, monkeypatch):
    """A disk that is full for the file stops the migration; rows so far are kept."""
    path = save_vectors(tmp_path / "in.parquet", ROWS)
    source, text = f"parquet:{path}", f"parquet:{tmp_path / 'out.parquet'}"

    def fail(*_):
        raise InputError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("intertwine.stores.files.target.write_like", fail)
        with pytest.raises(InputError, match="no room"):
            migrate(source, text)
    assert migrate(source, text) < N
    np.testing.assert_allclose(open_store(text).read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)


def test_a_source_that_changed_is_converted_anew(many, tmp_path):
    """Before the switch a changed file is found out, and only it is converted again."""
    text = f"parquet:{tmp_path / 'new'}#vector"
    migrate(many, text)
    save_vectors(stem(many) / "part-1.parquet", ROWS[:10])
    _, target = begin(many, text)
    with pytest.raises(
        InputError, match=r"part-1.parquet is not finished, or the source has changed"
    ):
        target.switch(convert)
    assert migrate(many, text) == 10
    np.testing.assert_allclose(open_store(text).read([300]), mapped(ROWS[:1]), rtol=1e-6, atol=1e-6)


def test_switch_and_rollback(many, tmp_path):
    """The source's names stand for the new files, then for the old ones, byte for byte."""
    text = f"parquet:{tmp_path / 'new'}#vector"
    old = {path: path.read_bytes() for path in sorted(stem(many).rglob("*.parquet"))}
    migrate(many, text)
    store, target = begin(many, text)
    assert not target.switched()
    target.switch(convert)
    target.switch(convert)
    after = open_store(many)
    assert (after.dim, after.count()) == (NEW, N)
    assert after.mark().kept is not None
    np.testing.assert_allclose(after.read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)
    _, again = begin(many, text)
    assert again.switched()
    assert list(again.pending(100)) == []
    assert again.finish() == []
    with pytest.raises(InputError, match="roll back first"):
        again.drop()
    again.rollback()
    assert {path: path.read_bytes() for path in old} == old
    assert hidden(stem(many)) == []
    assert store.mark() is None
    with pytest.raises(InputError, match="nothing to roll back"):
        again.rollback()
    again.drop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert not again.exists()


@pytest.mark.quick("note")
@pytest.mark.parametrize("step", ["note", "one", "two"])
def test_a_switch_that_was_killed(many, tmp_path, step, monkeypatch):
    """Between its steps the source is read as it was; the next switch, or a rollback, ends it."""
    text = f"parquet:{tmp_path / 'new'}#vector"
    migrate(many, text)
    old = {path: path.read_bytes() for path in sorted(stem(many).rglob("*.parquet"))}
    steps = iter([True] * {"note": 0, "one": 1, "two": 2}[step])
    give_name = file_switch.give_name

    def killed(there, path, **more):
        if not next(steps, False):
            raise KeyboardInterrupt
        give_name(there, path, **more)

    for ending in ("rollback", "switch"):
        _, target = begin(many, text)
        with monkeypatch.context() as patch:
            patch.setattr(file_switch, "give_name", killed)
            with pytest.raises(KeyboardInterrupt):
                target.switch(convert)
        steps = iter([True] * {"note": 0, "one": 1, "two": 2}[step])
        store, target = begin(many, text)
        assert not target.switched()
        assert (store.dim, store.mark(), target.count()) == (OLD, None, N)
        np.testing.assert_array_equal(store.read(range(N)), ROWS)
        assert list(target.pending(100)) == []
        if ending == "switch":
            target.switch(convert)
            assert open_store(many).dim == NEW
        elif step != "note":
            with pytest.raises(InputError, match="roll back first"):
                target.drop()
            target.rollback()
            assert {path: path.read_bytes() for path in old} == old
            assert not [
                path
                for path in stem(many).rglob("*")
                if path.name not in {"a", *(each.name for each in old)}
            ]


def test_what_was_noted_of_the_old_content_comes_back(tmp_path):
    """A second migration keeps the first one's mark with the old vectors."""
    np.save(tmp_path / "a.npy", ROWS)
    migrate(f"npy:{tmp_path / 'a.npy'}", f"npy:{tmp_path / 'b.npy'}")
    source, text = f"npy:{tmp_path / 'b.npy'}", f"npy:{tmp_path / 'c.npy'}"
    second = MigrationRecord("1" * 64, Space("b", NEW), Space("c", NEW))
    store, target = begin(source, text, second)
    for batch in target.pending(300):
        target.write(batch, batch.vectors)
    target.switch(convert)
    assert open_store(source).mark() == second.switched("c.npy")
    target.rollback()
    assert store.mark() == MARK
    target.drop()
    assert hidden(tmp_path) == [".b.npy.intertwine.json"]


def test_a_second_switch_does_not_lose_what_the_first_one_kept(tmp_path):
    """What stands where the old content goes is never written over."""
    np.save(tmp_path / "a.npy", ROWS)
    source, text = f"npy:{tmp_path / 'a.npy'}", f"npy:{tmp_path / 'b.npy'}"
    migrate(source, text)
    (tmp_path / ".a.npy.before-switch").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"\.a\.npy.before-switch is in the way"):
        begin(source, text)[1].switch(convert)
    assert (tmp_path / ".a.npy.before-switch").read_bytes() == b"mine"


def test_files_on_another_disk_are_copied(tmp_path, monkeypatch):
    """Where a link does not reach, the name is given to a copy."""
    np.save(tmp_path / "a.npy", ROWS)
    source, text = f"npy:{tmp_path / 'a.npy'}", f"npy:{tmp_path / 'b.npy'}"
    migrate(source, text)
    link = os.link

    def refuse(there, path):
        if Path(there).name == "b.npy":
            raise OSError(18, "Invalid cross-device link")
        link(there, path)

    monkeypatch.setattr(os, "link", refuse)
    _, target = begin(source, text)
    target.switch(convert)
    assert target.switched()
    assert not (tmp_path / "a.npy").samefile(tmp_path / "b.npy")
    target.rollback()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), ROWS)


def test_a_note_that_is_damaged_is_nobodys(one, tmp_path, scheme):
    """Damage makes a target one that is not ours."""
    text = f"{scheme}:{tmp_path / 'new'}{SUFFIXES[scheme]}"
    migrate(one, text)
    for damage in ("{", "[]", '{"mark": 3}'):
        (tmp_path / f".new{SUFFIXES[scheme]}.intertwine.json").write_text(damage)
        with pytest.raises(InputError, match="not made by a migration"):
            begin(one, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parquet:{f}/none.parquet", "no such files"),
        ("parquet:{f}/none*", "no such files"),
        ("parquet:{f}/items.npy", "expected names that end in .parquet"),
        ("arrow:{f}/items.npy", "expected names that end in .arrow or .feather"),
        ("npy:{f}/items.npy#x", "leave out #"),
        ("npy:{f}/items.npy?metric=dot", "got metric 'dot'"),
        ("npy:{f}/items.npy?factory=x", "got option 'factory'"),
        ("parquet:{f}/data#nothing", "got columns"),
        ("npy:{f}/*.npy", "got dimension 5, expected 12 as in"),
    ],
)
def test_addresses_that_are_no_store(tmp_path, text, message):
    """Each is refused in one line."""
    np.save(tmp_path / "items.npy", ROWS)
    np.save(tmp_path / "other.npy", ROWS[:, :5])
    save_many(tmp_path / "data")
    with pytest.raises(InputError, match=message) as raised:
        open_store(text.format(f=tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("npy:{f}/x.npy", "expected parquet as the source"),
        ("parquet:{f}/x?factory=a", "got option 'factory'"),
        ("parquet:{f}/x?metric=ip#vector", "got metric ip for the target and l2"),
        ("parquet:{f}/x#other", "got target column 'other', expected 'vector'"),
        ("parquet:{f}/data", "is the source itself"),
        ("parquet:{f}/x.parquet", "a file, for 3 files"),
        ("parquet:{f}/x*", "a pattern"),
        ("parquet:{f}/file/x", "cannot write"),
        ("parquet:/proc/x", "cannot write"),
    ],
)
def test_addresses_that_are_no_target(many, tmp_path, text, message):
    """Each is refused in one line, before anything is made."""
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message) as raised:
        open_target(open_store(many.replace("#", "?metric=l2#")), text.format(f=tmp_path), MARK)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_file_may_go_into_a_folder_but_not_under_another_ending(tmp_path):
    """A folder takes the file's own name; another ending would be another format."""
    path = save_vectors(tmp_path / "in.parquet", ROWS)
    migrate(f"parquet:{path}", f"parquet:{tmp_path / 'new'}/")
    assert load_vectors(tmp_path / "new/in.parquet").shape == (N, NEW)
    with pytest.raises(InputError, match=r"name that ends in .parquet"):
        open_target(open_store(f"parquet:{path}"), f"parquet:{tmp_path / 'x.feather'}", MARK)
    with pytest.raises(InputError, match="is the source itself"):
        open_target(open_store(f"parquet:{path}"), f"parquet:{path}", MARK)


def test_numbers_that_do_not_fit_are_refused(tmp_path):
    """A mapped vector beyond float16, in which the source is, is named by its row."""
    rows = ROWS.astype(np.float16)
    rows[321] = 60000
    np.save(tmp_path / "in.npy", rows)
    with pytest.raises(InputError, match="item 321 has numbers that are not finite, or too large"):
        migrate(f"npy:{tmp_path / 'in.npy'}", f"npy:{tmp_path / 'out.npy'}")


def test_a_cut_file_is_refused(tmp_path, scheme):
    """One line says that it cannot be read."""
    path = save_vectors(tmp_path / f"in{SUFFIXES[scheme]}", ROWS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FileFormatError) as raised:
        open_store(f"{scheme}:{path}")
    assert "\n" not in str(raised.value)


def test_a_large_row_group_is_read_in_parts(tmp_path):
    """Ranges of rows from one group of a whole file are those rows."""
    rows = np.random.default_rng(2).standard_normal((30_000, OLD)).astype(np.float32)
    path = save_vectors(tmp_path / "in.parquet", rows, group=30_000)
    store = open_store(f"parquet:{path}")
    ids = [29_999, 8191, 8192, 0, 16_385]
    np.testing.assert_array_equal(store.read(ids), rows[ids])
    got = np.concatenate([batch.vectors for batch in store.batches(7000)])
    np.testing.assert_array_equal(got, rows)


def test_a_row_group_with_fewer_rows_than_it_says_is_refused(tmp_path):
    """The end of its rows is told, not waited for."""
    path = save_vectors(tmp_path / "in.parquet", ROWS)
    vectors = TableVectors(path, None)
    vectors._batches.edges[-1] = N + 5
    with pytest.raises(FileFormatError, match="holds fewer rows than its metadata states"):
        vectors.read(range(N - 5, N + 5))


def test_what_is_no_number_is_found_last(tmp_path):
    """Rows of NaN, and of zeros under the cosine, disturb no search."""
    rows = ROWS[:50].copy()
    rows[7], rows[9] = np.nan, 0
    np.save(tmp_path / "in.npy", rows)
    found = open_store(f"npy:{tmp_path / 'in.npy'}").search(ROWS[:1], 50)[0]
    assert sorted(found) == list(range(50))
    assert (found[0], found[-1]) == (0, 7)


def test_without_rows(tmp_path):
    """An empty file is migrated to an empty one."""
    np.save(tmp_path / "in.npy", ROWS[:0])
    migrate(f"npy:{tmp_path / 'in.npy'}", f"npy:{tmp_path / 'out.npy'}")
    store = open_store(f"npy:{tmp_path / 'out.npy'}")
    assert (store.count(), store.dim) == (0, NEW)
    assert store.search(np.ones((2, NEW)), 3) == [[], []]
    assert store.sample(5).ids == []
    assert np.isnan(store.read([0])).all()
