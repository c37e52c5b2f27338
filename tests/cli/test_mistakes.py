"""What a new user does first, and is told what to do instead."""

import numpy as np
import pytest
from safetensors.numpy import save_file

RNG = np.random.default_rng(5)


@pytest.fixture
def folder(tmp_path, write_folder):
    """Return a feature set of two spaces with ids."""
    arrays = {"a": RNG.standard_normal((30, 5)), "b": RNG.standard_normal((30, 4))}
    return write_folder(tmp_path / "set", arrays, ids=[f"i{k}" for k in range(30)])


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize(
    "line",
    [["fit"], ["similarity"], ["closed-set", "--eval", "set", "--fit"]],
    ids=["fit", "similarity", "closed-set"],
)
@pytest.mark.usefixtures("folder")
def test_one_file_in_place_of_a_folder(intertwine, tmp_path, monkeypatch, line, name):
    """An array in the place of a folder is called one, with where to put it."""
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    np.savez(tmp_path / "a.npz", a=np.ones((3, 2)))
    error = intertwine(*line, name, "--out", "out").error()
    assert ("one array" if name == "a.npy" else "a file of arrays") in error
    assert "in one folder" in error
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_space_can_have_is_to_be_renamed(intertwine, folder):
    """The error on a space's name names the file and says to rename it."""
    (folder / "a.npy").rename(folder / "ResNet 50 (ü).npy")
    line = intertwine("fit", folder, "--out", folder.parent / "out").error()
    assert "ResNet 50 (ü).npy: got space name" in line
    assert line.endswith("rename the file")


def test_integers_are_to_be_converted(intertwine, folder):
    """Features of integers are refused with what to save instead."""
    np.save(folder / "a.npy", np.ones((30, 5), np.int8))
    line = intertwine("fit", folder, "--out", folder.parent / "out").error()
    assert "got dtype int8, expected float16, float32 or float64" in line
    assert "array.astype(numpy.float32)" in line


def test_a_float16_that_overflowed_is_explained(intertwine, folder):
    """Infinities in a file of float16 are followed by what the type can hold."""
    with np.errstate(over="ignore"):
        np.save(folder / "a.npy", (RNG.standard_normal((30, 5)) * 1e6).astype(np.float16))
    line = intertwine("fit", folder, "--out", folder.parent / "out").error()
    assert "float16 holds up to 65,504: where they were larger, store float32" in line


def test_ids_of_another_set_are_shown_beside_its_own(intertwine, folder, write_folder, tmp_path):
    """Where ids do not match, one of each side is shown."""
    ids = [f"photo-{k}.jpg" for k in range(30)]
    other = write_folder(tmp_path / "other", {"c": RNG.standard_normal((30, 3))}, ids=ids)
    line = intertwine("fit", folder, other, "--out", tmp_path / "out").error()
    assert "such as 'i0'; its own are such as 'photo-0.jpg'" in line


def test_a_store_that_is_a_file_gets_its_scheme(intertwine, folder, tmp_path):
    """A file in the place of a store is shown with the scheme to write before it."""
    assert intertwine("fit", folder, "--out", tmp_path, "--source", "a", "--target", "b").code == 0
    fitted = tmp_path / "a--b.safetensors"
    line = intertwine("migrate", "x.npy", "npy:y.npy", "--map", fitted).error()
    assert "x.npy, a store without a scheme: write npy:x.npy" in line
    line = intertwine("migrate", "user:secret@x.npy", "npy:y.npy", "--map", fitted).error()
    assert "secret" not in line


def test_few_rows_are_mapped_unchecked_and_it_is_said(intertwine, folder, tmp_path):
    """Where too few rows are there to recognise a space by, the note says that they were mapped."""
    assert intertwine("fit", folder, "--out", tmp_path, "--source", "a", "--target", "b").code == 0
    done = intertwine("apply", tmp_path / "a--b.safetensors", folder / "a.npy", tmp_path / "o.npy")
    assert done.code == 0
    assert "not checked to be vectors of a" in done.err
    assert "mapped all the same" in done.err


def test_a_set_of_other_files_is_applied_and_inspected(intertwine, folder, tmp_path):
    """The spaces of an .npz are fitted, mapped and described as those of .npy are."""
    arrays = {name: np.load(folder / f"{name}.npy") for name in ("a", "b")}
    (tmp_path / "packed").mkdir()
    np.savez_compressed(tmp_path / "packed" / "both.npz", **arrays)
    fit = ["--source", "a", "--target", "b"]
    for source in (folder, tmp_path / "packed"):
        assert intertwine("fit", source, "--out", tmp_path / f"of-{source.name}", *fit).code == 0
        one = tmp_path / "of-set" / "a--b.safetensors"
        assert intertwine("apply", one, source, tmp_path / f"{source.name}.npy").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "set.npy"), np.load(tmp_path / "packed.npy"))
    facts = intertwine("inspect", tmp_path / "packed", "--json").json()
    assert facts["spaces"]["b"]["dtype"] == "float64"


def test_inspect_describes_vectors_of_other_programs(intertwine, tmp_path):
    """Parquet is described, and tensors of others are named with how to look at one."""
    import pyarrow as pa
    from pyarrow import parquet

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(12, np.float32)), 4)
    parquet.write_table(pa.table({"v": vectors, "id": [1, 2, 3]}), tmp_path / "t.parquet")
    lines = intertwine("inspect", tmp_path / "t.parquet").out.splitlines()
    assert lines[:4] == ["kind: vectors", "rows: 3", "dim: 4", "dtype: float32"]
    save_file({"x": np.ones((3, 2)), "y": np.ones(3)}, tmp_path / "t.safetensors")
    line = intertwine("inspect", tmp_path / "t.safetensors").error()
    assert "not a file that intertwine wrote; it holds x, y" in line
    assert "t.safetensors#x" in line
    assert "dim: 2" in intertwine("inspect", tmp_path / "t.safetensors#x").out
