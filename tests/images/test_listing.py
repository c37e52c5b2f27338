"""Which images there are, in which order, with which labels."""

from __future__ import annotations

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.images.listing import list_images


def touch(folder, *names):
    """Make empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


class TestFolder:
    def test_recursive_and_sorted(self, tmp_path):
        """Without labels all images below count, sorted by path, other files left out."""
        touch(tmp_path, "b.png", "a/z.JPG", "a/b/c.webp", "notes.md", ".hidden.png")
        images = list_images(tmp_path)
        assert images.ids == ["a/b/c.webp", "a/z.JPG", "b.png"]
        assert (images.kind, images.labels, images.classes) == ("folder", None, None)
        assert images.file(2) == tmp_path / "b.png"

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
        assert images.file(0) == manifest.parent / "images" / "b.png"
        assert images.file(0).is_file()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("images/a.png 0\nimages/b.png\n", "line 2: got 'images/b.png', expected `file label`"),
            ("images/a.png cat\n", "line 1: got 'images/a.png cat', expected `file label`"),
            ("images/a.png -1\n", "with a label ≥ 0"),
            ("images/a.png 99999999999999999999\n", "with a label ≥ 0"),
            ("\nimages/a.png 0\n./images/a.png 1\n", "line 3: images/a.png stands on line 2"),
            ("images/c.png 0\n", "line 1: no file images/c.png in "),
            ("\n \n", "lists no image"),
        ],
    )
    def test_errors(self, manifest, text, message):
        """A bad line is named by its number."""
        manifest.write_text(text)
        with pytest.raises(InputError, match=message):
            list_images(manifest)

    def test_no_text(self, manifest):
        """A file that is no text, such as an image, is no manifest."""
        manifest.write_bytes(b"\x89PNG\xff\xfe")
        with pytest.raises(InputError, match="cannot be read as a manifest"):
            list_images(manifest)


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
