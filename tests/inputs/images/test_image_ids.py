import pytest

from intertwine.inputs.images.image_ids import ImageIds, is_one_image, split_id

CASIA = [f"{person:03d}/{image:02d}.jpg" for person in range(4) for image in range(3)]
CFP = [f"{person:03d}/{pose}/01.jpg" for person in range(4) for pose in ("frontal", "profile")]
VGGFACE2 = [f"n{person:06d}/{image:04d}_01.jpg" for person in range(3) for image in range(3)]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("A_B_0001", ("A_B_0001",)),
        ("A_B/A_B_0001.jpg", ("A_B", "A_B_0001")),
        ("C:\\faces\\A_B_0001.WEBP", ("C:", "faces", "A_B_0001")),
        ("M_King_Jr._0001", ("M_King_Jr._0001",)),
        ("M_King_Jr._0001.png", ("M_King_Jr._0001",)),
        ("id0.p99", ("id0.p99",)),
        ("./a//b.jpeg", ("a", "b")),
        (".jpg", (".jpg",)),
        ("A\u030a.jpg", ("\u00c5",)),
    ],
)
def test_an_id_is_folders_and_a_name(name, parts):
    """An image's extension is dropped, a point within a name is no extension."""
    assert split_id(name)[0] == parts


@pytest.mark.parametrize("ids", [CASIA, CFP, VGGFACE2])
def test_layouts_that_repeat_names(ids):
    """Every image of a layout with a folder a person is found by its own id, in any spelling."""
    found = ImageIds(ids)
    for spell in (str, lambda name: name.removesuffix(".jpg"), lambda name: f"data/set/{name}"):
        assert found.find(map(spell, ids)) == {spell(name): [i] for i, name in enumerate(ids)}


@pytest.mark.parametrize(
    ("ids", "absent"),
    [
        (["005/img17.jpg", "006/img18.jpg"], "999_not_in_set/img17.jpg"),
        (["id0.p0", "id1.p0"], "id0.p99"),
        (["id0.p0", "id1.p0"], "id0"),
        (CASIA, "000/99.jpg"),
        (CFP, "000/03.jpg"),
        (["a/x.jpg"], "b/x"),
        (["x.jpg", "a/y.jpg"], "b/x.jpg"),
    ],
)
def test_an_absent_image_is_no_other_image(ids, absent):
    """An id that contradicts every id of the set is absent, whatever else agrees."""
    found = ImageIds(ids).find([absent, ids[-1]])
    assert found == {absent: [], ids[-1]: [len(ids) - 1]}


def test_a_short_id_is_found_where_it_is_unique():
    """Without folder or extension an id is one row where one agrees, several where several do."""
    ids = ImageIds(["a/x.jpg", "b/y.jpg", "c/y.png", "z.png"])
    assert ids.find(["x", "y", "lfw/images/z.jpg", "y.jpg"]) == {
        "x": [0],
        "y": [1, 2],
        "lfw/images/z.jpg": [3],
        "y.jpg": [1, 2],
    }


def test_a_whole_id_comes_first():
    """An id that is there is meant, though others agree with it but for folders or extension."""
    ids = ImageIds(["a/x.jpg", "x", "x.jpg", "b/x.png"])
    assert ids.find(["x", "x.jpg", "b/x"]) == {"x": [1], "x.jpg": [2], "b/x": [3]}


def test_other_roots():
    """Where no id agrees, the folders that all ids of a side begin with may be others."""
    ids = ImageIds(["funneled/a/1.jpg", "funneled/b/1.jpg"])
    assert not any(ids.find(["lfw/a/1.jpg", "lfw/b/1.jpg"]).values())
    assert ids.find_below_roots(["lfw/a/1.png", "lfw/b/1.png", "lfw/c/1.png"]) == {
        "lfw/a/1.png": [0],
        "lfw/b/1.png": [1],
        "lfw/c/1.png": [],
    }


def test_an_id_like_an_absent_one():
    """The id that is shown is of the same name where there is one."""
    ids = ImageIds(["a/x.jpg", "b/y.jpg"])
    assert (ids.like("c/y.png"), ids.like("z")) == ("b/y.jpg", "a/x.jpg")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x", "a/x.jpg", True),
        ("a/x.jpg", "b/x.jpg", False),
        ("x.jpg", "x.png", False),
        ("x.jpg", "y.jpg", False),
    ],
)
def test_ids_that_agree(one, other, same):
    """Ids are one image's where neither contradicts the other."""
    assert is_one_image(one, other) is is_one_image(other, one) is same
