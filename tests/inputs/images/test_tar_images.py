"""Images of WebDataset tars."""

from __future__ import annotations

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.inputs.images.decode import UnreadableImageError
from intertwine.inputs.images.tar_images import MAX_LABEL_BYTES, TarImages
from intertwine.inputs.tables import Columns


@pytest.fixture
def listed(tmp_path):
    """Return a function that writes one tar of the files given and lists its images."""

    def write(*files, columns=None, name="0.tar"):
        with tarfile.open(tmp_path / name, "w") as tar:
            for member, data in files:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return TarImages([tmp_path / name], columns or Columns())

    return write


def test_samples(listed, tmp_path):
    """Files of one name up to the first dot are one sample, whose key is its id."""
    images = listed(
        ("./a/1.jpg", b"first"),
        ("./a/1.cls", b" 3\n"),
        ("a/2.seg.png", b"mask"),
        ("a/2.PNG", b"second"),
        ("a/2.cls", b"0"),
        ("README", b"no sample"),
        ("a/._2.png", b"no sample"),
    )
    assert (images.kind, images.ids, images.classes) == ("webdataset", ["a/1", "a/2"], None)
    assert images.labels.tolist() == [3, 0]
    assert [images.open(place).read() for place in (1, 0)] == [b"second", b"first"]
    assert images.name(1) == f"{tmp_path / '0.tar'}: a/2.PNG"


def test_shards(tmp_path, listed):
    """Tars follow one another; threads read any of them at once."""
    rng, data = np.random.default_rng(0), {}
    for shard in range(3):
        files = {f"{shard}{row}.webp": rng.bytes(10 + 600 * row) for row in range(20)}
        listed(*files.items(), name=f"{shard}.tar")
        data |= files
    images = TarImages([tmp_path / f"{shard}.tar" for shard in range(3)], Columns())
    assert [f"{key}.webp" for key in images.ids] == list(data)
    assert images.labels is None
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda place: images.open(place).read(), [*range(60)] * 3))
    assert read == [*data.values()] * 3


def test_hidden_folders(listed):
    """What lies in hidden folders is no sample."""
    images = listed(
        ("cat/1.png", b""),
        (".ipynb_checkpoints/1.png", b""),
        ("cat/@eaDir/1.png", b""),
        ("__MACOSX/cat/2.png", b""),
    )
    assert images.ids == ["cat/1"]


class TestLabels:
    def test_json(self, listed):
        """A label may stand in a JSON file; text becomes classes."""
        images = listed(
            ("1.jpg", b""),
            ("1.json", b'{"label": "dog"}'),
            ("2.jpg", b""),
            ("2.json", b'{"label": "cat"}'),
        )
        assert (images.labels.tolist(), images.classes) == ([1, 0], ["cat", "dog"])

    def test_named(self, listed):
        """A name given is the ending of the labels, or their key in JSON."""
        facts = json.dumps({"label": 1, "breed": 5}).encode()
        files = [("1.jpg", b""), ("1.cls", b"7"), ("1.json", facts), ("1.top", b"9")]
        for named, label in ((None, 7), ("breed", 5), ("TOP", 9)):
            assert listed(*files, columns=Columns(label=named)).labels.tolist() == [label]

    @pytest.mark.parametrize("facts", [b'{"url": "x"}', b"[1]"])
    def test_json_without(self, listed, facts):
        """JSON without a label is no label."""
        assert listed(("1.jpg", b""), ("1.json", facts)).labels is None

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ([("1.cls", b"1"), ("2.jpg", b"")], r"0\.tar: 2\.jpg: has no label, expected one for"),
            ([("1.json", b"{")], r"0\.tar: 1\.json: cannot be read as a label"),
            ([("1.json", b"[" * 100_000)], r"1\.json: cannot be read as a label"),
            ([("1.cls", b"\xff")], r"1\.cls: cannot be read as a label"),
            (
                [("1.cls", bytes(MAX_LABEL_BYTES + 1))],
                r"1\.cls: got 1048577 bytes, expected a label",
            ),
            ([("1.cls", b"-2")], r"0\.tar: 1\.jpg: got label -2, expected an integer ≥ 0"),
        ],
        ids=["some", "json", "deep json", "not text", "large", "negative"],
    )
    def test_errors(self, listed, files, message):
        """A label that is missing or none is named."""
        with pytest.raises(InputError, match=message):
            listed(("1.jpg", b""), *files)

    def test_named_but_absent(self, listed):
        """A label asked for by name must be there."""
        with pytest.raises(InputError, match=r"1\.jpg: has no label"):
            listed(("1.jpg", b""), columns=Columns(label="breed"))


class TestFolders:
    @pytest.mark.parametrize("above", ["", "photos/", "./data/photos/"])
    def test_classes(self, listed, above):
        """Without labels, folders are the classes, as of a folder; what all lie in is no class."""
        names = ["dog/2.jpg", "cat/1.jpg", "dog/1.jpg", "owl/7.png"]
        images = listed(*((above + name, b"") for name in names))
        assert (images.labels.tolist(), images.classes) == ([1, 0, 1, 2], ["cat", "dog", "owl"])
        assert images.notes == ()

    def test_labels_first(self, listed):
        """Labels of samples count, whatever folders they lie in."""
        files = [("a/1.jpg", b""), ("a/1.cls", b"5"), ("b/1.jpg", b""), ("b/1.cls", b"5")]
        images = listed(*files)
        assert (images.labels.tolist(), images.classes) == ([5, 5], None)

    @pytest.mark.parametrize("names", [["1", "2"], ["cat/1", "cat/2"], ["a/b/1", "a/b/2"]])
    def test_no_classes(self, listed, names):
        """No folder, and one folder, are no classes."""
        images = listed(*((f"{name}.jpg", b"") for name in names))
        assert (images.labels, images.classes, images.notes) == (None, None, ())

    @pytest.mark.parametrize(
        ("stray", "where"), [("3", "is next to them"), ("cat/new/3", "is deeper")]
    )
    def test_strays(self, listed, tmp_path, stray, where):
        """Where an image lies beside or below the folders they are no classes, and a note says so."""
        images = listed(("cat/1.jpg", b""), (f"{stray}.jpg", b""), ("dog/2.jpg", b""))
        assert images.labels is None
        (note,) = images.notes
        assert note == (
            f"{tmp_path / '0.tar'}: no labels: 2 folders hold images (cat, dog) but are not used as "
            f"classes, because {stray} {where}; move it away if they are classes"
        )


class TestImages:
    def test_ending(self, listed):
        """Of several images of a sample, the one named is taken."""
        files = [("1.left.png", b"l"), ("1.png", b"p"), ("1.jpg", b"j")]
        for ending, data in (("left.png", b"l"), (".JPG", b"j")):
            assert listed(*files, columns=Columns(content=ending)).open(0).read() == data

    @pytest.mark.parametrize(
        ("files", "columns", "message"),
        [
            (
                ["1.jpg", "1.png"],
                Columns(),
                r"0\.tar: 1: got files ending in jpg, png, expected one",
            ),
            (
                ["1.jpg", "2.txt"],
                Columns(),
                r"2: got files ending in txt, expected one image; name",
            ),
            (["1.jpg"], Columns(content="png"), "1: got files ending in jpg, expected one image"),
            (["1.jpg", "2.jpg", "1.cls"], Columns(), "files of 1 are in two places"),
            (["1.jpg", "1.JPG"], Columns(), r"0\.tar: 1\.JPG repeats"),
            (["a\nb.jpg"], Columns(), r"0\.tar: row 0: got id 'a\\nb', expected text on one line"),
            (["1.jpg"], Columns(id="key"), "ids are the keys of the samples; name no id column"),
            (["README"], Columns(), "holds no image, expected files such as KEY.jpg"),
            (
                ["img.v1.0001.png", "img.v1.0002.png"],
                Columns(),
                "key ends at the first dot of its name, so rename files such as v1.0001.png",
            ),
            (["img.v1.0001.png"], Columns(), "key ends at the first dot of its name"),
            (["1.heic", "1.cls"], Columns(), r"\.heic is not read here; convert it"),
            (["1.jp2"], Columns(), r"\.jp2 is not read here; convert it"),
        ],
        ids=[
            *("two", "none", "not named", "apart", "twice", "two lines", "id column", "no sample"),
            *("dots", "a dot", "heic", "jp2"),
        ],
    )
    def test_errors(self, listed, files, columns, message):
        """A sample that is not one image with what belongs to it is refused."""
        with pytest.raises(InputError, match=message):
            listed(*((name, b"") for name in files), columns=columns)

    def test_key_in_two_shards(self, listed, tmp_path):
        """A key may stand once in all tars together."""
        listed(("1.jpg", b""))
        listed(("1.jpg", b""), name="1.tar")
        with pytest.raises(InputError, match=r"1\.tar: files of 1 are in two places"):
            TarImages([tmp_path / "0.tar", tmp_path / "1.tar"], Columns())

    def test_damaged(self, listed, tmp_path):
        """A tar that is cut short is refused before anything is read."""
        listed(("1.jpg", b"x" * 1000))
        (tmp_path / "0.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:900])
        with pytest.raises(FileFormatError, match=r"0\.tar: cut short"):
            TarImages([tmp_path / "0.tar"], Columns())

    def test_unreadable(self, tmp_path):
        """What cannot be opened as a file is refused."""
        with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
            TarImages([tmp_path], Columns())

    def test_cut_or_gone_since(self, listed, tmp_path):
        """A tar that was cut or removed after it was listed is named with the image."""
        images = listed(("1.jpg", b"x" * 1000))
        (tmp_path / "0.tar").write_bytes(bytes(600))
        with pytest.raises(
            UnreadableImageError, match=r"0\.tar: 1\.jpg: cannot be read \(got 88 bytes, exp"
        ):
            images.open(0)
        (tmp_path / "0.tar").unlink()
        with pytest.raises(UnreadableImageError, match=r"1\.jpg: cannot be read \(No such file"):
            images.open(0)
