"""Changes that others make to a Qdrant collection before, during and after a switch, and on the way back."""

from __future__ import annotations

from contextlib import closing, suppress
from itertools import product

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from tests.qdrant_server import running
from tests.stores.migration import finished_after_a_kill, held_by_another_process

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.storage.files import sha256_file
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.qdrant import lease as qdrant_lease
from intertwine.stores.qdrant import switch as qdrant_switch
from intertwine.stores.qdrant import target as qdrant_target
from intertwine.stores.qdrant.new_collection import NewCollection

N, D, E = 140, 12, 20
RNG = np.random.default_rng(0)
OLD = RNG.standard_normal((N, D)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours, and its file."""
    columns = np.linalg.qr(RNG.standard_normal((E, D)))[0]
    linear_map = LinearMap(columns, RNG.standard_normal(E) / 9, Space("a", D), Space("b", E), "x")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


def point(item, vector, body="body", **more):
    """Return a point."""
    vector = np.asarray(vector, float).tolist()
    payload = {"body": f"{body} {item}", "deep": {"of": [item, None]}}
    return models.PointStruct(id=item, vector={"image": vector, **more}, payload=payload)


class Place:
    """A server with a collection, migrations of it, and what others do to it."""

    def __init__(self, url, client, fitted) -> None:
        self.url, self.client, (self.map, self.file) = url, client, fitted
        dot = models.Distance.DOT
        params = {
            "image": models.VectorParams(size=D, distance=dot),
            "text": models.VectorParams(size=2, distance=models.Distance.COSINE),
        }
        client.create_collection("items", vectors_config=params)
        points = [point(i, OLD[i], text=[1.0, i + 0.3]) for i in range(N)]
        client.upsert("items", points)
        self.alias("live", "items")
        self.source, self.target = (f"{url}/{n}?vector=image" for n in ("live", "new"))

    def alias(self, alias, collection):
        """Let an alias stand for a collection."""
        steps = [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
            ),
        ]
        known = [found.alias_name for found in self.client.get_aliases().aliases]
        self.client.update_collection_aliases(steps if alias in known else steps[1:])

    def migrate(self, **options):
        """Migrate."""
        given = MigrateOptions(**{"batch_size": 90, **options})
        return migrate(self.source, self.target, self.file, options=given)

    def records(self, name="live"):
        """Return every point by its id."""
        found = self.client.scroll(name, limit=10_000, with_vectors=True)[0]
        return {record.id: record for record in found}

    def bodies(self, name="live"):
        """Return the text of every point by its id."""
        return {i: record.payload["body"] for i, record in self.records(name).items()}

    def vectors(self, name="live"):
        """Return the vector of every point by its id, None where it has none."""
        return {i: record.vector.get("image") for i, record in self.records(name).items()}

    def edit(self, item, name="live"):
        """Edit the text of a point."""
        self.client.set_payload(name, {"body": "EDITED"}, [item])

    def mapped(self, old):
        """Return what the map makes of a vector."""
        return self.map.apply(np.asarray([old], np.float32))[0]


@pytest.fixture
def place(fitted):
    """Return a server with a collection of its own."""
    with running() as server:
        address = server.url.replace("qdrant:", "http:")
        with closing(QdrantClient(url=address, check_compatibility=False)) as client:
            yield Place(server.url, client, fitted)


def bodies_of(ids, **others):
    """Return texts by id, as the collection is made with."""
    return {i: f"body {i}" for i in ids} | {int(k[1:]): v for k, v in others.items()}


@pytest.mark.slow
def test_what_came_after_the_switch_survives_the_way_back(place):
    """Points added since the switch, edits and deletions are there under the alias after a rollback."""
    before = place.records()
    place.migrate(switch=True)
    assert place.records()[5].payload == before[5].payload
    natives = RNG.standard_normal((20, E))
    place.client.upsert("live", [point(1000 + i, natives[i], text=[0.6, 0.8]) for i in range(20)])
    place.edit(8)
    place.client.update_vectors("live", [models.PointVectors(id=9, vector={"text": [0.8, 0.6]})])
    place.client.delete("live", [7])
    summary = place.migrate(rollback=True)
    assert summary["notes"][0].startswith(
        "20 points that came after the switch, 1000, 1001, 1002 among"
    )
    assert summary["notes"][1].startswith("2 points that were edited after the switch, 8, 9 among")
    assert summary["notes"][2].startswith("1 point that was deleted after the switch, 7, stays")
    kept = [*(i for i in range(N) if i != 7), *range(1000, 1020)]
    expected = bodies_of(kept, _8="EDITED")
    assert place.bodies() == place.bodies("items") == place.bodies("new") == expected
    found = place.records()
    assert found[1004].vector == {"text": pytest.approx([0.6, 0.8])}
    assert found[9].vector == {
        "image": before[9].vector["image"],
        "text": pytest.approx([0.8, 0.6]),
    }
    assert found[20] == before[20]
    np.testing.assert_allclose(place.vectors("new")[1004], natives[4], rtol=1e-6, atol=1e-6)

    place.client.delete("live", [1001])
    place.edit(1002)
    place.migrate(switch=True)
    del expected[1001]
    assert place.bodies() == {**expected, 1002: "EDITED"}
    np.testing.assert_allclose(place.vectors()[1002], natives[2], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(place.vectors()[8], place.mapped(OLD[8]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_way_back_without_changes(place):
    """Where nothing was written since the switch, every point is as it was, and nothing is said."""
    before = place.records()
    place.migrate(switch=True)
    assert place.migrate(rollback=True)["notes"] == []
    assert place.records() == before
    with pytest.raises(InputError, match="not switched over"):
        place.migrate(rollback=True)


@pytest.mark.slow
def test_points_that_came_to_the_old_collection_itself_stay(place):
    """What a program that goes by the collection's own name wrote since the switch is not taken for deleted."""
    place.migrate(switch=True)
    place.client.upsert("items", [point(2000, OLD[0])])
    place.edit(3, "items")
    place.migrate(rollback=True)
    assert place.bodies() == bodies_of([*range(N), 2000], _3="EDITED")
    place.migrate(switch=True)
    assert place.bodies() == bodies_of([*range(N), 2000], _3="EDITED")


def test_changes_between_copy_and_switch(place):
    """A point that was deleted meanwhile stays deleted, edits stay, and changed old vectors are converted again."""
    place.migrate()
    place.client.delete("live", [7])
    place.edit(8)
    place.client.upsert("live", [point(1000, OLD[0])])
    changes = [
        models.PointVectors(id=9, vector={"image": OLD[3].tolist()}),
        models.PointVectors(id=10, vector={"text": [0.8, 0.6]}),
    ]
    place.client.update_vectors("live", changes)
    place.client.overwrite_payload("live", {"body": "all new"}, [11])
    place.client.delete_vectors("live", ["image"], [12])
    place.migrate(switch=True)
    others = {"_8": "EDITED", "_11": "all new"}
    assert place.bodies() == bodies_of([*(i for i in range(N) if i != 7), 1000], **others)
    found = place.records()
    np.testing.assert_allclose(found[9].vector["image"], place.mapped(OLD[3]), rtol=1e-5, atol=1e-6)
    assert found[10].vector["text"] == pytest.approx([0.8, 0.6])
    assert found[11].payload == {"body": "all new"}
    assert "image" not in found[12].vector


def test_an_edit_at_the_switch_does_not_hide_a_vector_that_changed_before_it(place, monkeypatch):
    """A point whose vector changes as the alias moves, and whose text does right after, has both."""
    place.migrate()
    move, own = qdrant_switch._move, [0.5] * E

    def write_beside(target, before, collection):
        changes = [models.PointVectors(id=i, vector={"image": OLD[3].tolist()}) for i in (8, 9, 10)]
        place.client.update_vectors("live", changes)
        place.client.delete_vectors("live", ["image"], [11])
        move(target, before, collection)
        for item in (8, 9, 11):
            place.edit(item)
        place.client.update_vectors("live", [models.PointVectors(id=9, vector={"image": own})])

    monkeypatch.setattr(qdrant_switch, "_move", write_beside)
    place.migrate(switch=True)
    assert place.bodies() == bodies_of(range(N), _8="EDITED", _9="EDITED", _11="EDITED")
    found = place.vectors()
    for item in (8, 10):
        np.testing.assert_allclose(found[item], place.mapped(OLD[3]), rtol=1e-5, atol=1e-6)
    assert found[9] == pytest.approx(own)
    assert found[11] is None
    monkeypatch.undo()
    notes = place.migrate(rollback=True)["notes"]
    assert notes[0].startswith("3 points that were edited after the switch, 8, 9, 11 among")
    assert place.bodies() == bodies_of(range(N), _8="EDITED", _9="EDITED", _11="EDITED")
    assert place.vectors()[8] == pytest.approx(OLD[3].tolist())


@pytest.mark.slow
def test_what_others_write_into_the_target_stays(place):
    """Natives stay when the source changes or loses them: put over a converted one, or of other ids."""
    place.migrate()
    native = [0.5] * E
    place.client.upsert("new", [point(2000, native, "native"), point(8, native, "native")])
    place.client.update_vectors("new", [models.PointVectors(id=9, vector={"image": native})])
    place.client.delete("new", [13])
    for item in (8, 9):
        place.edit(item)
    place.client.delete("live", [8])
    summary = place.migrate(switch=True)
    assert summary["checks"]["differ"] == 1
    assert summary["notes"][0].startswith(
        f"1 of {N - 1} items read back are not what the map makes"
    )
    assert place.bodies() == bodies_of([*range(N), 2000], _8="native 8", _2000="native 2000")
    assert all(place.vectors()[i] == native for i in (8, 9, 2000))


def test_wrong_vectors_are_refused_every_time(place):
    """Vectors that somebody spoils after the first run's check keep every later run from switching."""
    place.migrate()
    found = {i: v for i, v in place.vectors("new").items() if i < 60}
    changes = [
        models.PointVectors(id=i, vector={"image": [-x for x in vector]})
        for i, vector in found.items()
    ]
    place.client.update_vectors("new", changes)
    for _ in range(2):
        with pytest.raises(InputError, match=f"60 of {N} items read back are not what the map"):
            place.migrate(switch=True)
        assert len(place.vectors()[0]) == D


@pytest.mark.slow
def test_vectors_spoilt_while_they_are_written_are_refused_every_time(place, monkeypatch):
    """What the server stores otherwise than it was sent is a migration's own fault, however few they are."""
    upsert = qdrant_target.QdrantTarget._insert

    def spoil(target, points):
        points[0].vector["image"] = [-x for x in points[0].vector["image"]]
        return upsert(target, points)

    monkeypatch.setattr(qdrant_target.QdrantTarget, "_insert", spoil)
    for _ in range(2):
        with pytest.raises(InputError, match="items read back"):
            place.migrate(switch=True, batch_size=5)
    assert len(place.vectors()[0]) == D


@pytest.mark.slow
def test_writes_while_the_alias_moves(place, monkeypatch):
    """What comes after the last look is carried over when the alias has moved, and later changes stay."""
    place.migrate()
    move = qdrant_switch._move

    def moved(*values):
        place.client.upsert("live", [point(1000, OLD[0]), point(1001, OLD[1])])
        place.client.delete("live", [7])
        place.edit(8)
        place.client.upsert("live", [point(9, OLD[3], "early")])
        move(*values)
        # Later ones under the alias: none is undone by what came before.
        place.client.upsert("live", [point(9, np.ones(E), "late")])
        place.client.upsert("live", [point(3000, np.ones(E))])
        place.client.delete("live", [10, 11])

    monkeypatch.setattr(qdrant_switch, "_move", moved)
    notes = place.migrate(switch=True)["notes"]
    assert any(
        "3 points that had come or changed were converted at the switch itself" in n for n in notes
    )
    kept = [*(i for i in range(N) if i not in {7, 10, 11}), 1000, 1001, 3000]
    assert place.bodies() == bodies_of(kept, _8="EDITED", _9="late 9")
    np.testing.assert_allclose(place.vectors()[1001], place.mapped(OLD[1]), rtol=1e-5, atol=1e-6)
    assert place.vectors()[9] == [1.0] * E


STEPS = ["_move", "_merge", "stands_for", "_merge_page", "_note_both"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "done", "back"),
    [
        # Each step once, before it and after it in turn; the others are slow.
        pytest.param(*case, marks=() if number // 4 % 4 == number % 4 else pytest.mark.slow)
        for number, case in enumerate(product(STEPS, [False, True], [False, True]))
    ],
)
def test_a_kill_at_any_step_of_a_switch(place, monkeypatch, step, done, back):
    """Killed before or after any step, the same command ends with what others wrote meanwhile in its place."""
    place.migrate(switch=back)
    fresh = RNG.standard_normal(E if back else D).tolist()
    move = qdrant_switch._move

    def moved(*values):
        place.client.upsert("live", [point(1000, fresh)])
        place.client.delete("live", [7])
        place.edit(8)
        move(*values)

    place.client.upsert("live", [point(999, fresh)])
    with monkeypatch.context() as patch:
        patch.setattr(qdrant_switch, "_move", moved)
        options = {"rollback": True} if back else {"switch": True}
        module = qdrant_switch if hasattr(qdrant_switch, step) else NewCollection
        finished_after_a_kill(patch, module, step, done, lambda: place.migrate(**options))
    late = 1000 in place.records("items") or 1000 in place.records("new")
    with suppress(InputError if back else KeyError):
        place.migrate(**options)
    expected = bodies_of([*range(N), 999])
    if late:
        del expected[7]
        expected |= {8: "EDITED", 1000: "body 1000"}
    assert place.bodies() == expected
    name = "items" if back else "new"
    assert place.client.get_aliases().aliases[0].collection_name == name
    found = place.vectors()
    for item in (999, 1000) if late else (999,):
        if back:
            assert found[item] is None
            np.testing.assert_allclose(place.vectors("new")[item], fresh, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_allclose(found[item], place.mapped(fresh), rtol=1e-5, atol=1e-6)
    if back:
        assert place.bodies("new") == expected


@pytest.mark.slow
def test_two_runs_at_once(place):
    """A second run on the same target is refused and says who holds it; a kill releases it."""
    arguments = ("migrate", place.source, place.target, "--map", place.file)
    with (
        held_by_another_process(*arguments, "--batch-size", 5, "--rate", 20) as process,
        pytest.raises(InputError, match=f"another run is writing it .process {process}"),
    ):
        place.migrate()
    place.migrate(switch=True)
    assert place.bodies() == bodies_of(range(N))


@pytest.mark.slow
def test_aliases_of_others(place):
    """Another alias of the source, and one that somebody else moves, are one line before anything moves."""
    place.alias("search", "items")
    with pytest.raises(
        InputError, match=r"has other aliases too \(search\), which a switch of live"
    ):
        place.migrate(dry_run=True)
    assert "other aliases too" in place.migrate(force=True)["notes"][0]
    place.client.update_collection_aliases(
        [models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="search"))]
    )
    with closing(open_store(place.source)) as source:
        target = open_target(source, place.target, qdrant_target_mark(place))
        params = models.VectorParams(size=D, distance=models.Distance.DOT)
        place.client.create_collection("elsewhere", vectors_config={"image": params})
        place.alias("live", "elsewhere")
        with pytest.raises(InputError, match="stands for 'elsewhere' now and not for 'items'"):
            target.switch(lambda batch: place.map.apply(batch.vectors))
    assert place.client.get_aliases().aliases[0].collection_name == "elsewhere"


def qdrant_target_mark(place):
    """Return the mark of a migration."""
    return MigrationRecord.of(place.map, sha256_file(place.file))


@pytest.mark.slow
def test_a_source_that_is_emptied(place):
    """A source that lost all its points is one line, and the target keeps what it has."""
    place.migrate()
    with closing(open_store(place.source)) as source:
        target = open_target(source, place.target, qdrant_target_mark(place))
        place.client.delete("items", list(range(N)))
        with pytest.raises(InputError, match="holds no points any more; nothing was removed"):
            target.switch(lambda batch: place.map.apply(batch.vectors))
    assert len(place.records("new")) == N


@pytest.mark.slow
def test_a_ledger_or_an_old_collection_that_is_gone(place):
    """Without its ledger a target is not gone on with, and without the old collection there is no way back."""
    place.migrate()
    place.client.delete_collection("new-origins")
    with pytest.raises(InputError, match="its ledger, the collection 'new-origins', is missing"):
        place.migrate(switch=True)
    place.client.delete_collection("new")
    place.migrate(switch=True)
    place.client.delete_collection("items")
    with pytest.raises(InputError, match="there is no collection 'items'"):
        place.migrate(rollback=True)
    assert place.bodies() == bodies_of(range(N))


@pytest.mark.slow
def test_a_run_of_another_machine(place, monkeypatch, tmp_path):
    """What holds the lock file of another machine is known by its note, until that runs out."""
    place.migrate()
    with closing(open_store(place.source)) as source:
        target, other = (
            open_target(source, place.target, qdrant_target_mark(place)) for _ in range(2)
        )
        monkeypatch.setattr(qdrant_target, "gettempdir", lambda: str(tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr(qdrant_lease.platform, "node", lambda: "elsewhere")
            patch.setattr(qdrant_lease, "RENEWED_AFTER", 0)
            lock = target.lock()
            lock.__enter__()
            before = target.ledger.metadata()["lease"]
            target.count()
            assert target.ledger.metadata()["lease"] > before
        monkeypatch.setattr(qdrant_target, "gettempdir", lambda: str(tmp_path / "other"))
        with pytest.raises(InputError, match=r"another run is writing it .* on elsewhere since"):
            other.lock().__enter__()
        with monkeypatch.context() as patch:
            now = qdrant_lease.time.time() + qdrant_lease.SECONDS
            patch.setattr(qdrant_lease.time, "time", lambda: now)
            with other.lock():
                pass
        lock.__exit__(None, None, None)
    place.migrate(switch=True)
    assert place.bodies() == bodies_of(range(N))


@pytest.mark.quick("limits1-strict mode has upsert_max_batchsize 5")
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_query_limit": 10}, "strict mode has max_query_limit 10, and a migration needs 1000"),
        ({"upsert_max_batchsize": 5}, "strict mode has upsert_max_batchsize 5"),
    ],
)
def test_settings_that_are_in_the_way(place, limits, message):
    """Limits of strict mode that a migration would run into are named in a dry run."""
    strict = models.StrictModeConfig(enabled=True, **limits)
    params = {"image": models.VectorParams(size=D, distance=models.Distance.DOT)}
    place.client.create_collection("strict", vectors_config=params, strict_mode_config=strict)
    place.client.upsert("strict", [point(i, OLD[i]) for i in range(N)])
    given = MigrateOptions(dry_run=True)
    with pytest.raises(InputError, match=message):
        migrate(place.source.replace("/live", "/strict"), place.target, place.file, options=given)
    assert not place.client.collection_exists("new")
