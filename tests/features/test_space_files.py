import numpy as np
import pytest
from safetensors.numpy import save_file

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet, file_stamps
from intertwine.features.space_files import unread

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((40, 5)), RNG.standard_normal((40, 3)).astype(np.float16)


def write(folder, kind, **arrays):
    """Write arrays as one file of a kind, called `both`."""
    if kind == "safetensors":
        save_file(
            {k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / "both.safetensors"
        )
    else:
        saved = np.savez_compressed if kind == "compressed" else np.savez
        saved(folder / "both.npz", **arrays)


@pytest.mark.parametrize("kind", ["npz", "compressed", "safetensors"])
@pytest.mark.parametrize("layout", ["as it is", "column-major", "big-endian"])
def test_several_arrays_of_a_file_are_spaces_by_their_names(tmp_path, kind, layout):
    """A file of several arrays holds a space of each one's name, read as the array itself."""
    given = {
        "as it is": A,
        "column-major": np.asfortranarray(A),
        "big-endian": A if kind == "safetensors" else A.astype(">f8"),
    }[layout]
    write(tmp_path, kind, a=given, b=B)
    opened = FeatureSet.open(tmp_path)
    assert {name: space.dim for name, space in opened.spaces.items()} == {"a": 5, "b": 3}
    assert (opened.dtype("b"), opened.n, opened.notes) == (np.float16, 40, [])
    chosen = np.array([7, 0, 39, 8, 9])
    for rows in (range(40), range(3, 11), chosen):
        read = opened.read(["a", "b"], rows)
        np.testing.assert_array_equal(read["a"], A[np.asarray(rows)])
        np.testing.assert_array_equal(read["b"], B[np.asarray(rows)])
    assert read["a"].dtype.isnative


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_one_array_of_a_file_is_the_space_of_the_files_name(tmp_path, kind):
    """A file of one array is the space of its own name, beside spaces of other files."""
    write(tmp_path, kind, whatever=A)
    np.save(tmp_path / "c.npy", B)
    opened = FeatureSet.open(tmp_path)
    assert list(opened.spaces) == ["both", "c"]
    np.testing.assert_array_equal(opened.read(["both"], range(40))["both"], A)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_another_array_in_a_file_is_not_left_out_in_silence(tmp_path, kind):
    """Labels beside the features of a file are refused, with where they go."""
    write(tmp_path, kind, a=A, labels=np.arange(40))
    with pytest.raises(
        InputError, match=r"labels is an array of shape \(40\).*write labels to labels\.npy"
    ):
        FeatureSet.open(tmp_path)


def test_a_space_that_stands_twice_is_refused(tmp_path):
    """Two files with a space of one name are both named."""
    write(tmp_path, "npz", a=A, b=B)
    np.save(tmp_path / "a.npy", A)
    with pytest.raises(InputError, match=r"space a is in both .*a\.npy and .*both\.npz; rename"):
        FeatureSet.open(tmp_path)


@pytest.mark.parametrize("name", ["both.npz", "both.safetensors"])
def test_a_damaged_file_is_named(tmp_path, name):
    """What is no archive, or none of tensors, is a format error with the file's name."""
    np.save(tmp_path / "a.npy", A)
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(FileFormatError, match=f"{name}: not a .* it is a pointer of Git LFS"):
        FeatureSet.open(tmp_path)


def test_a_cut_archive_is_a_format_error(tmp_path):
    """An archive whose content is altered or cut never yields wrong numbers or another error."""
    write(tmp_path, "compressed", a=A, b=B)
    file = tmp_path / "both.npz"
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
        try:
            opened = FeatureSet.open(tmp_path).read(["a", "b"], range(40))
        except (FileFormatError, InputError) as error:
            assert "both.npz" in str(error) or "rows differ" in str(error)  # noqa: PT017
        except KeyError:
            continue  # a name of a space was altered
        else:
            np.testing.assert_array_equal(opened["a"], A)


@pytest.mark.parametrize(
    ("ending", "remedy"),
    [
        (".pt", r"torch\.load\('x\.pt', weights_only=True\)"),
        (".csv", r"numpy\.loadtxt\('x\.csv'"),
        (".h5", r"h5py\.File\('x\.h5'\)"),
        (".mat", r"scipy\.io\.loadmat\('x\.mat'\)"),
        (".parquet", r"pandas\.read_parquet\('x\.parquet'\)"),
        (".pkl", r"numpy\.save\('x\.npy', ARRAY\)"),
    ],
)
def test_other_files_are_named_with_how_to_convert_them(tmp_path, ending, remedy):
    """A folder of other files is refused with their kind, their number and what to do."""
    for name in ("x", "y"):
        (tmp_path / f"{name}{ending}").write_bytes(b"?")
    message = rf"expected NAME\.npy.*; got 2 \{ending} files, such as x\{ending}: .*{remedy}"
    with pytest.raises(InputError, match=message):
        FeatureSet.open(tmp_path)


def test_files_beside_spaces_are_not_ignored_in_silence(tmp_path):
    """A file of arrays that is not read is a note, and is named where a space is lacking."""
    np.save(tmp_path / "a.npy", A)
    (tmp_path / "b.pt").write_bytes(b"?")
    (tmp_path / "faces.csv").write_text("what extraction found")
    opened = FeatureSet.open(tmp_path)
    (note,) = opened.notes
    assert ": not read: 1 .pt file, such as b.pt" in note
    with pytest.raises(InputError, match=r"got one space, a, expected at least two; .*b\.pt"):
        opened.require_two()
    assert unread(tmp_path)[0].endswith("weights_only=True).float().numpy())")


def test_maps_and_heads_in_a_folder_are_no_spaces(tmp_path, networks):
    """Heads, and files that this program wrote, are not taken for spaces."""
    from intertwine.passes.moments.joint import joint_moments

    networks({"a": 8, "b": 6}).save(tmp_path / "set", 30, 1)
    joint_moments(FeatureSet.open(tmp_path / "set")).save(tmp_path / "set" / "fit.safetensors")
    assert list(FeatureSet.open(tmp_path / "set").spaces) == ["a", "b"]


def test_stamps_cover_every_file(tmp_path):
    """What distinguishes a set's files from others covers all kinds."""
    np.save(tmp_path / "c.npy", A)
    write(tmp_path, "npz", a=A, b=B)
    stamps = file_stamps(FeatureSet.open(tmp_path))
    assert [stamp[0].rpartition("/")[2] for stamp in stamps] == ["both.npz", "c.npy"]
