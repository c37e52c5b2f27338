import numpy as np
import pytest

from intertwine.maps.linear_map import LinearMap


@pytest.fixture
def fitted(intertwine, networks, tmp_path):
    """Return a folder with a feature set `set` and the maps between its spaces."""
    nets = networks({"a": 256, "b": 256})
    nets.save(tmp_path / "set", 900, 1)
    assert intertwine("fit", tmp_path / "set", "--out", tmp_path).code == 0
    return tmp_path


@pytest.mark.parametrize("source", ["set", "set/a.npy"])
def test_maps_a_folder_or_a_file(intertwine, fitted, source):
    """The rows of a folder, or of a bare file, are mapped and their number printed."""
    done = intertwine("apply", fitted / "a--b.safetensors", fitted / source, fitted / "out.npy")
    assert done.out == f"{fitted / 'out.npy'}: 900 rows of b\n"
    linear_map = LinearMap.load(fitted / "a--b.safetensors")
    np.testing.assert_allclose(
        np.load(fitted / "out.npy"), linear_map.apply(np.load(fitted / "set" / "a.npy")), rtol=1e-6
    )


def test_json_is_one_object(intertwine, fitted):
    """With --json the summary is one object on standard output."""
    arguments = [fitted / "a--b.safetensors", fitted / "set", fitted / "out.npy"]
    result = intertwine("apply", *arguments, "--dtype", "float16", "--json").json()
    assert (result["rows"], result["dtype"], result["target"]["name"]) == (900, "float16", "b")
    assert np.load(fitted / "out.npy").dtype == np.float16


def test_a_map_applied_backwards_is_refused_unless_forced(intertwine, fitted):
    """A file of the target's rows is refused in one line; --force maps it and says so."""
    arguments = ["apply", fitted / "a--b.safetensors", fitted / "set" / "b.npy", fitted / "out.npy"]
    assert "does not look like features of a" in intertwine(*arguments).error()
    assert not (fitted / "out.npy").exists()
    done = intertwine(*arguments, "--force")
    assert done.code == 0
    assert "mapped by --force, not checked to be a" in done.err
    assert np.load(fitted / "out.npy").shape == (900, 256)


def test_a_folder_without_the_source_is_refused(intertwine, fitted, tmp_path, write_folder):
    """A folder is asked for the map's source by name."""
    write_folder(tmp_path / "other", {"b": np.load(fitted / "set" / "b.npy")})
    done = intertwine("apply", fitted / "a--b.safetensors", tmp_path / "other", tmp_path / "o.npy")
    assert "no space 'a' in" in done.error()


@pytest.mark.parametrize("fault", ["flipped", "cut", "absent", "folder", "text"])
def test_a_damaged_map_is_refused(intertwine, fitted, files_below, fault):
    """A map with a byte flipped, cut, absent or of another kind is one clear line."""
    file = fitted / "a--b.safetensors"
    data = bytearray(file.read_bytes())
    file.unlink()
    if fault == "flipped":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif fault == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif fault == "folder":
        file.mkdir()
    elif fault == "text":
        file.write_text("not a map")
    before = files_below(fitted)
    line = intertwine("apply", file, fitted / "set", fitted / "out.npy").error()
    assert "a--b.safetensors" in line
    assert files_below(fitted) == before


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 255)), "got dimension 255, expected 256 for a"),
        (np.ones((4, 256), np.int32), "got dtype int32"),
        (np.ones(256), "got shape (256,)"),
        (np.full((4, 256), np.nan), "NaN or infinite features in rows 0, 1, 2, 3"),
        (np.array([[None]]), "holds Python objects, which are never unpickled"),
    ],
    ids=["dimension", "integers", "1-d", "NaN", "objects"],
)
def test_bad_vectors_are_one_line_and_leave_nothing(
    intertwine, fitted, files_below, array, message
):
    """Vectors that cannot be mapped are refused in one line, and no file is left."""
    np.save(fitted / "in.npy", array, allow_pickle=True)
    before = files_below(fitted)
    arguments = ["apply", fitted / "a--b.safetensors", fitted / "in.npy", fitted / "out.npy"]
    assert message in intertwine(*arguments).error()
    assert files_below(fitted) == before


def test_an_output_that_cannot_be_written_is_one_line(intertwine, fitted, files_below):
    """A path below a regular file is refused in one line."""
    before = files_below(fitted)
    output = fitted / "set" / "a.npy" / "out.npy"
    done = intertwine("apply", fitted / "a--b.safetensors", fitted / "set", output)
    assert "cannot write" in done.error()
    assert files_below(fitted) == before
