"""Parquet streamed by blocks of rows."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from intertwine.errors import FileFormatError, InputError, MissingExtraError
from intertwine.inputs.tables import parquet_table
from intertwine.inputs.tables.parquet_table import ParquetTable, parquet_files


def write(path, n, *, start=0, group=None, **options):
    """Write n rows of texts, bytes and numbers."""
    rows = range(start, start + n)
    table = pa.table(
        {
            "text": pa.array([f"text {row}" for row in rows], pa.string()),
            "data": pa.array([bytes([row % 256]) * (1 + row % 3) for row in rows], pa.binary()),
            "number": pa.array(rows, pa.int64()),
        }
    )
    parquet.write_table(table, path, row_group_size=group or max(n, 1), **options)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    """Let blocks be of three rows."""
    monkeypatch.setattr(parquet_table, "BLOCK_ROWS", 3)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two files of several row groups, and of one without rows."""
    write(tmp_path / "a.parquet", 40, group=17)
    write(tmp_path / "b.parquet", 0)
    write(tmp_path / "c.parquet", 25, start=40, group=10)
    return tmp_path


def test_columns(folder):
    """A folder is one table, its files in the order of their names."""
    table = ParquetTable(folder)
    assert len(table) == 65
    assert table.types == {"text": "text", "data": "bytes", "number": "integer"}
    expected = parquet.read_table(folder).to_pydict()
    assert table.columns(["number", "text"]) == {
        "number": expected["number"],
        "text": expected["text"],
    }
    assert table.columns([]) == {}
    assert table.class_names("number") is None


def test_where(folder):
    """A row is named by its file and its number there."""
    table = ParquetTable(folder)
    assert table.where(39) == f"{folder / 'a.parquet'}: row 39"
    assert table.where(40) == f"{folder / 'c.parquet'}: row 0"
    assert table.where(64) == f"{folder / 'c.parquet'}: row 24"


@pytest.mark.usefixtures("small_blocks")
def test_cells_in_any_order(folder):
    """Cells come back whatever was read before."""
    table, expected = ParquetTable(folder), parquet.read_table(folder).to_pydict()
    order = np.random.default_rng(0).integers(65, size=200).tolist()
    for row in order:
        assert table.cells("data", [row]) == [expected["data"][row]]
    assert table.cells("text", order) == [expected["text"][row] for row in order]


@pytest.mark.usefixtures("small_blocks")
def test_cells_from_several_threads(folder):
    """Threads that read at once each get their own rows."""
    table, expected = ParquetTable(folder), parquet.read_table(folder).to_pydict()["data"]
    with ThreadPoolExecutor(4) as pool:
        cells = list(pool.map(lambda row: table.cells("data", [row])[0], [*range(65)] * 5))
    assert cells == expected * 5


@pytest.mark.usefixtures("small_blocks")
def test_reading_forward_decodes_once(folder, monkeypatch):
    """Rows in their order open each file once, also when a thread is a little behind."""
    table, opened = ParquetTable(folder), []
    blocks = table._blocks
    monkeypatch.setattr(table, "_blocks", lambda *of: opened.append(of[0]) or blocks(*of))
    for row in range(1, 65):
        table.cells("data", [row])
        table.cells("data", [row - 1])
    # Three row groups, and one of the file without rows, come before the last file's.
    assert opened == [0, 4]


@pytest.mark.usefixtures("small_blocks")
def test_row_groups_between_are_passed_over(folder, monkeypatch):
    """A row far ahead is read from its own row group on."""
    table, opened = ParquetTable(folder), []
    blocks = table._blocks
    monkeypatch.setattr(table, "_blocks", lambda *of: opened.append(of[0]) or blocks(*of))
    assert table.cells("number", [3, 38, 64]) == [3, 38, 64]
    assert opened == [0, 2, 6]


@pytest.mark.slow
def test_memory(tmp_path):
    """Of a row group of 8 MB, a small part is held while it is read."""
    data = pa.array([np.random.default_rng(row).bytes(2000) for row in range(4000)])
    path = tmp_path / "a.parquet"
    parquet.write_table(
        pa.table({"data": data}),
        path,
        data_page_size=50_000,
        write_batch_size=20,
        row_group_size=4000,
    )
    del data
    table, before = ParquetTable(path), pa.total_allocated_bytes()
    held = []
    for row in range(0, 4000, 200):
        table.cells("data", [row])
        held.append(pa.total_allocated_bytes() - before)
    assert max(held) < 4_000_000


def test_images(tmp_path):
    """A struct of bytes and path is an image; texts may be numbered, and other types are named."""
    image = pa.array(
        [{"bytes": b"x", "path": None}], pa.struct({"bytes": pa.binary(), "path": pa.string()})
    )
    columns = {
        "image": image,
        "kind": pa.array(["a"]).dictionary_encode(),
        "large": pa.array(["a"], pa.large_string()),
        "other": pa.array([{"a": 1}]),
        "score": pa.array([0.5], pa.float32()),
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = ParquetTable(tmp_path / "a.parquet")
    assert table.types == {
        "image": "image",
        "kind": "text",
        "large": "text",
        "other": "struct<a: int64>",
        "score": "float",
    }
    assert table.cells("image", [0]) == [{"bytes": b"x", "path": None}]
    assert table.cells("kind", [0]) == ["a"]


class TestFolders:
    """Folders that name columns, as Hive and Spark make them."""

    @pytest.fixture
    def partitioned(self, tmp_path):
        """Return a table in three folders, with the marks that Spark leaves."""
        for label, start, n in (
            ("cat", 0, 3),
            ("a%20dog", 3, 2),
            ("__HIVE_DEFAULT_PARTITION__", 5, 1),
        ):
            for split, rows in (("train", n), ("test", 1)):
                folder = tmp_path / f"label={label}" / f"split={split}"
                folder.mkdir(parents=True)
                write(folder / "part-0.parquet", rows, start=start)
                (folder / ".part-0.parquet.crc").touch()
        (tmp_path / "_SUCCESS").touch()
        return tmp_path

    def test_columns(self, partitioned):
        """The names of folders are columns, beside those of the files, in one order."""
        table = ParquetTable(partitioned)
        assert table.types["label"] == table.types["split"] == "text"
        labels = [None, None, "a dog", "a dog", "a dog", "cat", "cat", "cat", "cat"]
        splits = ["test", "train", "test", "train", "train", "test", "train", "train", "train"]
        numbers = [5, 5, 3, 3, 4, 0, 0, 1, 2]
        columns = {"label": labels, "number": numbers, "split": splits}
        assert table.columns(list(columns)) == columns
        assert table.columns(["label"]) == {"label": labels}
        for name, values in columns.items():
            assert table.cells(name, [8, 0, 4]) == [values[row] for row in (8, 0, 4)]

    def test_column_inside_goes_before(self, tmp_path):
        """A column of a file is not hidden by the name of its folder."""
        (tmp_path / "number=7").mkdir()
        write(tmp_path / "number=7" / "a.parquet", 2)
        assert ParquetTable(tmp_path).columns(["number"]) == {"number": [0, 1]}

    def test_other_names(self, tmp_path):
        """Folders that do not name the same columns are refused."""
        for folder in ("label=cat", "split=test"):
            (tmp_path / folder).mkdir()
            write(tmp_path / folder / "a.parquet", 2)
        with pytest.raises(InputError, match="folders that name split, expected label"):
            ParquetTable(tmp_path)

    @pytest.mark.parametrize(
        "extra", ["_delta_log/0.json", "_temporary/0", "more/a.parquet", "a.png"]
    )
    def test_no_table(self, partitioned, extra):
        """A folder that holds something else too, such as a log of what counts, is no such table."""
        (partitioned / extra).parent.mkdir(exist_ok=True)
        (partitioned / extra).touch()
        assert parquet_files(partitioned) == []


class TestErrors:
    def test_no_parquet(self, tmp_path):
        """A file that is no Parquet is refused."""
        (tmp_path / "a.parquet").write_bytes(b"no table at all")
        with pytest.raises(FileFormatError, match=r"a\.parquet: cannot be read as Parquet"):
            ParquetTable(tmp_path)

    def test_other_columns(self, folder):
        """Files of one table have the same columns."""
        parquet.write_table(pa.table({"text": ["a"]}), folder / "d.parquet")
        with pytest.raises(
            InputError, match=r"d\.parquet: got columns text \(text\), expected thos"
        ):
            ParquetTable(folder)

    def test_damaged(self, tmp_path):
        """A page that is damaged is found when it is read, and what stands elsewhere still reads."""
        path = write(tmp_path / "a.parquet", 2000, group=1000, use_dictionary=False)
        column = parquet.ParquetFile(path).metadata.row_group(0).column(1)
        content = bytearray(path.read_bytes())
        stop = column.data_page_offset + column.total_compressed_size
        content[column.data_page_offset : stop] = b"\xff" * column.total_compressed_size
        path.write_bytes(content)
        table = ParquetTable(path)
        for _ in range(2):
            with pytest.raises(InputError, match=r"a\.parquet: row 5: cannot be read"):
                table.cells("data", [5])
        assert table.cells("data", [1500]) == [bytes([1500 % 256])]
        with pytest.raises(FileFormatError, match="cannot be read as Parquet"):
            table.columns(["data"])

    def test_not_unicode(self, tmp_path):
        """Text that is not UTF-8 is found when it is taken out."""
        data = pa.array([b"a", b"\xff"], pa.binary())
        text = pa.Array.from_buffers(pa.string(), 2, data.buffers())
        parquet.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
        table = ParquetTable(tmp_path / "a.parquet")
        with pytest.raises(InputError, match=r"a\.parquet: row 1: cannot be read .*can't decode"):
            table.cells("text", [0, 1])
        with pytest.raises(FileFormatError, match=r"cannot be read as Parquet .*can't decode"):
            table.columns(["text"])

    def test_replaced(self, tmp_path):
        """A file that was replaced by a shorter one is named."""
        path = write(tmp_path / "a.parquet", 10)
        table = ParquetTable(path)
        write(path, 4)
        with pytest.raises(InputError, match=r"a\.parquet: row 7: not there any more"):
            table.cells("data", [7])

    def test_missing_library(self, folder, monkeypatch):
        """Without pyarrow, the pip line is the error."""
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'intertwine\[arrow\]'"):
            ParquetTable(folder)
