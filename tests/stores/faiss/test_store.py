"""FAISS index files as stores, and migrations of them."""

import os

import faiss
import numpy as np
import pytest
from tests.stores.rows.file_migration import MARK, NEW, OLD, begin, convert, mapped, migrate

from intertwine.errors import FileFormatError, InputError
from intertwine.stores import open_store, open_target
from intertwine.stores.faiss import index as faiss_build
from intertwine.stores.faiss import index as faiss_read
from intertwine.stores.rows import switch as file_switch

N = 1500
ROWS = np.random.default_rng(0).standard_normal((N, OLD)).astype(np.float32)
KEYS = np.random.default_rng(1).permutation(9 * N)[:N].astype(np.int64)
METRICS = {"ip": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
# Those that keep vectors as they are, and those that round them.
EXACT = ["Flat", "HNSW8,Flat", "IVF9,Flat", "IVF9_HNSW4,Flat", "IVF9,Flat,RFlat"]
ROUNDING = ["SQfp16", "IVF9,SQfp16", "HNSW8_SQfp16"]
WITH_IDS = ["IDMap,Flat", "IDMap2,HNSW8", "IDMap2,IVF9,Flat", "ids:IVF9,Flat"]


def save(path, factory="Flat", metric="ip", *, rows=ROWS, keys=KEYS):
    """Write an index of a kind; `ids:` stands for one that takes ids itself; return its address."""
    index = faiss.index_factory(rows.shape[1], factory.removeprefix("ids:"), METRICS[metric])
    index.train(rows)
    if "ID" in factory.upper():
        index.add_with_ids(rows, keys[: len(rows)])
    else:
        index.add(rows)
    faiss.write_index(index, str(path))
    return f"faiss:{path}"


def ids_of(factory):
    """Return the ids that an index of a kind has."""
    return KEYS if "ID" in factory.upper() else np.arange(N)


@pytest.fixture
def address(tmp_path):
    """Return the address of a flat index."""
    return save(tmp_path / "items.index")


@pytest.mark.quick("IVF9,SQfp16-l2", "IVF9,Flat,RFlat-l2")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("factory", EXACT + ROUNDING + WITH_IDS)
def test_a_store_gives_back_what_the_index_was_given(tmp_path, factory, metric):
    """Count, dimension, metric, batches from any id on, rows by id, and a sample."""
    store = open_store(save(tmp_path / "a.index", factory, metric))
    row_of = dict(zip(ids_of(factory).tolist(), range(N), strict=True))
    tolerance = 1e-2 if factory in ROUNDING else 0
    assert (store.count(), store.dim, store.metric, store.mark()) == (N, OLD, metric, None)
    batches = list(store.batches(400))
    ids = [item for batch in batches for item in batch.ids]
    assert sorted(ids) == sorted(row_of)
    for batch in [*batches, store.sample(50)]:
        rows = ROWS[[row_of[item] for item in batch.ids]]
        np.testing.assert_allclose(batch.vectors, rows, atol=tolerance)
    assert [i for batch in store.batches(400, ids[700]) for i in batch.ids] == ids[701:]
    found = store.read([ids[3], -7, ids[-1], 10**12, ids[3]])
    np.testing.assert_allclose(
        found[[0, 2, 4]], ROWS[[row_of[ids[i]] for i in (3, -1, 3)]], atol=0.01
    )
    assert np.isnan(found[[1, 3]]).all()


@pytest.mark.parametrize("factory", ["Flat", "IDMap,Flat"])
@pytest.mark.parametrize("metric", METRICS)
def test_search_is_the_index_s_own(tmp_path, factory, metric):
    """A flat index finds what a search through all rows finds, by ids, and no more than there is."""
    store = open_store(save(tmp_path / "a.index", factory, metric))
    queries = np.random.default_rng(2).standard_normal((9, OLD))
    scores = queries @ ROWS.T
    if metric == "l2":
        scores = -np.linalg.norm(queries[:, None] - ROWS, axis=2)
    expected = ids_of(factory)[np.argsort(-scores, axis=1)[:, :5]]
    assert store.search(queries, 5) == expected.tolist()
    assert len(store.search(queries[:1], 2 * N)[0]) == N


@pytest.mark.quick("IVF9_HNSW4,Flat-l2", "HNSW8,Flat-l2")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("factory", EXACT + ROUNDING + WITH_IDS)
def test_a_migration_builds_an_index_of_the_same_kind(tmp_path, factory, metric, monkeypatch):
    """Kind, metric, settings and ids are the source's; vectors are what the map makes."""
    monkeypatch.setattr(faiss_build, "ADD_ROWS", 400)
    source = save(tmp_path / "a.index", factory, metric)
    text = f"faiss:{tmp_path / 'b.index'}"
    assert migrate(source, text, most=3) == 300
    assert migrate(source, text) == N - 300
    assert migrate(source, text) == 0
    old, new = open_store(source), open_store(text)
    assert (new.count(), new.dim, new.metric, new.mark()) == (N, NEW, metric, MARK)
    assert type(new.index) is type(old.index)
    ids = ids_of(factory).tolist()
    tolerance = 1e-2 if factory in ROUNDING else 1e-5
    np.testing.assert_allclose(new.read(ids), mapped(old.read(ids)), atol=tolerance)
    if metric == "l2":
        assert [found[0] for found in new.search(new.read(ids[:20]), 1)] == ids[:20]


def test_settings_are_kept(tmp_path):
    """Links, the efforts of building and searching, lists and probes are those of the source."""
    for factory in ("HNSW6,Flat", "IVF9,Flat"):
        index = faiss.index_factory(OLD, factory)
        index.train(ROWS)
        index.add(ROWS)
        if factory[0] == "H":
            index.hnsw.efConstruction, index.hnsw.efSearch = 77, 33
        else:
            index.nprobe = 5
        faiss.write_index(index, str(tmp_path / "a.index"))
        target = begin(f"faiss:{tmp_path / 'a.index'}", f"faiss:{tmp_path / 'b.index'}")[1]
        made = target.empty()
        if factory[0] == "H":
            settings = (made.hnsw.efConstruction, made.hnsw.efSearch, made.hnsw.nb_neighbors(1))
            assert settings == (77, 33, 6)
        else:
            assert (made.nlist, made.nprobe) == (9, 5)
        target.drop()


@pytest.mark.slow
@pytest.mark.parametrize("factory", ["Flat", "IDMap,Flat"])
def test_another_kind_may_be_asked_for(tmp_path, factory):
    """FAISS's own short form says what to build; ids are kept."""
    source = save(tmp_path / "a.index", factory)
    text = f"faiss:{tmp_path / 'b.index'}?factory=IVF5,PQ7x4"
    migrate(source, text)
    made = faiss.read_index(str(tmp_path / "b.index"))
    assert isinstance(made, faiss.IndexIVFPQ)
    store = open_store(f"faiss:{tmp_path / 'b.index'}")
    assert sorted(i for b in store.batches(N) for i in b.ids) == sorted(ids_of(factory).tolist())
    migrate(source, f"faiss:{tmp_path / 'c.index'}?factory=HNSW8")
    kind = faiss.IndexIDMap2 if "ID" in factory else faiss.IndexHNSWFlat
    assert type(faiss.read_index(str(tmp_path / "c.index"))) is kind


def test_vectors_that_the_source_rounded_are_told(tmp_path):
    """A note says that what was mapped is what the index gives back."""
    for factory, told in {"HNSW8,Flat": False, "IDMap,SQ8": True}.items():
        source = save(tmp_path / "a.index", factory)
        _, target = begin(source, f"faiss:{tmp_path / 'b.index'}")
        for batch in target.pending(N):
            target.write(batch, mapped(batch.vectors))
        assert any("IndexScalarQuantizer, which rounds" in note for note in target.finish()) == told
        target.drop()


def test_the_finished_target_is_a_store(address, tmp_path):
    """It reads, samples, searches and gives batches; before it is finished it says so."""
    text = f"faiss:{tmp_path / 'b.index'}"
    migrate(address, text, most=2)
    store, target = begin(address, text)
    assert target.count() == 200
    with pytest.raises(InputError, match="is not finished"):
        target.search(ROWS[:1, :NEW], 1)
    with pytest.raises(InputError, match="1300 rows are not converted yet"):
        target.finish()
    target.close()
    migrate(address, text)
    _, target = begin(address, text)
    assert list(target.pending(100)) == []
    assert target.finish() == ["built an index as the source has"]
    np.testing.assert_allclose(target.read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)
    assert target.sample(20).ids == store.sample(20).ids
    queries = mapped(ROWS[:5])
    assert (
        target.search(queries, 1) == np.argmax(queries @ mapped(ROWS).T, axis=1)[:, None].tolist()
    )
    assert next(iter(target.batches(10, 5))).ids[0] == 6
    assert not list(tmp_path.glob(".*partial*"))


def test_a_switch_that_was_killed(address, tmp_path, monkeypatch):
    """Between its two steps the source is what it was; the next switch ends it."""
    text = f"faiss:{tmp_path / 'b.index'}"
    migrate(address, text)

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(file_switch, "give_name", killed)
        with pytest.raises(KeyboardInterrupt):
            begin(address, text)[1].switch(convert)
    assert (tmp_path / ".items.index.before-switch").exists()
    assert open_store(address).dim == OLD
    _, target = begin(address, text)
    assert not target.switched()
    target.switch(convert)
    assert open_store(address).dim == NEW


@pytest.mark.slow
def test_a_large_file_is_mapped(tmp_path, monkeypatch):
    """Mapped vectors are those of the file, also when its name comes to stand for another."""
    monkeypatch.setattr(faiss_read, "WHOLE_BYTES", 0)
    for factory in (*EXACT, *WITH_IDS):
        address = save(tmp_path / "a.index", factory)
        store = open_store(address)
        text = f"faiss:{tmp_path / 'b.index'}"
        migrate(address, text)
        _, target = begin(address, text)
        target.switch(convert)
        ids = ids_of(factory).tolist()
        np.testing.assert_array_equal(store.read(ids), ROWS)
        target.rollback()
        target.drop()


def test_an_id_that_stands_twice_is_refused(tmp_path):
    """The error names it."""
    keys = KEYS.copy()
    keys[70] = keys[3]
    for factory in WITH_IDS:
        address = save(tmp_path / "a.index", factory, keys=keys)
        with pytest.raises(InputError, match=f"id {keys[3]} stands there more than once"):
            open_store(address)


@pytest.mark.slow
def test_indexes_that_cannot_be_used(tmp_path):
    """One line says why: no vectors, another metric, a kind that cannot be told, an absent id."""
    text = f"faiss:{tmp_path / 'b.index'}"
    with pytest.raises(InputError, match="IndexPreTransform cannot give its vectors back"):
        open_store(save(tmp_path / "itq.index", "ITQ8,Flat"))
    faiss.write_index(faiss.IndexFlat(OLD, faiss.METRIC_L1), str(tmp_path / "l1.index"))
    with pytest.raises(InputError, match="expected inner products or L2"):
        open_store(f"faiss:{tmp_path / 'l1.index'}")
    address = save(tmp_path / "pq.index", "PQ4x4")
    with pytest.raises(InputError, match=r"cannot tell how to build IndexPQ anew.*factory=STRING"):
        open_target(open_store(address), text, MARK)
    with pytest.raises(InputError, match="which FAISS refuses"):
        open_target(open_store(address), f"{text}?factory=Nothing", MARK)
    with pytest.raises(InputError, match="has no item 77777 to begin behind"):
        list(open_store(save(tmp_path / "ids.index", "IDMap,Flat")).batches(5, 77777))
    few = save(tmp_path / "few.index", rows=ROWS[:3])
    with pytest.raises(InputError, match="FAISS cannot build the index"):
        migrate(few, f"{text}?factory=IVF9,Flat")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faiss:{f}/none.index", "No such file"),
        ("faiss:{f}", "no FAISS index, or cut|is a folder"),
        ("faiss:{f}/text", "no FAISS index, or cut"),
        ("faiss:{f}/items.index#a", "leave out #"),
        ("faiss:{f}/items.index?metric=ip", "got option 'metric'"),
    ],
)
def test_addresses_that_are_no_store(address, tmp_path, text, message):
    """Each is refused in one line."""
    assert address
    (tmp_path / "text").write_text("no index, but long enough for one\n" * 9)
    with pytest.raises((InputError, FileFormatError), match=message) as raised:
        open_store(text.format(f=tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("npy:{f}/x.npy", "expected faiss as the source"),
        ("faiss:{f}/items.index", "is the source itself"),
        ("faiss:{f}", "expected faiss:FILE"),
        ("faiss:{f}/b#c", "expected faiss:FILE"),
        ("faiss:{f}/b?metric=ip", "got option 'metric'"),
        ("faiss:/proc/b", "cannot write"),
    ],
)
def test_addresses_that_are_no_target(address, tmp_path, text, message):
    """Each is refused in one line."""
    with pytest.raises(InputError, match=message) as raised:
        open_target(open_store(address), text.format(f=tmp_path), MARK)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("factory", ["Flat", "HNSW8,Flat", "IVF9,Flat", "IDMap2,IVF9,Flat"])
def test_a_file_that_is_cut_or_claims_too_much_is_refused(tmp_path, factory):
    """Wherever it is cut, and whatever size it claims, one line says so."""
    path = tmp_path / "a.index"
    save(path, factory)
    whole = path.read_bytes()
    huge = b"\xff" * 6 + b"\x00"
    damaged = [whole[:size] for size in (0, 3, 27, 30, 126, 180, len(whole) // 2, len(whole) - 1)]
    damaged += [whole[:8] + huge + whole[15:], whole[:33] + huge + whole[40:]]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises((FileFormatError, InputError)) as raised:
            open_store(f"faiss:{path}")
        assert "\n" not in str(raised.value)


def test_an_empty_index_is_migrated_to_an_empty_one(tmp_path):
    """There is nothing to convert, and nothing is found."""
    faiss.write_index(faiss.IndexIDMap(faiss.IndexFlatIP(OLD)), str(tmp_path / "a.index"))
    migrate(f"faiss:{tmp_path / 'a.index'}", f"faiss:{tmp_path / 'b.index'}")
    store = open_store(f"faiss:{tmp_path / 'b.index'}")
    assert (store.count(), store.dim, store.search(np.ones((1, NEW)), 3)) == (0, NEW, [[]])
    assert np.isnan(store.read([4])).all()
    assert store.sample(3).ids == []


def test_a_disk_that_is_full_is_told(address, tmp_path, monkeypatch):
    """What FAISS says when it cannot write comes in one line; the rows stay."""

    def fail(*_):
        raise RuntimeError("Error: no\nroom")

    text = f"faiss:{tmp_path / 'b.index'}"
    with monkeypatch.context() as patch:
        patch.setattr(faiss, "write_index", fail)
        with pytest.raises(InputError, match=r"cannot write .*b.index: no room"):
            migrate(address, text)
    assert not os.path.lexists(tmp_path / "b.index")
    assert migrate(address, text) == 0
