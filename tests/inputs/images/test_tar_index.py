"""Where the files inside tars lie."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.inputs.images.tar_images import read_member, tar_members, tar_shards


def add(tar, name, data=b"", **facts):
    """Add a file, or something else under its name."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for fact, value in facts.items():
        setattr(member, fact, value)
    tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def tar_path(tmp_path):
    """Return a tar of three files, one of them of a long name."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "./one.png", b"1" * 700)
        add(tar, "folder/two.png", b"22")
        add(tar, f"{'long' * 40}.png", b"333")
    return path


class TestMembers:
    @pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_bytes(self, tmp_path, form):
        """Each file's bytes lie where its entry says, in every dialect of tar."""
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w", format=form) as tar:
            for row in range(20):
                add(tar, f"{'é' * 7 * row}{row}.png", bytes([row]) * 300 * row)
        with tarfile.open(path) as tar:
            expected = {info.name: tar.extractfile(info).read() for info in tar}
        found = list(tar_members(path))
        with path.open("rb") as file:
            assert {m.name: read_member(file, m.offset, m.size) for m in found} == expected
        assert [m.name for m in found] == list(expected)

    def test_passed_over(self, tmp_path):
        """Folders, links, and names that lead outside are passed over."""
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as tar:
            add(tar, "folder", type=tarfile.DIRTYPE)
            add(tar, "link.png", type=tarfile.SYMTYPE, linkname="/elsewhere")
            add(tar, "hard.png", type=tarfile.LNKTYPE, linkname="a.png")
            add(tar, "/absolute.png", b"x")
            add(tar, "folder/../../up.png", b"x")
            add(tar, "./a..b.png", b"x")
        assert [member.name for member in tar_members(path)] == ["a..b.png"]

    def test_cut_at_any_byte(self, tar_path):
        """A tar cut short anywhere before its end mark is refused."""
        data = tar_path.read_bytes()
        with tarfile.open(tar_path) as tar:
            end = [*tar][-1].offset_data + 512
        for length in (0, 100, 512, 900, 1536, 2000, 2560, end - 300, end, end + 100):
            tar_path.write_bytes(data[:length])
            with pytest.raises(FileFormatError, match="cut short, damaged or not a plain tar"):
                list(tar_members(tar_path))

    def test_damaged_header(self, tar_path):
        """A header that is damaged ends nothing silently."""
        data = bytearray(tar_path.read_bytes())
        data[1536 + 10] ^= 1
        tar_path.write_bytes(data)
        with pytest.raises(FileFormatError, match="no header and no end mark at byte 1536"):
            list(tar_members(tar_path))

    @pytest.mark.parametrize("size", [10**9, -5], ids=["too long", "negative"])
    def test_false_size(self, tmp_path, size):
        """A size that its file cannot have is refused, and no loop follows."""
        member = tarfile.TarInfo("a.png")
        member.size = size
        (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
        with pytest.raises(FileFormatError, match=r"a\.png reaches past the end"):
            list(tar_members(tmp_path / "a.tar"))

    @pytest.mark.parametrize(
        ("kind", "size", "times"),
        [
            (tarfile.XHDTYPE, 0, 5000),
            (tarfile.GNUTYPE_LONGNAME, 2**62, 1),
            (tarfile.XHDTYPE, 2**60, 1),
        ],
        ids=["many", "long name", "long header"],
    )
    def test_headers_of_headers(self, tmp_path, kind, size, times):
        """Headers that stand for others, without end or without bound, are refused in one line."""
        member = tarfile.TarInfo("a")
        member.type, member.size = kind, size
        header = member.tobuf(tarfile.GNU_FORMAT)
        (tmp_path / "a.tar").write_bytes(header * times + bytes(1024))
        with pytest.raises(FileFormatError, match=r"a\.tar: cut short, damaged or not a plain tar"):
            list(tar_members(tmp_path / "a.tar"))

    def test_no_tar(self, tmp_path):
        """Another file under the name is refused."""
        (tmp_path / "a.tar").write_bytes(b"\x1f\x8b" * 2000)
        with pytest.raises(FileFormatError, match=r"a\.tar: cut short, damaged or not a plain tar"):
            list(tar_members(tmp_path / "a.tar"))

    @pytest.mark.parametrize(
        ("pack", "tool"), [(gzip, "gunzip"), (bz2, "bunzip2"), (lzma, "unxz")], ids=str
    )
    def test_compressed_inside(self, tar_path, pack, tool):
        """A tar that is compressed under a plain name is refused with what unpacks it."""
        tar_path.write_bytes(pack.compress(tar_path.read_bytes()))
        with pytest.raises(FileFormatError, match=rf"compressed, expected a plain tar.*{tool}"):
            list(tar_members(tar_path))

    def test_bytes_that_end_before(self, tar_path):
        """A read past the end is an error, not fewer bytes."""
        with tar_path.open("rb") as file, pytest.raises(OSError, match="got 12 bytes, expected 20"):
            read_member(file, tar_path.stat().st_size - 12, 20)


class TestShards:
    def test_file(self, tar_path):
        """One tar is itself."""
        assert tar_shards(tar_path) == [tar_path]

    def test_folder(self, tmp_path):
        """A folder of tars is these, sorted; one with other files is not."""
        for name in ("b.tar", "a.tar", ".hidden"):
            (tmp_path / name).touch()
        assert tar_shards(tmp_path) == [tmp_path / "a.tar", tmp_path / "b.tar"]
        (tmp_path / "c.png").touch()
        assert tar_shards(tmp_path) == []

    def test_range(self, tmp_path):
        """Ranges in braces count up, their zeros kept."""
        for name in (
            "x-08-1.tar",
            "x-09-1.tar",
            "x-10-1.tar",
            "x-08-2.tar",
            "x-09-2.tar",
            "x-10-2.tar",
        ):
            (tmp_path / name).touch()
        shards = tar_shards(tmp_path / "x-{08..10}-{1..2}.tar")
        assert [path.name for path in shards] == [
            "x-08-1.tar",
            "x-08-2.tar",
            "x-09-1.tar",
            "x-09-2.tar",
            "x-10-1.tar",
            "x-10-2.tar",
        ]

    @pytest.mark.parametrize("name", ["x-{0..999999999999}.tar", "x-1.tar"])
    def test_not_there(self, tmp_path, name):
        """The first tar that is not there is named, however long the range."""
        (tmp_path / "x-0.tar").touch()
        with pytest.raises(InputError, match=r"x-1\.tar: no such tar"):
            tar_shards(tmp_path / name)

    @pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "folder"])
    def test_compressed(self, tmp_path, name):
        """A compressed tar is refused, alone or in a folder."""
        (tmp_path / "folder").mkdir()
        for path in ("a.tar.gz", "a.tgz", "folder/0.tar", "folder/1.tar.zst"):
            (tmp_path / path).touch()
        with pytest.raises(InputError, match=r"compressed, expected a plain \.tar"):
            tar_shards(tmp_path / name)

    def test_other(self, tmp_path):
        """Other files are no tars."""
        assert tar_shards(tmp_path / "a.txt") == []
