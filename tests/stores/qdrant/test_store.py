"""A Qdrant collection as a store, and a migration within its folder or server."""

from __future__ import annotations

import shutil
import uuid
from contextlib import ExitStack, closing, contextmanager

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tests.stores import migration

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.address import Address
from intertwine.stores.qdrant import new_collection
from intertwine.stores.qdrant import target as qdrant_target
from intertwine.stores.qdrant.collection import find_collection, one_line
from intertwine.stores.qdrant.store import QdrantStore

N, D, Q = 230, 8, 6
NO_VECTOR = 40
# Points on a disk.
FEW = 60
NEW = "qdrant::memory:#new"
MARK = MigrationRecord("ab" * 32, Space("old", D), Space("new", Q))
RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((D, Q)).astype(np.float32)


def convert(batch):
    """Return what the map makes of a batch."""
    return batch.vectors @ MATRIX


VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
# Numbers and UUIDs, in Qdrant's order.
IDS = [*range(100, 300), *sorted(str(uuid.UUID(int=7**i)) for i in range(30))]


def make(client, name="items", distance="Dot", vectors=VECTORS, **options):
    """Make a collection."""
    params = models.VectorParams(size=D, distance=models.Distance(distance), **options)
    client.create_collection(name, vectors_config=params, metadata={"owner": "somebody"})
    client.upsert(
        name,
        [
            models.PointStruct(
                id=IDS[i],
                vector={} if i == NO_VECTOR else vector.tolist(),
                payload={"text": f"text {i}", "deep": {"tags": [i, None]}} if i % 5 else {},
            )
            for i, vector in enumerate(vectors)
        ],
    )


def alias(client, collection, name="live"):
    """Let an alias stand for a collection."""
    new = models.CreateAlias(collection_name=collection, alias_name=name)
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=new)])


@contextmanager
def in_memory(name="items", **options):
    """Give a collection that is in memory only, as a store; its folder is called `:memory:`."""
    with closing(QdrantClient(":memory:")) as client:
        make(client, **options)
        alias(client, "items")
        found = find_collection(client, name, None, name)
        yield QdrantStore(Address("qdrant", ":memory:", {}, name), client, found, ())


@pytest.fixture
def opened():
    """Return what opens the collection by its name or its alias."""
    with ExitStack() as stack:
        yield lambda name="items": stack.enter_context(in_memory(name))


@pytest.fixture(scope="module")
def made_folder(tmp_path_factory):
    """Return a folder with a small collection; Qdrant takes its time for each point on a disk."""
    folder = tmp_path_factory.mktemp("made") / "q"
    with closing(QdrantClient(path=str(folder))) as client:
        make(client, vectors=VECTORS[:FEW])
        alias(client, "items")
    return folder


@pytest.fixture
def folder(made_folder, tmp_path):
    """Return a copy of the folder."""
    return shutil.copytree(made_folder, tmp_path / "q")


def migrate(source, text, *, mark=MARK, size=50, rounds=None):
    """Bring all of a source to a target, or some batches, and return the target."""
    return migration.migrate(
        source, text, lambda vectors: vectors @ MATRIX, mark=mark, size=size, rounds=rounds
    )


def payloads(store):
    """Return the payload of all items."""
    return {record.id: record.payload for page in store.scroll(1000) for record in page}


def test_facts_and_batches_of_a_store(opened):
    """A store tells its count, dimension and metric, and gives all items that have a vector, from any of them on."""
    store = opened()
    assert (store.count(), store.dim, store.metric) == (N - 1, D, "ip")
    assert store.mark() is None
    there = [item for i, item in enumerate(IDS) if i != NO_VECTOR]
    batches = list(store.batches(32))
    assert [item for batch in batches for item in batch.ids] == there
    got = np.concatenate([batch.vectors for batch in batches])
    assert np.array_equal(got, np.delete(VECTORS, NO_VECTOR, axis=0))
    for place in (0, 31, 205, N - 2):
        rest = [item for batch in store.batches(17, there[place]) for item in batch.ids]
        assert rest == there[place + 1 :]


def test_sample_and_read(opened):
    """A sample is the same each time and spread; absent items are read as NaN."""
    store = opened()
    sample, again = store.sample(60), store.sample(60)
    assert sample.ids == again.ids
    assert len(set(sample.ids)) == 60
    assert 2 < sum(isinstance(item, str) for item in sample.ids) < 20
    assert np.array_equal(store.read(sample.ids), sample.vectors)
    assert len(store.sample(2 * N).ids) == N - 1
    got = store.read([IDS[7], 5, IDS[-1], IDS[7], IDS[NO_VECTOR], uuid.UUID(IDS[-2])])
    assert np.array_equal(got[[0, 2, 3, 5]], VECTORS[[7, -1, 7, -2]])
    assert np.isnan(got[[1, 4]]).all()


@pytest.mark.parametrize("distance", ["Cosine", "Dot", "Euclid"])
def test_search_is_brute_force(distance):
    """A search finds what comparing with every vector finds."""
    queries = np.random.default_rng(2).standard_normal((4, D)).astype(np.float32)
    lengths, scores = np.linalg.norm(VECTORS, axis=1), queries @ VECTORS.T
    if distance == "Cosine":
        scores = scores / lengths
    elif distance == "Euclid":
        scores = 2 * scores - lengths**2
    scores[:, NO_VECTOR] = -1e9
    best = np.argsort(-scores, axis=1)[:, :6]
    with in_memory(distance=distance) as store:
        assert store.search(queries, 6) == [[IDS[i] for i in row] for row in best]


@pytest.mark.parametrize("distance", ["Cosine", "Euclid"])
def test_a_migration_brings_every_point(distance):
    """Every point arrives once, mapped, with its payload and the collection's settings, points without a vector too."""
    half = models.Datatype.FLOAT16
    with in_memory(distance=distance, on_disk=True, datatype=half) as source:
        target = migrate(source, NEW)
        assert target.finish() == []
        before = VECTORS / np.linalg.norm(VECTORS, axis=1)[:, None]
        expected = (before if distance == "Cosine" else VECTORS) @ MATRIX
        if distance == "Cosine":
            expected = expected / np.linalg.norm(expected, axis=1)[:, None]
        expected[NO_VECTOR] = np.nan
        np.testing.assert_allclose(target.read(IDS), expected, rtol=1e-5, atol=1e-5)
        assert (target.count(), target.dim, target.metric) == (N - 1, Q, source.metric)
        assert payloads(target) == payloads(source)
        assert target.mark() == MARK
        config = target.client.get_collection("new").config
        assert config.metadata["owner"] == "somebody"
        assert config.params.vectors.on_disk is True
        assert config.params.vectors.datatype == models.Datatype.FLOAT16


def test_native_points_stay(opened):
    """Points that somebody else put into the target are not written over, whenever they come."""
    source = opened()
    target = open_target(source, NEW, MARK)
    target.create()

    def put(item):
        point = models.PointStruct(id=item, vector=[9] * Q, payload={"text": "mine"})
        source.client.upsert("new", [point])

    put(IDS[3])
    pending = target.pending(50)
    first = next(pending)
    assert len(first.ids) == 50
    assert IDS[3] not in first.ids
    put(first.ids[20])
    assert target.write(first, first.vectors @ MATRIX) == 49
    for batch in pending:
        target.write(batch, batch.vectors @ MATRIX)
    natives = [IDS[3], first.ids[20]]
    assert np.array_equal(target.read(natives), np.full((2, Q), 9))
    assert [payloads(target)[item] for item in natives] == [{"text": "mine"}] * 2
    assert len(payloads(target)) == N


def test_a_point_that_comes_between_look_and_write_stays(opened, monkeypatch):
    """Insertions leave points alone that came after the ids were looked up."""
    source = opened()
    target = migrate(source, NEW)
    before = target.read(IDS)
    monkeypatch.setattr(target, "_have", lambda ids: set(ids[:0]))
    batch = next(source.batches(20))
    batch.payload[:] = source.retrieve(batch.ids, with_payload=True, with_vectors=True)
    target.write(batch, np.full((20, Q), 7, np.float32))
    assert np.array_equal(target.read(IDS), before, equal_nan=True)


@pytest.mark.slow
def test_an_interrupted_migration_goes_on(folder, monkeypatch):
    """In a folder too, what a kill cut short is done by the next migration, nothing twice, and can be switched to."""
    monkeypatch.setattr(new_collection, "LARGEST_REQUEST", 300)
    text, cut = f"qdrant:{folder}#new", []
    with closing(open_store(f"qdrant:{folder}#live")) as source:
        assert source.count() == FEW - 1
        target = migrate(source, text, size=10, rounds=2)
        insert = target._insert

        def killed(points):
            if len(cut) == 2:
                raise KeyboardInterrupt
            cut.append(insert(points))
            return cut[-1]

        monkeypatch.setattr(target, "_insert", killed)
        batch = next(target.pending(20))
        with pytest.raises(KeyboardInterrupt):
            target.write(batch, batch.vectors @ MATRIX)
    with closing(open_store(f"qdrant:{folder}#live")) as source:
        target = open_target(source, text, MARK)
        left = FEW - 20 - sum(cut)
        assert [len(b.ids) for b in target.pending(15)] == [15, 15, left - 30]
        migrate(source, text)
        assert payloads(target) == payloads(source)
        assert list(target.pending(10)) == []
        np.testing.assert_allclose(target.read(IDS[:5]), VECTORS[:5] @ MATRIX, rtol=1e-4)
        target.switch(convert)
    with closing(open_store(f"qdrant:{folder}#live")) as source:
        assert (source.dim, source.count()) == (Q, FEW - 1)
        open_target(source, text, MARK).rollback()
    with closing(open_store(f"qdrant:{folder}#live")) as source:
        assert (source.dim, source.count()) == (D, FEW - 1)


def test_other_vectors_travel(tmp_path):
    """Of points with several vectors one is mapped, the others stay as they are."""
    text = f"qdrant:{tmp_path}"
    words = models.SparseVector(indices=[1, 5], values=[0.5, 2.0])
    with closing(QdrantClient(path=str(tmp_path))) as client:
        named = {
            "image": models.VectorParams(size=D, distance=models.Distance.DOT),
            "text": models.VectorParams(size=2, distance=models.Distance.COSINE),
        }
        sparse = {"words": models.SparseVectorParams()}
        client.create_collection("items", vectors_config=named, sparse_vectors_config=sparse)
        points = [
            {"image": VECTORS[0].tolist(), "text": [0.0, 1.0], "words": words},
            {"text": [1, 0]},
            {"image": VECTORS[2].tolist()},
        ]
        client.upsert(
            "items", [models.PointStruct(id=i, vector=vector) for i, vector in enumerate(points)]
        )
    with pytest.raises(InputError, match=r"got 2 vectors an item \(image, text\), expected one"):
        open_store(f"{text}#items")
    with pytest.raises(InputError, match="there is no vector 'sound', only image, text"):
        open_store(f"{text}?vector=sound#items")
    with closing(open_store(f"{text}?vector=image#items")) as source:
        assert source.count() == 2
        assert source.sample(5).ids
        with pytest.raises(InputError, match="another vector than the source's, 'image'"):
            open_target(source, f"{text}?vector=text#new", MARK)
        target = migrate(source, f"{text}#new")
        expected = VECTORS[:3] @ MATRIX
        expected[1] = np.nan
        np.testing.assert_allclose(target.read(range(3)), expected, rtol=1e-5)
        assert target.search(expected[2:], 1) == source.search(VECTORS[2:3], 1) == [[2]]
        old, new = (
            {
                record.id: {k: v for k, v in record.vector.items() if k != "image"}
                for record in source.client.scroll(name, with_vectors=True)[0]
            }
            for name in ("items", "new")
        )
        assert old == new
        assert new[0] == {"text": [0.0, 1.0], "words": words}


def test_a_switch_and_back(opened):
    """A switch lets the alias stand for the new collection in one step, and back."""
    source, text = opened("live"), NEW
    assert source.collection.name == "items"
    target = migrate(source, text)
    with pytest.raises(InputError, match="not switched over"):
        target.rollback()
    assert not target.switched()
    target.switch(convert)
    target.switch(convert)
    assert target.switched()
    assert list(target.pending(10)) == []
    assert target.finish() == []
    with pytest.raises(InputError, match="roll back first"):
        target.drop()
    live = find_collection(source.client, "live", None, "live")
    fresh = QdrantStore(source.address, source.client, live, ())
    assert (fresh.dim, fresh.count(), fresh.mark()) == (Q, N - 1, MARK.switched("items"))
    again = open_target(fresh, text, MARK)
    assert again.switched()
    again.switch(convert)
    again.rollback()
    assert not again.switched()
    assert again.mark() == MARK
    assert find_collection(source.client, "live", None, "live").name == "items"
    target.drop()
    assert not target.exists()
    target.drop()
    assert source.count() == N - 1


def test_a_plain_collection_is_not_switched(opened):
    """Without an alias there is no name that could stand for other vectors."""
    target = migrate(opened("items"), NEW)
    for step in (lambda: target.switch(convert), target.rollback):
        with pytest.raises(InputError, match="create an alias"):
            step()
    assert not target.switched()


def test_points_that_are_missing_are_converted_at_the_switch(opened):
    """An alias does not move to a collection that lacks points: they are converted first."""
    source = opened("live")
    target = migrate(source, NEW, rounds=2)
    notes = target.switch(convert)
    assert notes[0].startswith(f"{N - 100} points that had come or changed were converted at the")
    assert payloads(target) == payloads(source)


def test_errors_are_one_line(opened):
    """Qdrant's own errors, and numbers that are not finite, are one line."""
    source = opened()
    target = migrate(source, NEW)
    with pytest.raises(InputError, match="not finite"):
        target.write(next(source.batches(5)), np.full((5, Q), np.inf))
    with pytest.raises(InputError, match=r"^Qdrant: ") as caught:
        source.search(np.zeros((1, 3), np.float32), 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faiss:{}", "got a target of kind faiss"),
        ("qdrant:{}-other#new", "another collection in the same place"),
        ("qdrant:{}", "names no collection"),
        ("qdrant:{}#items", "is the source itself"),
        ("qdrant:{}#live", "is an alias"),
    ],
)
@pytest.mark.parametrize("name", ["items", "live"])
def test_wrong_targets(opened, name, text, message):
    """A target is another collection in the same place."""
    with pytest.raises(InputError, match=message):
        open_target(opened(name), text.format(":memory:"), MARK)


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    """Return a folder with collections that cannot be migrated."""
    folder = tmp_path_factory.mktemp("odd")
    several = models.MultiVectorConfig(comparator="max_sim")
    with closing(QdrantClient(path=str(folder))) as client:
        for name, params in {
            "many": models.VectorParams(size=2, distance="Dot", multivector_config=several),
            "taxi": models.VectorParams(size=2, distance="Manhattan"),
        }.items():
            client.create_collection(name, vectors_config=params)
        alias(client, "taxi")
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qdrant:{}/none#items", "there is no Qdrant folder"),
        ("qdrant:{}#nothing", "no collection 'nothing', only many, taxi, live"),
        ("qdrant:{}", "names no collection"),
        ("qdrant:{}?colour=red#items", "got option 'colour'"),
        ("qdrant:{}#taxi", "goes by Manhattan, expected Cosine, Dot, Euclid"),
        ("qdrant:{}#many", "holds several vectors an item"),
        ("qdrant://host:6333", "names no collection"),
        ("qdrant://me:secret@host:6333/items", "or a password .* expected an API key"),
    ],
)
def test_wrong_addresses(odd_folder, text, message):
    """What an address gets wrong is said in one line, and folders are not made by looking."""
    with pytest.raises(InputError, match=message) as caught:
        open_store(text.format(odd_folder))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not (odd_folder / "none").exists()


def test_a_key_that_is_forbidden():
    """Where a server in a cloud refuses a key with another status, its answer is not shown."""
    answer = UnexpectedResponse(403, "Forbidden", b"wrong key sesame\n", httpx.Headers())
    with pytest.raises(InputError, match="status 403") as caught, one_line(()):
        raise answer
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_server(host):
    """A server that does not answer is one line, without the key."""
    with pytest.raises(InputError, match=r"^Qdrant: .*(refused|assign|support)") as caught:
        open_store(f"qdrant://{host}:1/items?api_key=sesame")
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_sent_in_the_clear():
    """A key that may leave this machine unencrypted is warned of."""
    with (
        pytest.warns(UserWarning, match="insecure connection"),
        pytest.raises(InputError, match=r"^Qdrant: "),
    ):
        open_store("qdrant://0.0.0.0:1/items?api_key=sesame")


# The client leaves the lock's file open when it gives up.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_in_use(folder):
    """A local folder that somebody else has open is said to be in use."""
    text = f"qdrant:{folder}#items"
    with (
        closing(open_store(text)),
        pytest.raises(InputError, match="already accessed by another"),
    ):
        open_store(text)


def test_settings_of_a_server(opened, monkeypatch):
    """On a server the target gets the source's settings and payload indexes, and an old server is refused."""
    target = open_target(opened(), NEW, MARK)
    calls, ask = [], target.ask
    known = target.source.client.get_collection("items")
    quantization = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type="int8"))
    config = known.config.model_copy(update={"quantization_config": quantization})
    field = models.PayloadIndexInfo(data_type="keyword", points=5)
    status = iter(["yellow", "green"])

    def answer(name):
        schema = {"text": field} if name == "items" else {}
        state = models.CollectionStatus(next(status) if not schema and len(calls) > 2 else "green")
        return known.model_copy(
            update={"config": config, "payload_schema": schema, "status": state}
        )

    def asked(what, *values, **names):
        calls.append((what, values, names))
        if what == "get_collection":
            return answer(*values)
        return None if what == "create_payload_index" else ask(what, *values, **names)

    monkeypatch.setattr(target, "ask", asked)
    monkeypatch.setattr(target.client, "get_collection", answer)
    settings = {}
    monkeypatch.setattr(
        target.client, "create_collection", lambda name, **names: settings.update(names, name=name)
    )
    monkeypatch.setattr(qdrant_target, "SECONDS_BETWEEN", 0)
    target.create()
    assert settings["quantization_config"] == quantization
    assert settings["hnsw_config"].m == known.config.hnsw_config.m
    assert settings["metadata"] == {"owner": "somebody", "intertwine": MARK.to_text()}
    indexes = [values for what, values, _ in calls if what == "create_payload_index"]
    assert indexes == [("new", "text", models.PayloadSchemaType.KEYWORD)]
    old = models.VersionInfo(title="qdrant", version="1.15.2")
    monkeypatch.setattr(target, "ask", lambda *_: old)
    with pytest.raises(InputError, match=r"version 1\.15\.2, expected 1\.16 or later"):
        target.create()
