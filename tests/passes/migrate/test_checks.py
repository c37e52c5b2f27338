"""What a migration reads back, whoever wrote it and in whichever run, and what a dry run refuses."""

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from tests.passes.migrate.small_stores import MAKERS, OLD, N, held, in_faiss, in_parquet, table

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate import run as module
from intertwine.passes.migrate.run import MigrateOptions, closing, migrate
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target

D, E = OLD.shape[1], 20
FILES = [in_parquet, in_faiss]


@pytest.mark.quick("1-in_faiss")
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("wrong", [1, pytest.param(N, marks=pytest.mark.slow)])
def test_running_again_never_passes_what_the_check_refused(
    tmp_path, fitted, make, wrong, monkeypatch
):
    """One item, or all, written wrong by an earlier run keep every later one from the switch."""
    source, target = make(tmp_path)
    before = held(source)
    apply = module.BatchMapper.map

    def mistaken(self, batch):
        mapped = apply(self, batch)
        turned = [at for at, item in enumerate(batch.ids) if int(item) >= N - wrong]
        mapped[turned] *= -1
        return mapped

    with monkeypatch.context() as patch:
        patch.setattr(module.BatchMapper, "map", mistaken)
        migrate_quietly(source, target, fitted[1])
    for _ in range(3):
        with pytest.raises(InputError, match="are not what the map makes"):
            migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    np.testing.assert_array_equal(held(source), before)


def migrate_quietly(source, target, map_file):
    """Convert without a switch, whatever a check of a sample says."""
    with suppress(InputError):
        migrate(source, target, map_file, options=MigrateOptions(batch_size=90))


@pytest.mark.quick("in_faiss")
@pytest.mark.parametrize("make", FILES)
def test_files_that_were_killed_and_went_on_are_read_back_whole(
    tmp_path, fitted, make, monkeypatch
):
    """Rows of the run that was killed, wrong, are found by the run that went on."""
    source, target = make(tmp_path)
    apply, batches = module.BatchMapper.map, iter(range(3))

    def mistaken(self, batch):
        if next(batches, None) is None:
            raise KeyboardInterrupt
        return apply(self, batch)[::-1].copy()

    with monkeypatch.context() as patch:
        patch.setattr(module.BatchMapper, "map", mistaken)
        with pytest.raises(KeyboardInterrupt):
            migrate(source, target, fitted[1], options=MigrateOptions(batch_size=40))
    for _ in range(2):
        with pytest.raises(InputError, match="are not what the map makes"):
            migrate(source, target, fitted[1], options=MigrateOptions(switch=True))


@pytest.mark.quick("in_parquet")
@pytest.mark.parametrize("make", MAKERS)
def test_all_items_are_read_back_before_a_switch(tmp_path, fitted, make):
    """A run that does not switch reads some of the whole store back, one that does all of it."""
    source, target = make(tmp_path)
    some = migrate(source, target, fitted[1])["checks"]
    every = migrate(source, target, fitted[1], options=MigrateOptions(switch=True))["checks"]
    assert (some["read_back"], every["read_back"]) == (200, N)
    assert (some["differ"], every["differ"]) == (0, 0)


def names(folder):
    """Return everything below a folder with sizes and times."""
    return sorted(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    )


@pytest.mark.parametrize("make", FILES)
def test_a_dry_run_changes_no_file_of_a_migration_that_was_begun(
    tmp_path, fitted, make, monkeypatch
):
    """It says what is left, and leaves what a killed run did as it is, even of another state."""
    source, target = make(tmp_path)
    apply, batches = module.BatchMapper.map, iter(range(2))

    def killed(self, batch):
        if next(batches, None) is None:
            raise KeyboardInterrupt
        return apply(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module.BatchMapper, "map", killed)
        with pytest.raises(KeyboardInterrupt):
            migrate(source, target, fitted[1], options=MigrateOptions(batch_size=50))
    there = names(tmp_path)
    summary = migrate(source, target, fitted[1], options=MigrateOptions(dry_run=True))
    assert any(f"{N - 100} of {N} items would be written" in note for note in summary["notes"])
    assert names(tmp_path) == there


@pytest.mark.parametrize("kind", ["zero", "infinite", "large", "taken", "foreign"])
def test_a_dry_run_refuses_what_the_run_would(tmp_path, fitted, kind):
    """Whatever the real run ends with, the dry run says, and writes nothing."""
    rows = OLD.astype(np.float16 if kind == "large" else np.float32)
    metric = "?metric=cosine" if kind == "zero" else ""
    map_file = fitted[1]
    if kind == "zero":
        rows[N - 3] = 0
    elif kind == "infinite":
        rows[N - 3] = np.inf
    elif kind == "large":
        map_file = tmp_path / "m.safetensors"
        rows *= 3
        large = 1e6 * np.eye(E, D)
        LinearMap(large, np.zeros(E), Space("a", D), Space("b", E), "large").save(map_file)
    elif kind == "taken":
        (tmp_path / ".a.npy.before-switch").write_bytes(b"mine")
    np.save(tmp_path / "a.npy", rows)
    source, target = f"npy:{tmp_path / 'a.npy'}{metric}", f"npy:{tmp_path / 'b.npy'}"
    if kind == "foreign":
        migrate(source, target, map_file)
        np.save(tmp_path / "b.npy", rows)
    there = names(tmp_path)
    said = []
    for dry in (True, False):
        options = MigrateOptions(dry_run=dry, switch=not dry, force=True)
        with pytest.raises(InputError) as raised:
            migrate(source, target, map_file, options=options)
        said.append(str(raised.value))
        if dry:
            assert names(tmp_path) == there
    assert said[0] == said[1]


@pytest.mark.slow
def test_natives_that_differ_need_a_word(tmp_path, fitted):
    """Vectors that the new model embedded itself are counted first, and many of them need --force."""
    lancedb = pytest.importorskip("lancedb")
    database = lancedb.connect(tmp_path / "l")
    database.create_table("items", table())
    source, target = (f"lancedb:{tmp_path / 'l'}?metric=cosine#{n}" for n in ("items", "items_2"))
    migrate(source, target, fitted[1])
    with closing(open_store(target)) as store:
        native = np.roll(store.read(list(range(90))), 1, axis=1)
    new = database.open_table("items_2").to_arrow()
    rows = new.take(np.argsort(new["id"].to_numpy())).slice(0, 90).to_pylist()
    for row, vector in zip(rows, native, strict=True):
        row["emb"] = vector.tolist()
    merge = database.open_table("items_2").merge_insert("id").when_matched_update_all()
    merge.execute(pa.Table.from_pylist(rows, schema=new.schema))
    with pytest.raises(InputError, match=r"90 of 400 items read back.*add --force"):
        migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    summary = migrate(source, target, fitted[1], options=MigrateOptions(switch=True, force=True))
    assert summary["checks"]["differ"] == 90
    assert summary["notes"][0].startswith("90 of 400 items read back are not what the map makes")


@pytest.mark.slow
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("make", MAKERS)
def test_ids_of_a_check_that_the_store_lacks_are_found_before_anything_is_written(
    tmp_path, fitted, make, dry_run
):
    """They are refused at once, not when all is converted."""
    source, target = make(tmp_path)
    natives = tmp_path / "natives"
    natives.mkdir()
    np.save(natives / "b.npy", fitted[0].apply(OLD[:9]))
    (natives / "ids.txt").write_text("".join(f"{10 * N + row}\n" for row in range(9)))
    there = names(tmp_path)
    with pytest.raises(InputError, match="none of the items of --check is there, such as"):
        migrate(source, target, fitted[1], options=MigrateOptions(check=natives, dry_run=dry_run))
    if make in FILES:
        assert names(tmp_path) == there
    with (
        closing(open_store(source)) as store,
        closing(open_target(store, target, MigrationRecord.of(fitted[0], "0" * 64))) as place,
    ):
        assert not place.exists()
