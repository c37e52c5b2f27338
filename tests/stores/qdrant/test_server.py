"""A migration within a server that speaks Qdrant's protocol: killed, searched meanwhile, gone, locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from tests import qdrant_server
from tests.kills import commands
from tests.qdrant_server import running

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target

# The conformance suite shows with every quick run what any store does.
pytestmark = pytest.mark.slow

N, D, E = 600, 12, 20
RNG = np.random.default_rng(0)
# Numbers and UUIDs, in Qdrant's order.
IDS = [*range(3, 3 * 500, 3), *sorted(str(uuid.UUID(int=7**40 * i)) for i in range(N - 499))]
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
PAYLOADS = [{"text": f"text {i}", "deep": {"tags": [i, None]}} for i in range(N)]
MARK = MigrationRecord("ab" * 32, Space("a", D), Space("b", E))
PROGRAM = str(Path(sys.executable).with_name("intertwine"))
# Searches by an alias until its input ends; then says how often, and which dimensions it saw in turn.
SEARCHES = """
import sys, threading
from qdrant_client import QdrantClient
client = QdrantClient(url=sys.argv[1], check_compatibility=False)
ended, seen, count = threading.Event(), [], 0
threading.Thread(target=lambda: sys.stdin.read() or ended.set()).start()
while not ended.wait(0.005):
    points = client.query_points("live", query=30, limit=5, with_vectors=True).points
    assert len(points) == 5
    seen += [len(points[0].vector)] if seen[-1:] != [len(points[0].vector)] else []
    if not count:
        print("begun", flush=True)
    count += 1
print([count, seen])
"""


def http(url):
    """Return where the client itself finds a server."""
    return url.replace("qdrant:", "http:")


def client_of(url, **options):
    """Give a client of a server, as other programs have one."""
    return closing(QdrantClient(url=http(url), check_compatibility=False, **options))


def fill(url, **options):
    """Make a collection with settings and an index of its payload, and an alias."""
    with client_of(url, **options) as client:
        client.create_collection(
            "items",
            vectors_config=models.VectorParams(size=D, distance=models.Distance.COSINE),
            hnsw_config=models.HnswConfigDiff(m=24),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=7000),
            metadata={"owner": "somebody"},
        )
        points = models.Batch(ids=IDS, vectors=VECTORS.tolist(), payloads=PAYLOADS)
        client.upsert("items", points)
        client.create_payload_index("items", "text", models.PayloadSchemaType.KEYWORD)
        new = models.CreateAlias(collection_name="items", alias_name="live")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=new)])


@pytest.fixture
def server():
    """Return a server with a collection."""
    with running() as started:
        fill(started.url)
        yield started


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours, and its file."""
    columns = np.linalg.qr(RNG.standard_normal((E, D)))[0]
    linear_map = LinearMap(columns, RNG.standard_normal(E) / 20, Space("a", D), Space("b", E), "x")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


def unit(vectors):
    """Return vectors of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_holds(url, vectors):
    """Check that a collection holds every point once, with its payload and vector."""
    with closing(open_store(url)) as store:
        records = [record for page in store.scroll(77, with_vectors=True) for record in page]
    assert [record.id for record in records] == IDS
    assert [record.payload for record in records] == PAYLOADS
    got = np.array([record.vector for record in records])
    np.testing.assert_allclose(got, unit(vectors), rtol=1e-5, atol=1e-6)


@contextmanager
def searching(url):
    """Let another process search; give a list that at the end holds how often and what it saw."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SEARCHES, http(url)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        found = [process.stdout.readline()]
        try:
            yield found
        finally:
            found += json.loads(process.communicate("")[0] or "[0, []]")
    assert process.returncode == 0


def test_kills_lose_nothing_and_searches_go_on(server, fitted):
    """Killed at random moments, the same command ends with every point once; searches by the alias never fail."""
    linear_map, path = fitted
    places = f"{server.url}/live", f"{server.url}/new"
    arguments = ("migrate", *places, "--map", path, "--batch-size", 10, "--switch")
    with searching(server.url) as found:
        with commands("intertwine.passes.migrate.run", "qdrant_client") as ran:
            chance = np.random.default_rng(3)
            kills = ran.run_with_kills(*arguments, seconds=1.0, chance=chance, most=8)
        assert_holds(places[0], linear_map.apply(VECTORS))
        assert_holds(f"{server.url}/items", VECTORS)
        with closing(open_store(places[0])) as store:
            mapped = linear_map.apply(VECTORS[:5])
            assert [answer[0] for answer in store.search(mapped, 3)] == IDS[:5]
        migrate(*places, path, options=MigrateOptions(rollback=True))
        assert_holds(places[0], VECTORS)
    assert kills > 0
    assert found[1] > 10
    assert found[2] == [D, E, D]


def test_settings_and_indexes_are_the_sources(server, fitted):
    """The target gets the source's settings, metadata and payload indexes."""
    summary = migrate(f"{server.url}/live", f"{server.url}/new", fitted[1])
    assert summary["written"] == N
    assert summary["checks"]["neighbours_kept"] > 0.8
    with client_of(server.url) as client:
        old, new = (client.get_collection(name) for name in ("items", "new"))
    assert new.payload_schema["text"].data_type == old.payload_schema["text"].data_type == "keyword"
    assert new.config.hnsw_config == old.config.hnsw_config
    assert new.config.optimizer_config.indexing_threshold == 7000
    assert (new.config.hnsw_config.m, new.config.metadata.pop("owner")) == (24, "somebody")
    assert new.config.metadata.keys() == {"intertwine"}


def test_what_comes_meanwhile_is_kept(server, fitted, monkeypatch):
    """A point that gets into the target between the look and the write is not written over."""
    with closing(open_store(f"{server.url}/items")) as source:
        target = open_target(source, f"{server.url}/new", MARK)
        target.create()
        batch = next(target.pending(10))
        native = models.PointStruct(id=IDS[4], vector=np.eye(E)[0].tolist())
        source.client.upsert("new", [native])
        monkeypatch.setattr(target, "_have", lambda _: set())
        target.write(batch, fitted[0].apply(batch.vectors))
        np.testing.assert_array_equal(target.read([IDS[4]]), np.eye(1, E))
        assert target.count() == 10


def start(url, path, *, options="", key=""):
    """Start a migration that takes its time."""
    places = f"{url}/live{options}", f"{url}/new{options}"
    line = [PROGRAM, "migrate", *places, "--map", str(path), "--batch-size", "20", "--rate", "200"]
    environment = {**os.environ, "QDRANT_API_KEY": key, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment)


def failure(process):
    """Return the one line that a command says when it ends as for a user's error."""
    *before, line = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert all(said.startswith("migrating") for said in before), before
    return line


def wait_for(url, count, **options):
    """Wait until a migration has written some points."""
    end = time.monotonic() + 60
    with client_of(url, **options) as client:
        while not client.collection_exists("new") or client.count("new").count < count:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_server_that_is_gone_for_a_while(fitted):
    """A connection that is cut, or refused, ends in one line; with the server back the command goes on."""
    linear_map, path = fitted
    with running() as server:
        fill(server.url)
        process = start(server.url, path)
        wait_for(server.url, 100)
    assert failure(process).startswith("intertwine: error: Qdrant: ")
    assert "refused; what was written stays" in failure(start(server.url, path))
    written = server.held.client.count("new").count
    assert 100 <= written < N
    with running(again=server):
        places = f"{server.url}/live", f"{server.url}/new"
        summary = migrate(*places, path, options=MigrateOptions(switch=True))
        assert (summary["written"], summary["switched"]) == (N - written, True)
        assert_holds(places[0], linear_map.apply(VECTORS))


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_server_that_is_killed(fitted):
    """A server killed amid a migration is one line, and so is one that comes up empty; none shows the key."""
    line = [sys.executable, qdrant_server.__file__, "--api-key", "sesame"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        url = f"qdrant://127.0.0.1:{int(process.stdout.readline())}"
        fill(url, api_key="sesame")
        running_command = start(url, fitted[1], key="sesame")
        wait_for(url, 60, api_key="sesame")
        process.kill()
        said = failure(running_command)
    assert said.startswith("intertwine: error: Qdrant: ")
    assert said.endswith("what was written stays")
    with running(port=int(url.rpartition(":")[2]), api_key="sesame"):
        empty = failure(start(url, fitted[1], options="?api_key=sesame"))
    assert empty.endswith("there is no collection 'live', only none")
    assert "sesame" not in said + empty


def test_keys_and_a_prefix(fitted, monkeypatch):
    """The key goes to the server from the address or the environment; a wrong one is one line without it."""
    refused = r"refuses the API key, or there is none \(status 401\)"
    missing = "there is no collection 'my items', only none"
    monkeypatch.delenv("QDRANT_API_KEY", raising=False)
    with running(api_key="sesame", prefix="/pre") as server:
        text = f"{server.url}/my%20items"
        for options, message in {
            "": refused,
            "?api_key=turnip": refused,
            "?api_key=sesame": missing,
        }.items():
            with pytest.raises(InputError, match=message):
                open_store(text + options)
        for key, message in {"turnip": refused, "sesame": missing}.items():
            monkeypatch.setenv("QDRANT_API_KEY", key)
            with pytest.raises(InputError, match=message) as caught:
                open_store(text)
            assert key not in str(caught.value)
        said = failure(start(server.url, fitted[1], options="?api_key=turnip"))
    assert "refuses the API key" in said
    assert "turnip" not in said


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/collections/items/shards", None, 404),
        ("GET", "/collections/nothing", None, 404),
        ("PUT", "/collections/items", {"vectors": {"size": 2, "distance": "Dot"}}, 409),
        ("POST", "/collections/items/points/scroll", {"limt": 3}, 400),
        ("PUT", "/collections/items/points", {"points": [{"id": 1, "vector": [1]}]}, 400),
        ("PATCH", "/collections/items", {"hnsw_config": {"m": 3}}, 400),
    ],
)
def test_the_stand_in_refuses(server, method, path, body, status):
    """What the stand-in does not know, and what Qdrant's own models do not, is an error as Qdrant's are."""
    answer = httpx.request(method, http(server.url) + path, json=body)
    assert answer.status_code == status
    assert isinstance(answer.json()["status"]["error"], str)
