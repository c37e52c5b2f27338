"""Rows without a vector, files without rows, tensors and streams: in tables that are migrated or mapped."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.apply import apply_file
from intertwine.passes.migrate.run import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import open_store

N, D, E = 400, 6, 5
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((N, D)).astype(np.float32)
NULLS = [0, 1, 57, 58, 250, N - 1]
PRESENT = np.setdiff1d(np.arange(N), NULLS)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours, and its file."""
    weight = np.linalg.qr(np.random.default_rng(1).standard_normal((D, E)))[0].T
    drawn = LinearMap(weight, np.full(E, 0.1), Space("a", D), Space("b", E), "drawn")
    path = tmp_path_factory.mktemp("map") / "m.safetensors"
    drawn.save(path)
    return drawn, path


def lists(rows, nulls, kind):
    """Return rows as an Arrow array of lists of some kind, some of them null."""
    values = [None if row in nulls else vector.tolist() for row, vector in enumerate(rows)]
    if kind == "tensor":
        tensor = pa.fixed_shape_tensor(pa.float32(), [rows.shape[1]])
        stored = pa.array(values, pa.list_(pa.float32(), rows.shape[1]))
        return pa.ExtensionArray.from_storage(tensor, stored)
    kinds = {
        "fixed": pa.list_(pa.float32(), rows.shape[1]),
        "list": pa.list_(pa.float32()),
        "large": pa.large_list(pa.float32()),
    }
    return pa.array(values, kinds[kind])


def save(path, rows=ROWS, nulls=NULLS, kind="list"):
    """Write a table file, Parquet, Arrow or an Arrow stream, by its name; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": np.arange(len(rows)), "emb": lists(rows, nulls, kind)})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=150)
        return path
    new = pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=130)
    return path


def read(path):
    """Return a table file as a table."""
    if ".parquet" in path.name:
        return pq.read_table(path)
    new = pa.ipc.open_stream if "stream" in path.name else pa.ipc.open_file
    with pa.OSFile(str(path)) as source:
        return new(source).read_all()


def vectors_of(path):
    """Return a file's vectors with None for null ones, and the rest of its columns."""
    table = read(path)
    column = table.column("emb").combine_chunks()
    column = getattr(column, "storage", column)
    return column.to_pylist(), table.column("id").to_pylist()


NAMES = ["a.parquet", "a.arrow", "a.stream.arrow"]


@pytest.mark.quick("a.stream.arrow-fixed")
@pytest.mark.parametrize("kind", ["fixed", "list", "large", "tensor"])
@pytest.mark.parametrize("name", NAMES)
def test_null_vectors_stay_null(tmp_path, fitted, name, kind):
    """They are null in what is switched to, every other row is mapped, types and columns stay."""
    path, other = save(tmp_path / name, kind=kind), tmp_path / f"new.{name}"
    scheme = "parquet" if path.suffix == ".parquet" else "arrow"
    options = MigrateOptions(batch_size=60)
    source, target = f"{scheme}:{path}#emb", f"{scheme}:{other}#emb"
    dry = migrate(source, target, fitted[1], options=MigrateOptions(dry_run=True))
    assert any(f"{N} of {N} items would be written" in note for note in dry["notes"])
    migrate(source, target, fitted[1], options=options)
    summary = migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    assert summary["checks"]["read_back"] == len(PRESENT)
    found, ids = vectors_of(path)
    assert [row for row, vector in enumerate(found) if vector is None] == NULLS
    assert ids == list(range(N))
    np.testing.assert_allclose(
        [found[row] for row in PRESENT], fitted[0].apply(ROWS[PRESENT]), atol=1e-5
    )
    before, after = read(tmp_path / f".{name}.before-switch"), read(path)
    assert str(after.schema.field("emb").type) == str(before.schema.field("emb").type).replace(
        f"[{D}]", f"[{E}]"
    )
    migrate(source, target, fitted[1], options=MigrateOptions(rollback=True))
    assert vectors_of(path)[0][57] is None
    store = open_store(source)
    assert not set(NULLS) & set(np.ravel(store.search(ROWS[:3] + 0.01, 20)).tolist())


@pytest.mark.quick("fixed")
@pytest.mark.parametrize("kind", ["fixed", "list"])
def test_parts_of_a_dataset_that_hold_no_vector(tmp_path, fitted, kind):
    """A part without rows, or of null vectors alone, takes its dimension from the others."""
    folder = tmp_path / "data"
    save(folder / "year=1/a.parquet", ROWS[:0], (), kind)
    save(folder / "year=2/a.parquet", ROWS[:50], range(50), kind)
    save(folder / "year=3/a.parquet", ROWS[:90], NULLS, kind)
    save(folder / "year=4/a.parquet", ROWS[:0], (), kind)
    source, target = f"parquet:{folder}#emb", f"parquet:{tmp_path / 'new'}#emb"
    summary = migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    assert summary["switched"]
    sizes = [len(read(path)) for path in sorted(folder.rglob("*.parquet"))]
    assert sizes == [0, 50, 90, 0]
    assert vectors_of(folder / "year=2/a.parquet")[0] == [None] * 50
    found = vectors_of(folder / "year=3/a.parquet")[0]
    np.testing.assert_allclose(found[70], fitted[0].apply(ROWS[70:71])[0], atol=1e-5)
    assert open_store(source).dim == E


def test_a_store_without_any_vector_is_refused(tmp_path, fitted):
    """There is nothing to tell its dimension by, or nothing to convert."""
    save(tmp_path / "a.parquet", ROWS[:0])
    with pytest.raises(InputError, match="holds no vectors"):
        open_store(f"parquet:{tmp_path / 'a.parquet'}#emb")
    save(tmp_path / "b.parquet", ROWS[:9], range(9), "fixed")
    source, target = f"parquet:{tmp_path / 'b.parquet'}", f"parquet:{tmp_path / 'c.parquet'}"
    with pytest.raises(InputError, match="holds no vectors"):
        migrate(source, target, fitted[1])


@pytest.mark.quick("400")
@pytest.mark.parametrize("size", [400, 3000])
def test_a_file_whose_first_thousands_are_null(tmp_path, fitted, size):
    """Vectors behind them are found, and mapped."""
    rows = np.tile(ROWS, (size // N + 1, 1))[:size]
    save(tmp_path / "a.parquet", rows, range(size - 150), "list")
    source, target = f"parquet:{tmp_path / 'a.parquet'}", f"parquet:{tmp_path / 'b.parquet'}"
    summary = migrate(source, target, fitted[1], options=MigrateOptions(switch=True))
    assert summary["checks"]["read_back"] == 150


def test_nan_is_not_null(tmp_path, fitted):
    """A list of NaN that is not null is refused by its row, in a dry run too."""
    rows = ROWS.copy()
    rows[123] = np.nan
    source, target = f"parquet:{tmp_path / 'a.parquet'}", f"parquet:{tmp_path / 'b.parquet'}"
    save(tmp_path / "a.parquet", rows)
    for dry in (True, False):
        with pytest.raises(InputError, match="emb of row 123 holds NaN"):
            migrate(source, target, fitted[1], options=MigrateOptions(dry_run=dry))


@pytest.mark.parametrize("output", ["b.parquet", "b.arrow"])
@pytest.mark.parametrize("name", NAMES)
def test_mapping_a_file_into_a_table_keeps_null_vectors(tmp_path, fitted, name, output):
    """Into a format that has nulls they stay, into any other they are refused by their row."""
    path = save(tmp_path / name, kind="fixed")
    apply_file(fitted[1], path, tmp_path / output)
    table = read(tmp_path / output)
    found = table.column("emb").to_pylist()
    assert [row for row, vector in enumerate(found) if vector is None] == NULLS
    np.testing.assert_allclose(
        [found[row] for row in PRESENT], fitted[0].apply(ROWS[PRESENT]), atol=1e-5
    )
    with pytest.raises(InputError, match="emb of row 0 is null"):
        apply_file(fitted[1], path, tmp_path / "b.npy")


def test_tensors_that_are_no_vectors_are_refused(tmp_path):
    """Of several dimensions, permuted or not: one line says what shape they have."""
    for permutation in (None, [1, 0]):
        tensor = pa.fixed_shape_tensor(pa.float32(), [2, 3], permutation=permutation)
        stored = pa.array(ROWS.tolist(), pa.list_(pa.float32(), 6))
        table = pa.table({"emb": pa.ExtensionArray.from_storage(tensor, stored)})
        with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(
            InputError, match=r"emb holds tensors of shape \[2, 3\], expected vectors"
        ):
            open_store(f"arrow:{tmp_path / 'a.arrow'}#emb")


def test_single_numbers_are_no_lists(tmp_path):
    """A dictionary of numbers is a column of numbers, not of vectors."""
    numbers = pa.array(ROWS[:, 0]).dictionary_encode()
    pq.write_table(pa.table({"emb": numbers}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="of which none hold lists of numbers"):
        open_store(f"parquet:{tmp_path / 'a.parquet'}")


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_stream_is_read_as_a_file_is(tmp_path, compression):
    """In any order of its rows, whatever its compression; where it is cut it is refused."""
    path = tmp_path / "a.arrow"
    table = pa.table({"emb": lists(ROWS, (), "fixed"), "text": ["x" * 50] * N})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=90)
    store = open_store(f"arrow:{path}")
    ids = [399, 3, 200, 3, 90, 89]
    np.testing.assert_array_equal(store.read(ids), ROWS[ids])
    whole = path.read_bytes()
    ends = [at for at in range(len(whole) - 8) if whole[at : at + 4] == b"\xff\xff\xff\xff"]
    for cut in (ends[-1], ends[-2], len(whole) - 8, len(whole) - 3, 200):
        path.write_bytes(whole[:cut])
        with pytest.raises(FileFormatError, match=r"a\.arrow: cannot be read"):
            open_store(f"arrow:{path}")
