"""Changes that others make to a LanceDB table before, during and after a switch, and on the way back."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import product

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import FTS, BTree, HnswSq, IvfRq, LabelList
from tests.stores.migration import finished_after_a_kill, held_by_another_process

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.storage.files import sha256_file
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.lancedb import carry as lancedb_carry
from intertwine.stores.lancedb import switch as lancedb_switch
from intertwine.stores.lancedb.new_table import NewTable
from intertwine.stores.origins import ORIGIN

N, D, E = 400, 12, 20
RNG = np.random.default_rng(0)
OLD = RNG.standard_normal((N, D)).astype(np.float32)
NOW = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours, and its file."""
    columns = np.linalg.qr(RNG.standard_normal((E, D)))[0]
    linear_map = LinearMap(columns, RNG.standard_normal(E) / 9, Space("a", D), Space("b", E), "x")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


def some_rows(ids, vectors, body="body"):
    """Return rows of the table."""
    vectors = np.asarray(vectors, np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    facts = [{"of": [item, None], "on": {"deep": str(item)}} for item in ids]
    return pa.table(
        {"id": list(ids), "body": [f"{body} {i}" for i in ids], "facts": facts, "vector": column}
    )


class Place:
    """A folder with a table, migrations of it, and what others do to it."""

    def __init__(self, folder, fitted) -> None:
        self.folder, (self.map, self.file) = folder, fitted
        self.database = lancedb.connect(folder, read_consistency_interval=timedelta(0))
        self.database.create_table("items", some_rows(range(N), OLD))
        self.source, self.target = (f"lancedb:{folder}?metric=l2#{n}" for n in ("items", "new"))

    def table(self, name="items"):
        """Return a table as it is now."""
        return self.database.open_table(name)

    def migrate(self, **options):
        """Migrate."""
        given = MigrateOptions(**{"batch_size": 90, **options})
        return migrate(self.source, self.target, self.file, options=given)

    def begin(self):
        """Return the target itself."""
        mark = MigrationRecord.of(self.map, sha256_file(self.file))
        return open_target(open_store(self.source), self.target, mark)

    def bodies(self, name="items"):
        """Return the text of every row by its id."""
        found = self.table(name).to_arrow()
        ids = found["id"].to_pylist()
        assert len(set(ids)) == len(ids)
        return dict(zip(ids, found["body"].to_pylist(), strict=True))

    def vectors(self, name="items"):
        """Return the vector of every row by its id, None where it has none."""
        found = self.table(name).to_arrow()
        return dict(zip(found["id"].to_pylist(), found["vector"].to_pylist(), strict=True))

    def mapped(self, old):
        """Return what the map makes of a vector."""
        return self.map.apply(np.asarray([old], np.float32))[0]


@pytest.fixture
def place(tmp_path, fitted):
    """Return a folder with a table of its own."""
    return Place(tmp_path / "db", fitted)


def bodies_of(ids, **others):
    """Return texts by id, as the table is made with."""
    return {i: f"body {i}" for i in ids} | {int(k[1:]): v for k, v in others.items()}


def test_what_came_after_the_switch_survives_the_way_back(place):
    """Rows added since the switch, edits and deletions are there after a rollback, and for good."""
    before = place.table().to_arrow()
    place.migrate(switch=True)
    natives = RNG.standard_normal((30, E)).astype(np.float32)
    table = place.table()
    table.add(some_rows(range(1000, 1030), natives))
    table.update(where="id = 8", values={"body": "EDITED"})
    table.delete("id = 7")
    summary = place.migrate(rollback=True)
    assert summary["notes"][0].startswith(
        "30 rows that came after the switch, 1000, 1001, 1002 among"
    )
    assert summary["notes"][1].startswith("1 row that was edited after the switch, 8, keeps its")
    assert summary["notes"][2].startswith(
        "1 row that was deleted after the switch, 7, stays deleted"
    )
    for name in ("items", "new"):
        place.table(name).optimize(cleanup_older_than=NOW)
    kept = [*(i for i in range(N) if i != 7), *range(1000, 1030)]
    expected = bodies_of(kept, _8="EDITED")
    assert place.bodies() == place.bodies("new") == expected
    found = place.vectors()
    assert all(found[i] is None for i in range(1000, 1030))
    np.testing.assert_array_equal([found[i] for i in range(N) if i != 7], np.delete(OLD, 7, axis=0))
    assert place.table().schema == before.schema
    new = place.vectors("new")
    np.testing.assert_array_equal([new[i] for i in range(1000, 1030)], natives)

    place.table().delete("id = 1001")
    place.table().update(where="id = 1002", values={"body": "again"})
    place.migrate(switch=True)
    del expected[1001]
    assert place.bodies() == {**expected, 1002: "again"}
    found = place.vectors()
    np.testing.assert_array_equal(found[1002], natives[2])
    np.testing.assert_allclose(found[8], place.mapped(OLD[8]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_way_back_without_changes_is_the_old_version(place):
    """Where nothing was written since the switch, the old version comes back, with its indexes."""
    place.table().create_index("id", config=BTree())
    before = place.table().to_arrow()
    place.migrate(switch=True)
    assert place.migrate(rollback=True)["notes"] == []
    assert place.table().to_arrow() == before
    assert [index.columns for index in place.table().list_indices()] == [["id"]]
    assert list(place.table().tags.list()) == []
    with pytest.raises(InputError, match="not switched over"):
        place.migrate(rollback=True)


@pytest.mark.slow
def test_two_columns_are_rolled_back_in_turn(place):
    """The one that was switched last goes first; the other way round is one line, and moves nothing."""
    both = place.table().to_arrow()
    place.database.create_table("two", both.append_column("other", both["vector"]))
    options = {name: MigrateOptions(**{name: True}) for name in ("switch", "rollback")}
    ways = {
        name: [f"lancedb:{place.folder}?metric=l2&vector={name}#{table}" for table in ("two", name)]
        for name in ("vector", "other")
    }
    for way in ways.values():
        migrate(*way, place.file, options=options["switch"])
    with pytest.raises(InputError, match="column other was switched over after vector; roll that"):
        migrate(*ways["vector"], place.file, options=options["rollback"])
    for name in ("other", "vector"):
        migrate(*ways[name], place.file, options=options["rollback"])
    after = place.table("two").to_arrow().sort_by("id")
    for name in ways:
        np.testing.assert_array_equal(np.stack(after[name].to_numpy()), OLD)


@pytest.mark.slow
def test_a_way_back_without_the_target(place):
    """A target that was dropped after the switch is made again, so that new vectors are kept."""
    place.migrate(switch=True)
    new = place.vectors()
    place.database.drop_table("new")
    place.table().add(some_rows([1000], np.ones((1, E))))
    place.migrate(rollback=True)
    assert place.bodies() == bodies_of([*range(N), 1000])
    assert place.vectors("new") == {**new, 1000: [1.0] * E}
    assert place.vectors()[5] == OLD[5].tolist()


@pytest.mark.slow
def test_columns_that_came_after_the_switch_stay(place):
    """A column that was added to the switched table is there after the way back, and after the next switch."""
    place.migrate(switch=True)
    place.table().add_columns({"stars": "id * 2"})
    place.migrate(rollback=True)
    assert place.table().to_arrow().sort_by("id")["stars"].to_pylist() == [2 * i for i in range(N)]
    assert place.vectors()[5] == OLD[5].tolist()
    place.migrate(switch=True)
    assert place.table().to_arrow().sort_by("id")["stars"].to_pylist() == [2 * i for i in range(N)]
    np.testing.assert_allclose(place.vectors()[5], place.mapped(OLD[5]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_the_old_vectors_are_gone(place):
    """Where the kept version was thrown away, the way back is refused in one line, and nothing changes."""
    place.migrate(switch=True)
    (tag,) = place.table().tags.list()
    place.table().tags.delete(tag)
    place.table().optimize(cleanup_older_than=NOW)
    before = place.table().to_arrow()
    with pytest.raises(InputError, match="kept the old vectors, is there no more"):
        place.migrate(rollback=True)
    assert place.table().to_arrow() == before


@pytest.mark.slow
def test_changes_between_copy_and_switch(place):
    """A row that was deleted meanwhile stays deleted, edits stay, and changed old vectors are converted again."""
    place.migrate()
    table = place.table()
    table.delete("id = 7")
    table.update(where="id = 8", values={"body": "EDITED"})
    table.add(some_rows([1000], OLD[:1]))
    table.update(where="id = 9", values={"vector": OLD[3].tolist()})
    facts = pa.table({"id": [10], "facts": [{"of": [5], "on": {"deep": "changed"}}]})
    table.merge_insert("id").when_matched_update_all().execute(facts)
    place.migrate(switch=True)
    expected = bodies_of([*(i for i in range(N) if i != 7), 1000], _8="EDITED")
    assert place.bodies() == place.bodies("new") == expected
    found = place.vectors()
    np.testing.assert_allclose(found[9], place.mapped(OLD[3]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1000], place.mapped(OLD[0]), rtol=1e-5, atol=1e-6)
    row = place.table().search().where("id = 10").to_list()[0]
    assert row["facts"] == {"of": [5], "on": {"deep": "changed"}}


@pytest.mark.slow
def test_an_edit_at_the_switch_does_not_hide_a_vector_that_changed_before_it(place, monkeypatch):
    """A row whose vector changes as the name is changed, and whose text does right after, has both."""
    place.migrate()
    over, own = RNG.standard_normal(D), RNG.standard_normal(E)
    flip = lancedb_switch._flip

    def write_beside(target, pinned, schema, pages):
        def written():
            for item in (8, 9):
                changed = {"body": "EDITED", "vector": over.tolist()}
                place.table().update(where=f"id = {item}", values=changed)
            yield from pages()

        flip(target, pinned, schema, written)
        place.table().update(where="id = 8", values={"body": "TWICE"})
        place.table().update(where="id = 9", values={"body": "TWICE", "vector": own.tolist()})

    monkeypatch.setattr(lancedb_switch, "_flip", write_beside)
    place.migrate(switch=True)
    assert place.bodies() == bodies_of(range(N), _8="TWICE", _9="TWICE")
    found = place.vectors()
    np.testing.assert_allclose(found[8], place.mapped(over), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[9], own, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[7], place.mapped(OLD[7]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("times", [1, 3])
def test_what_comes_between_look_and_write_is_not_lost(place, monkeypatch, back, times):
    """A row that changes after it was looked at, and before it is written under the name, stays as it is then."""
    place.migrate(switch=back)
    place.table().update(where="id = 3", values={"body": "EARLY"})
    size = D if back else E
    late = {item: RNG.standard_normal(size).astype(np.float32) for item in (8, 9)}
    looked, flip = NewTable.under_name, lancedb_switch._flip
    left = [times]

    def write_beside(target, pinned, schema, pages):
        def written():
            for item in (7, 8, 9, 10):
                place.table().update(where=f"id = {item}", values={"body": "EDITED"})
            yield from pages()

        flip(target, pinned, schema, written)

    def look(self, ids, version=None):
        found = looked(self, ids, version)
        if left[0] and version is None and self.carrying and 8 in found:
            left[0] -= 1
            body = f"LATE {left[0]}"
            for item in (8, 9):
                values = {"body": body, "vector": (late[item] + left[0]).tolist()}
                place.table().update(where=f"id = {item}", values=values)
            place.table().update(where="id = 10", values={"body": body})
            place.table().delete("id = 11")
        return found

    monkeypatch.setattr(lancedb_switch, "_flip", write_beside)
    monkeypatch.setattr(NewTable, "under_name", look)
    place.migrate(rollback=True) if back else place.migrate(switch=True)
    assert left == [0]
    ids = [item for item in range(N) if item != 11]
    assert place.bodies() == bodies_of(
        ids, _3="EARLY", _7="EDITED", _8="LATE 0", _9="LATE 0", _10="LATE 0"
    )
    found = place.vectors()
    for item in (8, 9):
        np.testing.assert_allclose(found[item], late[item], rtol=1e-6)
    for item in (7, 10):
        expected = OLD[item] if back else place.mapped(OLD[item])
        np.testing.assert_allclose(found[item], expected, rtol=1e-5, atol=1e-5)


def test_a_vector_that_goes_is_not_kept(place):
    """A row whose old vector becomes null has none after the switch, and a null one that comes is converted."""
    table = place.table()
    table.update(where="id = 4", values_sql={"vector": "NULL"})
    place.migrate()
    table.update(where="id = 5", values_sql={"vector": "NULL"})
    table.update(where="id = 4", values={"vector": OLD[4].tolist()})
    place.migrate(switch=True)
    found = place.vectors()
    assert found[5] is None
    np.testing.assert_allclose(found[4], place.mapped(OLD[4]), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_what_others_write_into_the_target_stays(place):
    """Natives stay when the source changes or loses them: added, over a converted one, or of other ids."""
    place.migrate()
    new, native = place.table("new"), np.full((1, E), 0.5, np.float32)
    new.add(some_rows([2000], native, "native"))
    new.merge_insert("id").when_matched_update_all().execute(some_rows([8], native, "native"))
    new.delete("id = 9")
    new.add(some_rows([9], native, "native"))
    table = place.table()
    table.update(where="id IN (8, 9)", values={"body": "EDITED"})
    summary = place.migrate(switch=True)
    assert summary["checks"]["differ"] == 2
    assert summary["notes"][0].startswith("2 of 400 items read back are not what the map makes")
    expected = bodies_of([*range(N), 2000], _8="native 8", _9="native 9", _2000="native 2000")
    assert place.bodies() == expected
    assert all(place.vectors()[i] == [0.5] * E for i in (8, 9, 2000))


@pytest.mark.slow
def test_wrong_vectors_are_refused_every_time(place):
    """Vectors that somebody spoils after the first run's check keep every later run from switching."""
    place.migrate()
    new = place.table("new")
    wrong = new.to_arrow().slice(0, 100)
    turned = -np.array(wrong["vector"].to_pylist(), np.float32)
    new.merge_insert("id").when_matched_update_all().execute(
        some_rows(wrong["id"].to_pylist(), turned)
    )
    for _ in range(2):
        with pytest.raises(InputError, match="100 of 400 items read back are not what the map"):
            place.migrate(switch=True)
        assert place.table().schema.field("vector").type.list_size == D


@pytest.mark.slow
def test_half_precision_passes_its_check(tmp_path, fitted):
    """A column of half precision is as exact as it can be, and one vector that is off by a hundredth is found."""
    place = Place(tmp_path / "db", fitted)
    place.database.drop_table("items")
    data = some_rows(range(N), OLD)
    half = data["vector"].cast(pa.list_(pa.float16(), D))
    place.database.create_table("items", data.set_column(3, "vector", half))
    assert place.migrate(switch=True)["checks"] | {"read_back": N, "differ": 0} == place_checks(
        place
    )


def place_checks(place):
    """Return what the checks of a migration that is switched say when it is done again from the start."""
    place.migrate(rollback=True)
    return place.migrate(switch=True)["checks"]


STEPS = ["_flip", "_last_like", "_complete", "put_under_name", "remove"]


@pytest.mark.quick("_last_like-False-True", "put_under_name-True-True")
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
    dim = E if back else D
    fresh, over = RNG.standard_normal((2, dim)).astype(np.float32)
    flip, wrote = lancedb_switch._flip, []

    def write_before(target, pinned, schema, pages):
        def written():
            table = place.table()
            table.add(some_rows([1000], [fresh]))
            table.update(where="id = 8", values={"body": "EDITED", "vector": over.tolist()})
            table.delete("id = 7")
            wrote.append(True)
            yield from pages()

        flip(target, pinned, schema, written)

    place.table().add(some_rows([999], [fresh]))
    expected = bodies_of([*(i for i in range(N) if i != 7), 999, 1000], _8="EDITED")
    with monkeypatch.context() as patch:
        patch.setattr(lancedb_switch, "_flip", write_before)
        options = {"rollback": True} if back else {"switch": True}
        modules = (lancedb_carry, lancedb_switch, NewTable)
        module = next(each for each in modules if hasattr(each, step))
        finished_after_a_kill(patch, module, step, done, lambda: place.migrate(**options))
    if not back:
        place.migrate(switch=True)
    else:
        # All may have been done when it was killed.
        with suppress(InputError):
            place.migrate(rollback=True)
        assert place.table().schema.field("vector").type.list_size == D
    if not wrote:
        assert place.bodies() == bodies_of([*range(N), 999])
        return
    assert place.bodies() == expected
    found = place.vectors()
    if back:
        assert (found[8], found[1000]) == (OLD[8].tolist(), None)
        new = place.vectors("new")
        assert (new[8], new[1000]) == (over.tolist(), fresh.tolist())
        assert place.bodies("new") == expected
    else:
        np.testing.assert_allclose(found[8], place.mapped(over), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1000], place.mapped(fresh), rtol=1e-5, atol=1e-6)
    tags = [name.rstrip("0123456789") for name in place.table().tags.list()]
    assert tags == ([] if back else ["intertwine-"])


@pytest.mark.slow
def test_two_runs_at_once(place):
    """A second run on the same source is refused and says who holds it, whatever its target; a kill releases it."""
    arguments = ("migrate", place.source, place.target, "--map", place.file)
    other = place.target.replace("#new", "#other")
    with held_by_another_process(*arguments, "--batch-size", 5, "--rate", 20) as process:
        for target in (place.target, other):
            with pytest.raises(InputError, match=f"another run is writing it .process {process}"):
                migrate(place.source, target, place.file)
    place.migrate(switch=True)
    assert place.bodies() == bodies_of(range(N))


@pytest.mark.slow
def test_indexes_are_as_the_sources_were(place):
    """Indexes keep their names and settings: of words, labels, numbers and vectors, in the target and after the switch."""
    table = place.table()
    words = FTS(language="German", stem=False, with_position=True, ngram_min_length=2)
    table.create_index("body", config=words, name="words")
    table.create_index("facts.of", config=LabelList())
    table.create_index("vector", config=HnswSq(distance_type="l2", m=12, ef_construction=90))
    place.migrate(switch=True)

    def settings(table):
        return {
            index.name: (index.index_type, index.columns, index.index_details)
            for index in table.list_indices()
        }

    old = settings(table.restore(table.version) or place.database.open_table("items"))
    assert {"words", "vector_idx"} <= old.keys()
    (tag,) = (t for t in place.table().tags.list())
    before = settings(place.database.open_table("items", version=int(tag.rpartition("-")[2])))
    assert settings(place.table()) == before
    assert settings(place.table("new")) == before | {
        "id_idx": ("BTree", ["id"], settings(place.table("new"))["id_idx"][2])
    }


def test_an_index_that_cannot_be_built_is_named_before(place):
    """A kind of index that the new dimension does not allow is an error of the dry run, and nothing is written."""
    wide = some_rows(range(N), np.repeat(OLD, 2, axis=1))
    place.database.create_table("wide", wide).create_index("vector", config=IvfRq(), name="fine")
    place.source = place.source.replace("#items", "#wide")
    columns = LinearMap(
        np.ones((E + 1, 2 * D)), np.zeros(E + 1), Space("a", 2 * D), Space("b", E + 1), "x"
    )
    place.file = place.folder / "wide.safetensors"
    columns.save(place.file)
    for options in ({"dry_run": True}, {}):
        with pytest.raises(
            InputError, match=r"index .fine. of kind IvfRq cannot be built .*divisible"
        ):
            place.migrate(**options)
    assert "new" not in place.database.list_tables().tables


def test_columns_that_cannot_be_carried(place):
    """Blobs, and a column of a migration's own name, are named before anything is written."""
    blob = pa.field("photo", pa.large_binary(), metadata={"lance-encoding:blob": "true"})
    schema = place.table().to_arrow().schema
    for name, field in {"blobs": blob, "own": pa.field(ORIGIN, pa.string())}.items():
        data = some_rows(range(N), OLD).append_column(field, pa.nulls(N, field.type))
        place.database.create_table(name, data, schema=schema.append(field))
        with pytest.raises(InputError, match=r"holds blobs|needs for itself"):
            migrate(place.source.replace("#items", f"#{name}"), place.target, place.file)
    assert "new" not in place.database.list_tables().tables


@pytest.mark.slow
def test_a_source_that_is_emptied_dropped_or_changed(place):
    """A source that lost its rows or itself, or has other columns, is one line; the target keeps what it has."""
    place.migrate()
    table = place.table()
    rows = table.to_arrow()
    target = place.begin()
    table.delete("true")
    with pytest.raises(InputError, match="holds no rows any more; nothing was removed"):
        target.switch(lambda batch: place.map.apply(batch.vectors))
    assert place.bodies("new") == bodies_of(range(N))
    table.add(rows)
    table.add_columns({"stars": "id * 2"})
    with pytest.raises(InputError, match=r"columns are not what the source's were \(stars\)"):
        list(target.pending(10))
    with pytest.raises(InputError, match=r"columns are not what the source's were \(stars\); undo"):
        place.migrate()
    place.database.drop_table("items")
    with pytest.raises(InputError, match="items") as caught:
        list(target.pending(10))
    assert "\n" not in str(caught.value)
    place.database.create_table("items", some_rows(range(5, N), OLD[5:], "other"))
    place.migrate(switch=True)
    assert place.bodies() == {i: f"other {i}" for i in range(5, N)}


@pytest.mark.slow
def test_twins_that_come_meanwhile(place):
    """An id that comes to stand twice in the source stops the switch, which would lose one of the rows."""
    place.migrate()
    target = place.begin()
    place.table().add(some_rows([5], OLD[:1]))
    with pytest.raises(InputError, match="id 5 stands in 2 rows"):
        target.switch(lambda batch: place.map.apply(batch.vectors))
    assert place.table().schema.field("vector").type.list_size == D
