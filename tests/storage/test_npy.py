import io
import subprocess
import sys

import numpy as np
import pytest
from numpy.lib import format as npy_format
from tests.helpers import covering

from intertwine.errors import FileFormatError, InputError, IntertwineError
from intertwine.storage.npy import NpyFile, read_vector

RNG = np.random.default_rng(0)


def npy_bytes(array, version=None) -> bytes:
    """Return the bytes of a `.npy` file."""
    buffer = io.BytesIO()
    npy_format.write_array(buffer, array, version=version)
    return buffer.getvalue()


class Tripwire:
    """An object that leaves a file behind when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


CHOSEN = {
    "all": range(37),
    "middle": range(5, 20),
    "last": range(36, 37),
    "none": range(4, 4),
    "ascending": np.array([3, 4, 5, 30]),
    "any order": np.array([36, 0, 7, 7, 2, 3]),
    "no rows": np.array([], np.int64),
}


@pytest.mark.parametrize(
    ("rows", "size", "byte_order", "order"),
    covering(CHOSEN, ["f2", "f4", "f8"], ["<", ">"], ["C", "F"]),
)
def test_reads_the_rows_that_numpy_reads(tmp_path, rows, size, byte_order, order):
    """Any rows, in any order, of any float type, byte order and memory order are as NumPy reads."""
    rows, dtype = CHOSEN[rows], byte_order + size
    array = np.asarray(RNG.standard_normal((37, 5)), dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    read = NpyFile(tmp_path / "a.npy").read(rows)
    expected = np.load(tmp_path / "a.npy")[list(rows)]
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_reads_every_header_version(tmp_path, version):
    """All three versions of the header are read."""
    array = RNG.standard_normal((4, 3))
    (tmp_path / "a.npy").write_bytes(npy_bytes(array, version))
    file = NpyFile(tmp_path / "a.npy")
    assert (file.n_rows, file.dim, file.dtype) == (4, 3, np.float64)
    np.testing.assert_array_equal(file.read(range(4)), array)


def test_reads_a_header_of_python_2(tmp_path):
    """A header with Python 2's long integers is read without a warning."""
    array = RNG.standard_normal((4, 3))
    data = npy_bytes(array).replace(b"'shape': (4, 3), }  ", b"'shape': (4L, 3L), }")
    assert b"4L" in data
    (tmp_path / "a.npy").write_bytes(data)
    np.testing.assert_array_equal(NpyFile(tmp_path / "a.npy").read(range(4)), array)


def test_refuses_a_file_cut_anywhere(tmp_path):
    """A file cut at any byte is refused with its name."""
    data = npy_bytes(RNG.standard_normal((6, 3)))
    for length in range(len(data)):
        (tmp_path / "cut.npy").write_bytes(data[:length])
        with pytest.raises(FileFormatError, match=r"cut\.npy: (truncated|not a \.npy file)"):
            NpyFile(tmp_path / "cut.npy")


@pytest.mark.parametrize("flip", [0x01, 0x04, 0x20, 0x80])
def test_survives_a_header_with_any_byte_changed(tmp_path, flip):
    """A header with one byte changed is read or refused in our own words, never otherwise."""
    array = RNG.standard_normal((6, 3)).astype(np.float32)
    data = npy_bytes(array)
    refused = 0
    for position in range(len(data) - array.nbytes):
        changed = bytearray(data)
        changed[position] ^= flip
        (tmp_path / "a.npy").write_bytes(changed)
        try:
            file = NpyFile(tmp_path / "a.npy")
            assert file.read(range(file.n_rows)).shape == (file.n_rows, file.dim)
        except IntertwineError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("shape", ["(-6, 3)", "(6, -3)"])
def test_refuses_a_negative_shape(tmp_path, shape):
    """A header that claims a negative shape is refused."""
    data = npy_bytes(np.ones((6, 3))).replace(b"(6, 3), } ", shape.encode() + b", }")
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(FileFormatError, match="which no array has"):
        NpyFile(tmp_path / "a.npy")


def test_refuses_a_huge_shape(tmp_path):
    """A header that claims more rows than the file has bytes is refused without allocating."""
    data = npy_bytes(np.ones((6, 3))).replace(
        b"'shape': (6, 3), }              ", b"'shape': (600000000000000, 3), }"
    )
    assert b"600000000000000" in data
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(FileFormatError, match="truncated"):
        NpyFile(tmp_path / "a.npy")


def test_never_unpickles_objects(tmp_path):
    """An array of objects is refused and its pickle is not run."""
    mark = tmp_path / "unpickled"
    array = np.array([[Tripwire(mark)]], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(FileFormatError, match="holds Python objects, which are never unpickled"):
        NpyFile(tmp_path / "a.npy")
    with pytest.raises(FileFormatError, match="holds Python objects"):
        read_vector(tmp_path / "a.npy")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(5), r"got shape \(5,\), expected \(n, d\) with d ≥ 1"),
        (np.ones((5, 2, 2)), r"got shape \(5, 2, 2\)"),
        (np.ones((5, 0)), r"got shape \(5, 0\)"),
        (np.float64(3), r"got shape \(\)"),
        (np.ones((5, 2), np.int64), "got dtype int64, expected float16, float32 or float64"),
        (np.ones((5, 2), np.complex64), "got dtype complex64"),
        (np.ones((5, 2), bool), "got dtype bool"),
        (np.ones((5, 2), np.longdouble), "got dtype float128|got dtype longdouble"),
        (np.ones((5, 2), [("x", "f4")]), "got dtype"),
    ],
    ids=["1-d", "3-d", "d = 0", "scalar", "int", "complex", "bool", "longdouble", "record"],
)
def test_refuses_what_is_no_matrix_of_floats(tmp_path, array, message):
    """Anything but an (n, d) matrix of float16, float32 or float64 is refused, saying what it is."""
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=message):
        NpyFile(tmp_path / "a.npy")


def test_refuses_a_folder_and_an_absent_file(tmp_path):
    """A folder, or nothing, under the name is an error of the file, not a traceback."""
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(FileFormatError, match=r"folder\.npy: is a folder"):
        NpyFile(tmp_path / "folder.npy")
    with pytest.raises(FileFormatError, match=r"absent\.npy: cannot be read \(No such file"):
        NpyFile(tmp_path / "absent.npy")


@pytest.mark.parametrize("order", ["C", "F"])
def test_says_when_a_file_got_shorter(tmp_path, order):
    """A file that is cut after it was opened gives an error, not rows of rubbish."""
    path = tmp_path / "a.npy"
    np.save(path, np.asarray(RNG.standard_normal((50, 4)), order=order))
    file = NpyFile(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError, match="truncated while it was read"):
        file.read(range(40, 50))


@pytest.mark.quick("C")
@pytest.mark.parametrize("order", ["C", "F"])
def test_reading_takes_no_memory_beyond_the_rows(tmp_path, order):
    """Rows from all over a large file are read without its pages counting as resident."""
    n, d = 1 << 15, 256  # 32 MiB
    array = np.zeros((n, d), np.float32, order=order)
    np.save(tmp_path / "a.npy", array)
    script = (
        "import resource, sys, numpy as np\n"
        "from intertwine.storage.npy import NpyFile\n"
        "file = NpyFile(sys.argv[1])\n"
        "file.read(range(8))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for start in range(128):\n"
        "    file.read(np.arange(start, file.n_rows, 128))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.npy"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 6 * 1024  # KiB; one read is a quarter of a MiB


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i4", "<u4", ">i8", "<i8"])
def test_vectors_of_any_integers_become_int64(tmp_path, dtype):
    """Integer vectors of any width and byte order are read as int64."""
    values = np.arange(100, dtype=dtype)
    np.save(tmp_path / "v.npy", values)
    read = read_vector(tmp_path / "v.npy")
    assert read.dtype == np.int64
    assert read.tolist() == list(range(100))


@pytest.mark.parametrize(
    "array",
    [np.ones(3), np.ones((3, 1), np.int64), np.array([True, False]), np.array(["a", "b"])],
    ids=["floats", "2-d", "bools", "text"],
)
def test_refuses_vectors_that_are_no_integers(tmp_path, array):
    """A vector of anything but integers, or a matrix, is refused."""
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(InputError, match=r"expected \(n,\) integers"):
        read_vector(tmp_path / "v.npy")


def test_refuses_a_cut_vector(tmp_path):
    """A vector whose file is cut is refused."""
    data = npy_bytes(np.arange(9))
    (tmp_path / "v.npy").write_bytes(data[:-1])
    with pytest.raises(FileFormatError, match="truncated"):
        read_vector(tmp_path / "v.npy")


@pytest.mark.parametrize("label", [2**63, 2**64 - 1])
def test_labels_beyond_int64_are_refused(tmp_path, label):
    """An unsigned label that int64 cannot hold is named, and the largest one it can hold is read."""
    np.save(tmp_path / "v.npy", np.array([0, 2**63 - 1], np.uint64))
    assert read_vector(tmp_path / "v.npy").tolist() == [0, 2**63 - 1]
    np.save(tmp_path / "v.npy", np.array([3, label], np.uint64))
    with pytest.raises(InputError, match=rf"got {label} in row 1, expected integers below 2\^63"):
        read_vector(tmp_path / "v.npy")
