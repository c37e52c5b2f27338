"""Files that somebody writes to before, between and after a migration, its switch and its rollback."""

import os
import shutil
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.stores.rows import file_migration
from tests.stores.rows.file_migration import MARK, NEW, OLD, begin, convert, mapped, migrate
from tests.vectors_data import load_vectors, save_vectors

from intertwine.errors import InputError
from intertwine.spaces import Space
from intertwine.stores import MigrationRecord, open_store, open_target
from intertwine.stores.rows import switch as file_switch

N = 300
ROWS = np.random.default_rng(3).standard_normal((N, OLD)).astype(np.float32)
NATIVE = np.random.default_rng(4).standard_normal((N + 50, NEW)).astype(np.float32)
CUTS = (0, 100, 120, N)


def save_many(folder):
    """Write rows as three files, one of them in a folder of its own; return their paths."""
    paths = [folder / "a/x.parquet", folder / "b.parquet", folder / "c.parquet"]
    for path, start, stop in zip(paths, CUTS, CUTS[1:], strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_vectors(path, ROWS[start:stop])
    return paths


@pytest.fixture
def switched(tmp_path):
    """Return the address and files of a source that stands for new vectors, and the target's."""
    paths = save_many(tmp_path / "data")
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    migrate(source, text)
    begin(source, text)[1].switch(convert)
    return source, text, paths


def replace(path, rows):
    """Write a file of vectors beside and give it a name in one step."""
    save_vectors(path.with_name("x.tmp.parquet"), rows).replace(path)


def rewrite(path, rows):
    """Write a file of vectors in place."""
    path.write_bytes(save_vectors(path.with_name("x.tmp.parquet"), rows).read_bytes())
    path.with_name("x.tmp.parquet").unlink()


def with_old_times(write):
    """Return a way to write that puts back the file's times."""

    def written(path, rows):
        status = path.stat()
        write(path, rows)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return written


WAYS = [replace, rewrite, with_old_times(replace), with_old_times(rewrite)]
NAMES = ["replaced", "in place", "replaced, old times", "in place, old times"]


def roll_back(source, text, **options):
    """Roll back as the pass does, and return the notes."""
    return open_target(open_store(source, before_switch=True), text, MARK).rollback(**options)


@pytest.mark.quick(
    "50-replaced, old times", "50-replaced", "0-replaced", "0-replaced, old times", "0-in place"
)
@pytest.mark.parametrize("write", WAYS, ids=NAMES)
@pytest.mark.parametrize("more", [50, 0])
def test_a_file_written_since_the_switch_is_not_lost(switched, write, more):
    """A rollback refuses and names it; forced, it keeps the new content under the name that it says."""
    source, text, paths = switched
    fresh = NATIVE[: 180 + more]
    write(paths[2], fresh)
    with pytest.raises(InputError, match=rf"c\.parquet was written .* holds {180 + more} rows now"):
        roll_back(source, text)
    np.testing.assert_array_equal(load_vectors(paths[2]), fresh)
    (note,) = [note for note in roll_back(source, text, force=True) if "kept as" in note]
    aside = Path(note.rpartition(" ")[2])
    assert aside.name == ".c.parquet.since-switch"
    shutil.copy(aside, paths[2].with_name("seen.parquet"))
    np.testing.assert_array_equal(load_vectors(paths[2].with_name("seen.parquet")), fresh)
    paths[2].with_name("seen.parquet").unlink()
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)
    with pytest.raises(InputError, match="nothing to roll back"):
        roll_back(source, text)
    assert migrate(source, text) in {0, 180}
    np.testing.assert_allclose(open_store(text).read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)


def test_what_is_kept_is_never_written_over(switched):
    """A second forced rollback takes another name."""
    source, text, paths = switched
    for rows in (NATIVE[:5], NATIVE[5:12]):
        replace(paths[0], rows)
        roll_back(source, text, force=True)
        migrate(source, text)
        begin(source, text)[1].switch(convert)
    kept = sorted(paths[0].parent.glob(".*since-switch*"))
    assert [path.name for path in kept] == [".x.parquet.since-switch", ".x.parquet.since-switch-2"]
    assert [pq.read_metadata(path).num_rows for path in kept] == [5, 7]


def test_files_added_since_the_switch_are_named_and_put_aside(switched, tmp_path):
    """Rows of the new model in a file of their own do not mix with the old ones."""
    source, text, paths = switched
    (tmp_path / "data/d").mkdir()
    save_vectors(tmp_path / "data/d/new.parquet", NATIVE[:7])
    assert open_store(source).count() == N + 7
    with pytest.raises(InputError, match=r"d/new\.parquet was added since the switch"):
        roll_back(source, text)
    notes = roll_back(source, text, force=True)
    assert any("new.parquet.since-switch" in note for note in notes)
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)
    assert open_store(source).count() == N
    assert pq.read_metadata(tmp_path / "data/d/.new.parquet.since-switch").num_rows == 7
    assert paths[0].exists()


def test_a_file_removed_since_the_switch_does_not_come_back_unasked(switched):
    """Its removal is named; forced, the old content stands there again."""
    source, text, paths = switched
    paths[1].unlink()
    assert open_store(source).dim == NEW
    assert begin(source, text)[1].switched()
    with pytest.raises(InputError, match=r"b\.parquet was removed since the switch"):
        roll_back(source, text)
    assert not paths[1].exists()
    roll_back(source, text, force=True)
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)


def test_one_file_that_is_gone_can_be_rolled_back(tmp_path):
    """Where nothing stands under the only name, the address still finds what is kept."""
    path = save_vectors(tmp_path / "in.parquet", ROWS)
    source, text = f"parquet:{path}", f"parquet:{tmp_path / 'new.parquet'}"
    migrate(source, text)
    begin(source, text)[1].switch(convert)
    path.unlink()
    with pytest.raises(InputError, match="was removed since the switch"):
        roll_back(source, text)
    roll_back(source, text, force=True)
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)


def test_what_cannot_be_read_any_more_can_be_rolled_back(switched):
    """A file that was cut since the switch is refused, kept when forced, and the old one is back."""
    source, text, paths = switched
    paths[1].write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="held 20 rows and cannot be read now"):
        roll_back(source, text)
    roll_back(source, text, force=True)
    assert (paths[1].parent / ".b.parquet.since-switch").read_bytes() == b"PAR1 no more"
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)


def test_converted_vectors_outlive_their_own_folder(switched, tmp_path):
    """Where only the source's names have them, a rollback gives them their own names again."""
    source, text, _ = switched
    shutil.rmtree(tmp_path / "new")
    assert roll_back(source, text) == []
    np.testing.assert_allclose(open_store(text).read(range(N)), mapped(ROWS), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", range(6))
def test_a_rollback_that_was_killed_goes_on(switched, monkeypatch, steps):
    """After any of its steps the next one ends it, and says the same of what was written since."""
    source, text, paths = switched
    replace(paths[1], NATIVE[:9])
    left = iter([True] * steps)

    def counted(step):
        def run(*given, **more):
            if not next(left, False):
                raise KeyboardInterrupt
            return step(*given, **more)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(file_switch, "give_name", counted(file_switch.give_name))
        for name in ("settle", "keep_since"):
            step = counted(getattr(file_switch, name))
            patch.setattr(file_switch, name, step)
            patch.setattr(f"intertwine.stores.rows.switched_files.{name}", step)
        with pytest.raises(KeyboardInterrupt):
            roll_back(source, text, force=True)
    if steps < 3:
        with pytest.raises(InputError, match="holds 9 rows now"):
            roll_back(source, text)
    roll_back(source, text, force=True)
    assert pq.read_metadata(paths[1].parent / ".b.parquet.since-switch").num_rows == 9
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)
    assert [path.name for path in paths[1].parent.rglob(".*")] == [".b.parquet.since-switch"]


@pytest.mark.quick("replaced, old times", "replaced")
@pytest.mark.parametrize("write", WAYS, ids=NAMES)
def test_a_file_of_the_source_that_changes_is_converted_again(tmp_path, write):
    """Of one size, and with the times of the old one put back, too; rights and links change nothing."""
    paths = save_many(tmp_path / "data")
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    migrate(source, text)
    paths[0].chmod(0o600)
    os.link(paths[2], tmp_path / "backup")
    os.utime(paths[2])
    assert migrate(source, text) == 0
    write(paths[1], -ROWS[100:120])
    with pytest.raises(InputError, match=r"b\.parquet is not finished, or the source has changed"):
        begin(source, text)[1].switch(convert)
    assert migrate(source, text) == 20
    begin(source, text)[1].switch(convert)
    expected = mapped(ROWS)
    expected[100:120] *= -1
    np.testing.assert_allclose(open_store(source).read(range(N)), expected, rtol=1e-6, atol=1e-6)


def test_a_file_that_changes_while_it_is_converted_is_not_finished(tmp_path):
    """What was read before and after does not end up in one file."""
    path = save_vectors(tmp_path / "in.npy", ROWS)
    source, text = f"npy:{path}", f"npy:{tmp_path / 'new.npy'}"
    migrate(source, text, size=100, most=2)
    with_old_times(np.save)(path, -ROWS)
    assert migrate(source, text) == N
    np.testing.assert_allclose(
        load_vectors(tmp_path / "new.npy"), mapped(-ROWS), rtol=1e-6, atol=1e-6
    )
    path, text = save_vectors(tmp_path / "b.npy", ROWS), f"npy:{tmp_path / 'c.npy'}"
    _, target = begin(f"npy:{path}", text)
    batches = list(target.pending(200))
    target.write(batches[0], convert(batches[0]))
    with_old_times(np.save)(path, -ROWS)
    with pytest.raises(InputError, match="has changed while it was converted"):
        target.write(batches[1], convert(batches[1]))
    target.close()
    assert not (tmp_path / "c.npy").exists() or migrate(f"npy:{path}", text) == N
    np.testing.assert_allclose(
        load_vectors(tmp_path / "c.npy"), mapped(-ROWS), rtol=1e-6, atol=1e-6
    )


def test_files_that_come_and_go_between_runs(tmp_path):
    """A new file is converted alone; what was made of one that is gone goes, and is not switched to."""
    paths = save_many(tmp_path / "data")
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    migrate(source, text)
    save_vectors(tmp_path / "data/a/w.parquet", -ROWS[:11])
    paths[2].unlink()
    with pytest.raises(InputError, match="not finished, or the source has changed"):
        begin(source, text)[1].switch(convert)
    assert migrate(source, text) == 11
    assert not (tmp_path / "new/c.parquet").exists()
    begin(source, text)[1].switch(convert)
    expected = np.concatenate([-mapped(ROWS[:11]), mapped(ROWS[:120])])
    np.testing.assert_allclose(open_store(source).read(range(131)), expected, rtol=1e-6, atol=1e-6)


def test_a_folder_that_grows_beside_the_only_one_moves_nothing(tmp_path):
    """Names below the address's own folder, not below what its files have in common."""
    (tmp_path / "data/x").mkdir(parents=True)
    (tmp_path / "data/y").mkdir()
    save_vectors(tmp_path / "data/x/1.parquet", ROWS[:50])
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    migrate(source, text)
    save_vectors(tmp_path / "data/y/1.parquet", ROWS[50:80])
    assert migrate(source, text) == 30
    begin(source, text)[1].switch(convert)
    assert {
        str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*.parquet")
    } == {
        "x/1.parquet",
        "y/1.parquet",
    }
    np.testing.assert_allclose(
        open_store(source).read(range(80)), mapped(ROWS[:80]), rtol=1e-6, atol=1e-6
    )


def test_a_target_that_somebody_else_wrote_to_is_left_alone(tmp_path):
    """A file that changed, or that stands where one is to be, is refused by name and stays."""
    paths = save_many(tmp_path / "data")
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    migrate(source, text)
    mine = save_vectors(tmp_path / "new/b.parquet", NATIVE[:20]).read_bytes()
    for step in (
        begin(source, text)[1].require_ready,
        lambda: begin(source, text)[1].switch(convert),
        lambda: migrate(source, text),
    ):
        with pytest.raises(InputError, match=r"new/b\.parquet was changed by something else"):
            step()
    save_vectors(paths[1], -ROWS[100:120])
    with pytest.raises(InputError, match=r"new/b\.parquet was changed by something else"):
        migrate(source, text)
    assert (tmp_path / "new/b.parquet").read_bytes() == mine
    (tmp_path / "new/b.parquet").unlink()
    assert migrate(source, text) == 20
    (tmp_path / "new/d.parquet").write_bytes(mine)
    save_vectors(tmp_path / "data/d.parquet", ROWS[:9])
    with pytest.raises(InputError, match=r"new/d\.parquet was not made by this migration"):
        migrate(source, text)
    assert (tmp_path / "new/d.parquet").read_bytes() == mine


@pytest.mark.parametrize("place", ["data/new", "data/a/b"])
def test_a_target_among_the_sources_own_files_is_refused(tmp_path, place):
    """The next run would take it for files to convert."""
    save_many(tmp_path / "data")
    with pytest.raises(InputError, match="would be one of the files of"):
        begin(f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / place}")
    pattern = f"parquet:{tmp_path / 'data'}/**/*.parquet"
    with pytest.raises(InputError, match="would be one of the files of"):
        begin(pattern, f"parquet:{tmp_path / place}")


@pytest.mark.parametrize(
    ("place", "pattern"),
    [
        ("link/new", ""),
        ("data/linked/new", ""),
        ("elsewhere/new", ""),
        ("link/new", "/**/*.parquet"),
    ],
)
def test_links_hide_no_target_among_the_sources_files(tmp_path, place, pattern):
    """A folder's own name, and that of a link to it or in it, are one."""
    save_many(tmp_path / "data")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "data/linked").symlink_to("../elsewhere")
    for name in ("data", "link"):
        with pytest.raises(InputError, match="would be one of the files of"):
            begin(f"parquet:{tmp_path / name}{pattern}", f"parquet:{tmp_path / place}")


def test_files_in_linked_folders_are_converted_too(tmp_path):
    """Other readers of a dataset follow links; each folder counts once, whatever circle it is in."""
    save_many(tmp_path / "data")
    (tmp_path / "elsewhere").mkdir()
    save_vectors(tmp_path / "elsewhere/c.parquet", ROWS[:9])
    (tmp_path / "data/z").symlink_to("../elsewhere")
    (tmp_path / "elsewhere/round").symlink_to("../data")
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    n = open_store(source).count()
    assert migrate(source, text) == n
    np.testing.assert_allclose(
        open_store(f"parquet:{tmp_path / 'new/z/c.parquet'}").sample(9).vectors,
        mapped(ROWS[:9]),
        rtol=1e-5,
    )


@pytest.mark.parametrize("force", [False, True])
def test_a_dataset_is_not_rolled_back_by_half(switched, force):
    """Where the old content of one file is gone, the others stay with the new vectors too."""
    source, text, paths = switched
    paths[1].with_name(".b.parquet.before-switch").unlink()
    before = [path.read_bytes() for path in paths]
    store = open_store(source, before_switch=True)
    with pytest.raises(
        InputError, match=r"b\.parquet\.before-switch.* is gone; nothing was rolled"
    ):
        open_target(store, text, MARK).rollback(force=force)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (".b.parquet.before-switch", r"before-switch, which kept the old ones, is gone"),
        (
            ".b.parquet.intertwine.json",
            r"its old content is still in .*/\.b\.parquet\.before-switch",
        ),
    ],
)
def test_a_way_back_says_what_it_lacks(tmp_path, lost, message):
    """That nothing was switched would be wrong."""
    save_vectors(tmp_path / "b.parquet", ROWS)
    source, text = f"parquet:{tmp_path / 'b.parquet'}", f"parquet:{tmp_path / 'new.parquet'}"
    migrate(source, text)
    begin(source, text)[1].switch(convert)
    (tmp_path / lost).unlink()
    store = open_store(source, before_switch=True)
    with pytest.raises(InputError, match=message):
        open_target(store, text, MARK).rollback()


@pytest.mark.parametrize("restored", [True, False])
def test_a_dataset_with_a_lost_note_says_which_and_what_to_do(switched, restored):
    """Whatever is asked for, one line names the note, where the old content is, and two ways out."""
    source, text, paths = switched
    note = paths[1].with_name(".b.parquet.intertwine.json")
    saved = note.read_bytes()
    note.unlink()
    said = r"b\.parquet: the note of its switch, \.b\..*json, is gone, .* restore the note, or move"
    with pytest.raises(InputError, match=said):
        roll_back(source, text)
    with pytest.raises(InputError, match=said):
        open_store(source)
    if restored:
        note.write_bytes(saved)
    else:
        paths[1].replace(paths[1].with_name("b.elsewhere"))
        paths[1].with_name(".b.parquet.before-switch").replace(paths[1])
    assert roll_back(source, text) == []
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)
    assert not list(paths[1].parent.rglob(".*"))


NEXT = MigrationRecord("1" * 64, MARK.target, Space("c", NEW))


def second(source, text):
    """Switch a source that stands for new vectors to what another map makes of them."""
    migrate(source, text, mark=NEXT)
    target = begin(source, text, NEXT)[1]
    target.require_ready()
    target.switch(convert)
    return target


def test_a_second_migration_says_how_to_go_on_and_that_works(switched, tmp_path, monkeypatch):
    """What the first switch keeps is removed, be it file by file, and the second goes and comes back."""
    monkeypatch.setattr(file_migration, "MATRIX", -np.eye(NEW, dtype=np.float32))
    source, _, paths = switched
    new, text = open_store(source).read(range(N)), f"parquet:{tmp_path / 'newer'}"
    kept = [path.with_name(f".{path.name}.before-switch") for path in paths]
    for left in (3, 2, 1):
        more = rf" \(and {left - 1} more like it\)" if left > 1 else ""
        with pytest.raises(
            InputError,
            match=rf"{kept[3 - left].name}{more} is in the way: .* of a from before the switch to "
            rf"{tmp_path / 'new'}; roll that switch back, or, .* remove .* and run again",
        ):
            begin(source, text, NEXT)[1].require_ready()
        kept[3 - left].unlink()
    second(source, text)
    np.testing.assert_allclose(open_store(source).read(range(N)), -new, rtol=1e-6, atol=1e-6)
    assert open_target(open_store(source, before_switch=True), text, NEXT).rollback() == []
    np.testing.assert_array_equal(open_store(source).read(range(N)), new)
    assert open_store(source).mark().target == MARK.target


def test_what_is_switched_twice_may_be_rolled_back_first(switched, tmp_path):
    """The other way out that the line names."""
    source, text, _ = switched
    with pytest.raises(InputError, match="roll that switch back"):
        begin(source, f"parquet:{tmp_path / 'newer'}", NEXT)[1].require_ready()
    assert roll_back(source, text) == []
    np.testing.assert_array_equal(open_store(source).read(range(N)), ROWS)


@pytest.mark.parametrize("scheme", ["parquet", "npy", "faiss"])
def test_a_name_that_is_a_link_stays_one(tmp_path, scheme):
    """Converting beside is done, a switch is refused in one line, and what the line says works."""
    (tmp_path / "store").mkdir()
    real, link = tmp_path / f"store/a.{scheme}", tmp_path / f"b.{scheme}"
    index_of(real, ROWS) if scheme == "faiss" else save_vectors(real, ROWS)
    link.symlink_to(real)
    source, text = f"{scheme}:{link}", f"{scheme}:{tmp_path / 'new'}.{scheme}"
    assert migrate(source, text) == N
    target = begin(source, text)[1]
    for step in (target.require_name, lambda: target.switch(convert)):
        with pytest.raises(
            InputError, match=rf"b\.{scheme} is a link to .*store/a\.{scheme}, and a switch would"
        ):
            step()
    assert link.is_symlink()
    before = real.read_bytes()
    begin(f"{scheme}:{real}", f"{scheme}:{tmp_path / 'next'}.{scheme}")
    migrate(f"{scheme}:{real}", f"{scheme}:{tmp_path / 'next'}.{scheme}")
    begin(f"{scheme}:{real}", f"{scheme}:{tmp_path / 'next'}.{scheme}")[1].switch(convert)
    assert link.is_symlink()
    assert link.read_bytes() != before
    assert open_store(source).dim == NEW


def test_other_content_in_as_many_rows_is_not_told_by_their_number(switched):
    """Equal numbers would leave a reader to guess what has changed."""
    source, text, paths = switched
    rewrite(paths[1], ROWS[:20, :NEW])
    store = open_store(source, before_switch=True)
    with pytest.raises(InputError, match="20 rows now, as many as were switched in, but with"):
        open_target(store, text, MARK).rollback()


@pytest.mark.parametrize(
    "name", ["_metadata", "a/_common_metadata", "_delta_log", ".b.parquet.crc"]
)
def test_files_that_describe_a_dataset_are_named_before_a_switch(tmp_path, name):
    """Spark, Dask and Delta keep sizes, offsets and checksums of the files, which are others then."""
    save_many(tmp_path / "data")
    source, text = f"parquet:{tmp_path / 'data'}", f"parquet:{tmp_path / 'new'}"
    store = open_store(source)
    assert open_target(store, text, MARK).require_ready() == []
    (tmp_path / "data" / name).write_bytes(b"")
    (warning,) = open_target(store, text, MARK).require_ready()
    assert warning.startswith(f"{tmp_path / 'data' / name} says what the files beside it hold")


def index_of(path, rows, ids=None):
    """Write a FAISS index with ids of its own; return its address."""
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(rows.shape[1]))
    index.add_with_ids(rows, np.arange(len(rows)) * 3 if ids is None else ids)
    faiss.write_index(index, str(path))
    return f"faiss:{path}"


@pytest.mark.parametrize("in_place", [True, False])
def test_an_index_written_since_the_switch_is_not_lost(tmp_path, in_place):
    """Added and removed ids are named; forced, the new index is kept, and the old one is whole."""
    source, text = index_of(tmp_path / "a.index", ROWS), f"faiss:{tmp_path / 'b.index'}"
    old = (tmp_path / "a.index").read_bytes()
    migrate(source, text)
    begin(source, text)[1].switch(convert)
    index = faiss.read_index(str(tmp_path / "a.index"))
    index.remove_ids(np.array([3]))
    index.add_with_ids(NATIVE[:100], 1000 + np.arange(100))
    there = tmp_path / ("a.index" if in_place else "tmp.index")
    faiss.write_index(index, str(there))
    there.replace(tmp_path / "a.index")
    with pytest.raises(
        InputError, match=r"399 items now \(100 added, such as 1000; 1 removed, such as 3"
    ):
        roll_back(source, text)
    roll_back(source, text, force=True)
    assert (tmp_path / "a.index").read_bytes() == old
    kept = faiss.read_index(str(tmp_path / ".a.index.since-switch"))
    np.testing.assert_allclose(kept.reconstruct(1005), NATIVE[5])
    migrate(source, text)
    ids = np.arange(N) * 3
    np.testing.assert_allclose(open_store(text).read(ids), mapped(ROWS), rtol=1e-6, atol=1e-6)


def test_an_index_with_other_vectors_of_the_same_ids_is_not_lost(tmp_path):
    """Of one size and with the times put back, it is told by its content."""
    source, text = index_of(tmp_path / "a.index", ROWS), f"faiss:{tmp_path / 'b.index'}"
    migrate(source, text)
    begin(source, text)[1].switch(convert)
    status = (tmp_path / "a.index").stat()
    index_of(tmp_path / "a.index", NATIVE[:N])
    os.utime(tmp_path / "a.index", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(InputError, match=r"300 items now .of the same ids.*, where 300 rows were"):
        roll_back(source, text)


def test_old_vectors_written_since_the_switch_are_not_called_new(tmp_path):
    """A program that goes on to write the old model's vectors is found out by the next run."""
    from intertwine.maps.linear_map import LinearMap
    from intertwine.passes.migrate.run import MigrateOptions
    from intertwine.passes.migrate.run import migrate as run
    from intertwine.spaces import Space

    weight = np.linalg.qr(np.random.default_rng(1).standard_normal((OLD, NEW)))[0].T
    LinearMap(weight, np.ones(NEW), Space("a", OLD), Space("b", NEW), "t").save(tmp_path / "m.st")
    path = save_vectors(tmp_path / "in.parquet", ROWS)
    call = f"parquet:{path}", f"parquet:{tmp_path / 'new.parquet'}", tmp_path / "m.st"
    assert run(*call, options=MigrateOptions(switch=True))["switched"]
    replace(path, ROWS)
    with pytest.raises(InputError, match="got dimension 12, expected 7: vectors of another space"):
        run(*call, options=MigrateOptions(switch=True))
    with pytest.raises(InputError, match="was written since the switch"):
        run(*call, options=MigrateOptions(rollback=True))
    notes = run(*call, options=MigrateOptions(rollback=True, force=True))["notes"]
    assert "kept as" in notes[0]


def finish(target):
    """Write all that a target lacks, and finish it."""
    for batch in target.pending(100):
        target.write(batch, convert(batch))
    target.finish()


@pytest.mark.parametrize("scheme", ["faiss", "npy"])
def test_a_source_replaced_after_it_was_opened_is_not_taken_for_what_was_read(tmp_path, scheme):
    """What was read is noted as made of the state that was read, not of the one that stands there."""

    def make(rows):
        index_of(path, rows) if scheme == "faiss" else np.save(path, rows)

    path = tmp_path / f"a.{scheme}"
    source, text = f"{scheme}:{path}", f"{scheme}:{tmp_path / 'b'}.{scheme}"
    make(ROWS)
    _, target = begin(source, text)
    make(-ROWS)
    with pytest.raises(InputError, match="has changed while it was converted"):
        finish(target)
    target.close()
    migrate(source, text)
    begin(source, text)[1].switch(convert)
    ids = np.arange(N) * (3 if scheme == "faiss" else 1)
    np.testing.assert_allclose(open_store(source).read(ids), mapped(-ROWS), rtol=1e-6, atol=1e-6)


def test_a_rollback_does_not_mind_what_became_of_the_target(switched):
    """The old content is back, and the rows here that are not a migration's any more do not count."""
    source, text, _ = switched
    path = open_store(text).paths[1]
    replace(path, NATIVE[:20])
    target = open_target(open_store(source, before_switch=True), text, MARK)
    assert target.rollback() == []
    assert open_target(open_store(source), text, MARK).count() == N - 20
    np.testing.assert_array_equal(load_vectors(path), NATIVE[:20])
