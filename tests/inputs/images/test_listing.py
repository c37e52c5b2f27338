"""Which images there are, in which order, with which labels."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from intertwine.errors import InputError
from intertwine.inputs.images.decode import decode
from intertwine.inputs.images.listing import list_images
from intertwine.inputs.tables import Columns


def touch(folder, *names):
    """Make empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def as_csv(files, folder):
    """Name images in a CSV file."""
    lines = [
        f"images/{name},{label}\n" for name, label in zip(files.ids, files.labels, strict=True)
    ]
    (folder / "table.csv").write_text("".join(["path,label\n", *lines]))
    return folder / "table.csv"


def as_table(files):
    """Return images as an Arrow table."""
    data = [files.open(row).read_bytes() for row in range(len(files))]
    return pa.table({"image": data, "label": files.labels})


def as_parquet(files, folder):
    """Put images into a Parquet file."""
    parquet.write_table(as_table(files), folder / "table.parquet")
    return folder / "table.parquet"


def as_tar(files, folder):
    """Put images into a tar."""
    with tarfile.open(folder / "0.tar", "w") as tar:
        for row, name in enumerate(files.ids):
            label = folder / f"{row}.cls"
            label.write_text(str(files.labels[row]))
            tar.add(files.open(row), name)
            tar.add(label, name.replace(".png", ".cls"))
    return folder / "0.tar"


def as_dataset(files, folder):
    """Save images as a dataset."""
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset(as_table(files)).save_to_disk(folder / "saved")
    return folder / "saved"


PACK = {"csv": as_csv, "parquet": as_parquet, "tar": as_tar, "datasets": as_dataset}


class TestFolder:
    def test_recursive_and_sorted(self, tmp_path):
        """Without labels all images below count, sorted by path, other files left out."""
        touch(tmp_path, "b.png", "a/z.JPG", "a/b/c.webp", "notes.md", ".hidden.png")
        images = list_images(tmp_path)
        assert images.ids == ["a/b/c.webp", "a/z.JPG", "b.png"]
        assert (images.kind, images.labels, images.classes) == ("folder", None, None)
        assert images.open(2) == tmp_path / "b.png"

    def test_class_folders(self, tmp_path):
        """Images in folders right below are of these classes, numbered in sorted order."""
        touch(tmp_path, "dog/1.png", "cat/1.png", "dog/0.png", "eel/5.png")
        images = list_images(tmp_path)
        assert images.classes == ["cat", "dog", "eel"]
        assert images.ids == ["cat/1.png", "dog/0.png", "dog/1.png", "eel/5.png"]
        np.testing.assert_array_equal(images.labels, [0, 1, 1, 2])

    @pytest.mark.parametrize(
        "names", [["cat/1.png"], ["cat/1.png", "2.png"], ["a/b/1.png", "c/2.png"]]
    )
    def test_no_class_folders(self, tmp_path, names):
        """One folder, a loose image or a deeper folder are no class folders."""
        touch(tmp_path, *names)
        assert list_images(tmp_path).labels is None

    @pytest.mark.parametrize(
        "extra",
        [
            ".ipynb_checkpoints/0.png",
            ".Trash-0/0.png",
            ".git/a/0.png",
            "@eaDir/0.png",
            "__MACOSX/cat/0.png",
            "cat/.ipynb_checkpoints/0.png",
            "cat/@eaDir/x/SYNOPHOTO_THUMB.jpg",
            "dog/.thumbnails/0.png",
            ".loose.png",
        ],
    )
    def test_hidden(self, tmp_path, extra):
        """What is hidden is neither a class nor an image, and shifts no label."""
        touch(tmp_path, "cat/0.png", "cat/1.png", "dog/0.png", extra)
        images = list_images(tmp_path)
        assert (images.classes, images.labels.tolist()) == (["cat", "dog"], [0, 0, 1])
        assert (len(images), images.notes) == (3, ())

    @pytest.mark.parametrize(
        ("stray", "where"),
        [("montage.png", "montage.png is next to them"), ("cat/x/2.png", "cat/x/2.png is deep")],
    )
    def test_stray(self, tmp_path, stray, where):
        """One image that lies elsewhere than in a class is named beside the classes given up."""
        touch(tmp_path, "cat/0.png", "dog/0.png", "eel/0.png", stray)
        images = list_images(tmp_path)
        assert (len(images), images.labels) == (4, None)
        (note,) = images.notes
        assert note.startswith(f"{tmp_path}: no labels: 3 folders hold images (cat, dog, eel)")
        assert where in note

    def test_linked_class(self, tmp_path):
        """A class whose folder is a link counts as one that is not, links inside it too."""
        touch(tmp_path, "there/0.png", "there/1.png", "more/9.png", "set/cat/0.png")
        (tmp_path / "set" / "dog").symlink_to(tmp_path / "there")
        (tmp_path / "set" / "eel").mkdir()
        (tmp_path / "set" / "eel" / "9.png").symlink_to(tmp_path / "more" / "9.png")
        images = list_images(tmp_path / "set")
        assert images.ids == ["cat/0.png", "dog/0.png", "dog/1.png", "eel/9.png"]
        assert (images.labels.tolist(), images.notes) == ([0, 1, 1, 2], ())

    def test_link_loops(self, tmp_path):
        """Links back to where they lie end, and add nothing."""
        touch(tmp_path, "set/cat/0.png", "set/dog/0.png")
        (tmp_path / "set" / "cat" / "up").symlink_to(tmp_path / "set")
        (tmp_path / "set" / "dog" / "self").symlink_to(".")
        (tmp_path / "set" / "around").symlink_to(tmp_path)
        images = list_images(tmp_path / "set")
        assert images.ids == ["cat/0.png", "dog/0.png"]

    def test_maze_of_links(self, tmp_path):
        """Folders that all link to one another are refused by name, not followed for ever."""
        names = [f"{number}" for number in range(12)]
        for name in names:
            touch(tmp_path, f"{name}/0.png")
            for other in names:
                (tmp_path / name / f"to{other}").symlink_to(tmp_path / other)
        with pytest.raises(InputError, match="a link inside 5 others"):
            list_images(tmp_path)

    def test_broken_link(self, tmp_path):
        """A class folder that is a link to nowhere is named."""
        touch(tmp_path, "cat/0.png", "eel/0.png")
        (tmp_path / "dog").symlink_to(tmp_path / "gone")
        (note,) = list_images(tmp_path).notes
        assert "the link dog leads nowhere" in note

    def test_class_without_images(self, tmp_path):
        """A folder beside the classes that holds no image is named, since it gets no label."""
        touch(tmp_path, "cat/0.png", "dog/notes.txt", "eel/0.png")
        images = list_images(tmp_path)
        assert images.classes == ["cat", "eel"]
        (note,) = images.notes
        assert "folder dog holds no image, so there are 2 classes" in note

    def test_unreadable_folder(self, tmp_path, monkeypatch):
        """A folder that cannot be read is named, not left out."""
        touch(tmp_path, "cat/0.png", "dog/0.png")
        scan = os.scandir

        def closed(path):
            if str(path).endswith("dog"):
                raise PermissionError(13, "Permission denied")
            return scan(path)

        monkeypatch.setattr(os, "scandir", closed)
        with pytest.raises(InputError, match=r"dog: cannot be read \(Permission denied\)"):
            list_images(tmp_path)

    def test_more_endings(self, tmp_path):
        """All endings that Pillow reads here count; those of other images are named and counted."""
        touch(tmp_path, *(f"a.{e}" for e in ("avif", "jfif", "jpe", "mpo", "PNG", "apng", "pbm")))
        touch(tmp_path, "b.heic", "c.HEIC", "d.jp2", "e.svg", "notes.txt")
        images = list_images(tmp_path)
        assert len(images) == 7
        (note,) = images.notes
        assert "4 files of formats that are not read are passed over (2 .heic, 1 .jp2, 1" in note
        assert "such as b.heic" in note

    def test_other_endings_alone(self, tmp_path):
        """Where there is no image the endings that are there are named."""
        touch(tmp_path, "a.heic", "b.heic", "c.txt")
        with pytest.raises(InputError, match=r"got 3 other files: \.heic \(2\), \.txt \(1\)"):
            list_images(tmp_path)

    @pytest.mark.parametrize(
        "beside", ["_SUCCESS", "README.md", "0.parquet.crc", "@eaDir/x", "_metadata"]
    )
    def test_beside_shards(self, tmp_path, beside):
        """Marks and descriptions beside shards of a table or of tars are passed over."""
        touch(tmp_path, f"table/{beside}", f"tars/{beside}")
        parquet.write_table(pa.table({"path": ["a.png"]}), tmp_path / "table" / "0.parquet")
        with tarfile.open(tmp_path / "tars" / "0.tar", "w") as tar:
            tar.addfile(tarfile.TarInfo("a.png"))
        assert list_images(tmp_path / "table").kind == "table"
        assert list_images(tmp_path / "tars").kind == "webdataset"

    def test_labels_file(self, tmp_path):
        """A labels.txt says which images, in which order, with which labels."""
        touch(tmp_path, "a.png", "b c.png", "left-out.png")
        (tmp_path / "labels.txt").write_text("b c.png 7\n\n./a.png\t2\n")
        images = list_images(tmp_path)
        assert (images.ids, images.kind) == (["b c.png", "a.png"], "labels")
        np.testing.assert_array_equal(images.labels, [7, 2])
        assert images.path == tmp_path

    def test_empty(self, tmp_path):
        """A folder without images is refused."""
        touch(tmp_path, "notes.md")
        with pytest.raises(InputError, match=r"holds no image, expected files ending in \.bmp"):
            list_images(tmp_path)

    def test_absent(self, tmp_path):
        """A path with nothing there is refused."""
        with pytest.raises(InputError, match="nothing there, expected a folder of images"):
            list_images(tmp_path / "absent")

    def test_real_images(self, shared_data):
        """The real validation images are listed with their labels."""
        images = list_images(shared_data / "imagenet-val")
        assert (len(images), images.ids[0]) == (4000, "ILSVRC2012_val_00000001.webp")
        assert (images.labels[:3].tolist(), images.labels.max()) == ([65, 970, 230], 999)


class TestManifest:
    @pytest.fixture
    def manifest(self, tmp_path):
        """Return a manifest in a folder with two images."""
        touch(tmp_path, "images/a.png", "images/b.png")
        return tmp_path / "fit.txt"

    def test_relative_to_its_folder(self, manifest, monkeypatch, tmp_path_factory):
        """Files are relative to the manifest's own folder, wherever one stands."""
        manifest.write_text("images/b.png 1\nimages/a.png 0\n")
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        images = list_images(manifest)
        assert images.ids == ["images/b.png", "images/a.png"]
        assert images.open(0) == manifest.parent / "images" / "b.png"
        assert images.open(0).is_file()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("images/a.png 0\nimages/b.png\n", "line 2: got 'images/b.png', expected `file label`"),
            ("images/a.png cat\n", "line 1: got 'images/a.png cat', expected `file label`"),
            ("images/a.png -1\n", "with a label ≥ 0"),
            ("images/a.png 99999999999999999999\n", "with a label ≥ 0"),
            ("\nimages/a.png 0\n./images/a.png 1\n", "line 3: images/a.png is on line 2"),
            ("\n \n", "lists no image"),
        ],
    )
    def test_errors(self, manifest, text, message):
        """A bad line is named by its number."""
        manifest.write_text(text)
        with pytest.raises(InputError, match=message):
            list_images(manifest)

    def test_missing_file(self, manifest):
        """A file that is missing is listed: it is found out when it is read."""
        manifest.write_text("images/c.png 0\n")
        images = list_images(manifest)
        assert images.open(0) == manifest.parent / "images" / "c.png"
        assert images.name(0) == str(images.open(0))

    def test_no_text(self, manifest):
        """A file that is no text, such as an image, is no manifest."""
        manifest.write_bytes(b"\x89PNG\xff\xfe")
        with pytest.raises(InputError, match="cannot be read as a manifest"):
            list_images(manifest)


class TestKinds:
    def test_table(self, tmp_path):
        """A CSV file is a table, with the columns named."""
        (tmp_path / "table.csv").write_text("key,photo,kind\nx,a.png,dog\ny,b.png,cat\n")
        columns = Columns(content="photo", label="kind", id="key")
        images = list_images(tmp_path / "table.csv", columns=columns)
        assert (images.kind, images.ids, images.classes) == ("table", ["x", "y"], ["cat", "dog"])
        assert images.labels.tolist() == [1, 0]
        assert images.open(1) == tmp_path / "b.png"
        assert images.path == tmp_path / "table.csv"

    def test_tar(self, tmp_path):
        """A folder of tars is a WebDataset."""
        for number in range(2):
            (tmp_path / f"{number}.png").write_bytes(bytes([number]))
            with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
                tar.add(tmp_path / f"{number}.png", f"{number}.png")
            (tmp_path / f"{number}.png").unlink()
        images = list_images(tmp_path)
        assert (images.kind, images.ids, images.path) == ("webdataset", ["0", "1"], tmp_path)
        assert images.rows(1, 2).open(0).read() == b"\1"
        assert images.without(["0"]).name(0) == f"{tmp_path / '1.tar'}: 1.png"

    @pytest.mark.parametrize("kind", ["csv", "parquet", "tar", "datasets"])
    def test_same_pixels(self, tmp_path, write_images, kind):
        """Whatever images lie in, they decode to the same pixels in the same order."""
        folder = write_images(tmp_path / "images", 5)
        files = list_images(folder)
        path = PACK[kind](files, tmp_path)
        packed = list_images(path)
        np.testing.assert_array_equal(packed.labels, files.labels)
        for row in range(5):
            expected = np.asarray(decode(files.open(row)))
            np.testing.assert_array_equal(np.asarray(decode(packed.open(row))), expected)

    def test_columns_without_a_table(self, tmp_path):
        """Names of columns are refused where there are no columns."""
        touch(tmp_path, "a.png")
        with pytest.raises(InputError, match="got names of columns, but it is no table"):
            list_images(tmp_path, columns=Columns(label="label"))

    def test_labels_file_comes_first(self, tmp_path):
        """A labels.txt speaks for its folder, whatever else lies there."""
        touch(tmp_path, "a.png", "more.parquet", "more.tar")
        (tmp_path / "labels.txt").write_text("a.png 1\n")
        assert list_images(tmp_path).kind == "labels"

    def test_optional_libraries_stay_out(self, tmp_path):
        """Listing files imports neither of the libraries that read tables."""
        touch(tmp_path, "a.png")
        code = (
            "import sys; from intertwine.inputs.images.listing import list_images; "
            "from intertwine.inputs.texts.listing import list_texts; list_images(sys.argv[1]); "
            "assert not {'datasets', 'pyarrow', 'PIL'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_rows(tmp_path):
    """A part of a list is a list with its own labels."""
    touch(tmp_path, "a/1.png", "b/1.png", "b/2.png")
    part = list_images(tmp_path).rows(1, 3)
    assert (part.ids, part.labels.tolist(), part.classes) == (
        ["b/1.png", "b/2.png"],
        [1, 1],
        ["a", "b"],
    )
    for start, stop in [(0, 4), (2, 2), (-1, 2)]:
        with pytest.raises(InputError, match=f"got rows {start}:{stop}, expected some of 0:3"):
            list_images(tmp_path).rows(start, stop)
