import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from tests.helpers import covering
from tests.vectors_data import load_table, load_vectors, save_vectors, table_of

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.npy import NpyFile
from intertwine.vectors import FORMATS, open_vectors, split_name, write_vectors

RNG = np.random.default_rng(0)
N, D = 250, 5


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed", "lists"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_read_by_rows(tmp_path, ending, dtype, fixed):
    """Any range of rows of any format and type is those rows, alone or in pieces."""
    rows = RNG.standard_normal((N, D)).astype(dtype)
    vectors = open_vectors(save_vectors(tmp_path / f"x{ending}", rows, fixed=fixed))
    assert (vectors.n_rows, vectors.dim, vectors.dtype) == (N, D, dtype)
    for start, stop in ((0, N), (0, 1), (69, 71), (140, 210), (249, 250), (7, 7)):
        np.testing.assert_array_equal(vectors.read(range(start, stop)), rows[start:stop])
    ranges = [(0, 64), (64, 128), (200, 250)]
    pieces = [(start, stop, load()) for start, stop, load in vectors.pieces(ranges)]
    assert [(start, stop) for start, stop, _ in pieces] == ranges
    for start, stop, features in pieces:
        np.testing.assert_array_equal(features, rows[start:stop])


@pytest.mark.parametrize(
    ("source", "ending", "dtype"), covering(FORMATS, FORMATS[1:], ["float16", "float32", "float64"])
)
def test_every_format_is_written_beside_every_other(tmp_path, source, ending, dtype):
    """Rows written beside a file are those rows, and its other columns stay as they were."""
    given = save_vectors(tmp_path / f"given{source}", RNG.standard_normal((N, 3)))
    rows = RNG.standard_normal((N, D)).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    out = tmp_path / f"out{ending}"
    write_vectors(NpyFile(tmp_path / "rows.npy"), out, name="b", source=open_vectors(given))
    np.testing.assert_array_equal(load_vectors(out), rows)
    if source in FORMATS[2:] and ending in FORMATS[2:]:
        before, after = load_table(given), load_table(out)
        assert after.column_names == before.column_names
        for name in ("id", "note"):
            assert after.column(name).to_pylist() == before.column(name).to_pylist()


def test_row_groups_stay_small(tmp_path, monkeypatch):
    """A table is written in groups of bounded size, in order."""
    monkeypatch.setattr("intertwine.vectors.writing.GROUP_BYTES", 40 * D * 8)
    rows = RNG.standard_normal((N, D))
    given = save_vectors(tmp_path / "rows.npy", rows)
    write_vectors(NpyFile(given), tmp_path / "x.parquet", name="b", source=open_vectors(given))
    facts = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert [facts.row_group(i).num_rows for i in range(facts.num_row_groups)] == [40] * 6 + [10]
    np.testing.assert_array_equal(load_vectors(tmp_path / "x.parquet"), rows)


def test_a_tensor_or_column_is_named_behind_a_mark(tmp_path):
    """Of several tensors or columns the one named behind # is read; without a name: one line."""
    one, two = RNG.standard_normal((2, 9, 4))
    save_file({"one": one, "two": two}, tmp_path / "x.safetensors")
    vectors = table_of(two, ids=False).column("vector")
    pq.write_table(table_of(one).append_column("two", vectors), tmp_path / "x.parquet")
    for ending, name in ((".safetensors", "one"), (".parquet", "vector")):
        path = tmp_path / f"x{ending}"
        for chosen, rows in ((name, one), ("two", two)):
            got = open_vectors(path.with_name(f"{path.name}#{chosen}")).read(range(9))
            np.testing.assert_array_equal(got, rows)
        for wrong in (path, path.with_name(f"{path.name}#three")):
            with pytest.raises(InputError, match="name it"):
                open_vectors(wrong)
    assert split_name(tmp_path / "a#b.npy") == (tmp_path / "a#b.npy", None)
    with pytest.raises(InputError, match="holds one array; leave out #x"):
        open_vectors(tmp_path / "a.npy#x")


def null_at(row):
    """Return a table with a null vector."""
    values = table_of(np.ones((9, 2))).column("vector").to_pylist()
    values[row] = None
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (null_at(7), "vector of row 7 is null"),
        ([[1.0, 2.0]] * 4 + [[1.0]], "vector of row 4 has 1 number, expected 2"),
        ([[1.0, 2.0]] * 3 + [[1.0, None]], "vector of row 3 holds a null number"),
        ([[], [1.0]], "vector of row 0 is empty"),
    ],
    ids=["null", "ragged", "null number", "empty"],
)
def test_bad_lists_are_named_by_row(tmp_path, values, message):
    """Null vectors, vectors of other lengths and null numbers are refused by their row."""
    pq.write_table(pa.table({"vector": values}), tmp_path / "x.parquet", row_group_size=3)
    with pytest.raises(InputError, match=message):
        list(open_vectors(tmp_path / "x.parquet").pieces([(0, 2), (2, len(values))]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": np.ones(3)}, r"expected one \(n, d\) tensor"),
        ({"x": np.ones((3, 2), np.int32)}, "x is I32 of shape"),
        ({"x": np.ones((3, 0))}, "d at least 1"),
    ],
    ids=["flat", "integers", "no dimension"],
)
def test_tensors_that_are_no_vectors_are_refused(tmp_path, value, message):
    """A safetensors file without (n, d) floating-point numbers is refused in one line."""
    save_file(value, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=message):
        open_vectors(tmp_path / "x.safetensors")


@pytest.mark.parametrize("ending", FORMATS)
def test_cut_and_foreign_files_are_refused(tmp_path, ending):
    """A file that is cut anywhere, or another thing altogether, is one line and no traceback."""
    path = save_vectors(tmp_path / f"x{ending}", RNG.standard_normal((N, D)))
    whole = path.read_bytes()
    for body in (b"", b"something else", whole[: len(whole) // 2], whole[:-3]):
        path.write_bytes(body)
        with pytest.raises((FileFormatError, InputError)) as caught:
            open_vectors(path).read(range(N))
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)
