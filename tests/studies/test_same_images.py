import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.linkage.people import People
from intertwine.studies.same_images import equal_rows, rows_in_both, same_images

RNG = np.random.default_rng(5)
TEMPLATES, PROBES = RNG.standard_normal((2, 30, 6)).astype(np.float32)
PEOPLE = np.arange(30) % 10


def sets(
    folder, write_folder, gallery_ids, probe_ids, *, probes=PROBES, probe_space="a", labels=PEOPLE
):
    """Return a gallery and probes of ten people, three rows each."""
    return tuple(
        FeatureSet.open(write_folder(folder / name, {space: array}, labels=people, ids=ids))
        for name, space, array, ids, people in (
            ("gallery", "a", TEMPLATES, gallery_ids, PEOPLE),
            ("probe", probe_space, probes, probe_ids, labels),
        )
    )


def ids(side, *, changed=()):
    """Return an id a row, some of them other ones."""
    names = [f"{side}/p{PEOPLE[k]}_{side}{k}.jpg" for k in range(30)]
    for row, name in changed:
        names[row] = name
    return names


SPELLINGS = ["g/p4_g4.jpg", "p4_g4", "data/g/p4_g4.png", "d2/p4_g4.png"]


@pytest.mark.parametrize("probe_space", ["a", "b"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_image_in_both_sets_is_left_out(tmp_path, write_folder, spelling, probe_space):
    """An image of the gallery is no probe, however its id is written, and it is counted."""
    probes = PROBES.copy()
    probes[4] = 1.01 * TEMPLATES[4]
    pair = sets(
        tmp_path,
        write_folder,
        ids("g"),
        ids("p", changed=[(4, spelling)]),
        probes=probes,
        probe_space=probe_space,
    )
    people = People.of(*pair)
    assert people.probe_rows.tolist() == [k for k in range(30) if k != 4]
    assert "1 probe left out: the same images are in the gallery" in people.notes


@pytest.mark.parametrize(
    ("row", "spelling"),
    [(5, "d2/p4_g4.png"), (4, "d2/p4_g4.png"), (4, "d2/p4_x.png")],
    ids=["another label", "another vector", "another name"],
)
def test_another_image_stays(tmp_path, write_folder, row, spelling):
    """A name that agrees without its folder is another image's where label or vector differ."""
    pair = sets(tmp_path, write_folder, ids("g"), ids("p", changed=[(row, spelling)]))
    assert not same_images(*pair).any()


def test_layouts_that_repeat_names_stay(tmp_path, write_folder):
    """A folder a person with images of the same names holds no image twice."""
    gallery = [f"{PEOPLE[k]:03d}/frontal/{k // 10}.jpg" for k in range(30)]
    probe = [f"{PEOPLE[k]:03d}/profile/{k // 10}.jpg" for k in range(30)]
    assert not same_images(*sets(tmp_path, write_folder, gallery, probe, probe_space="b")).any()


@pytest.mark.parametrize("with_ids", [False, True])
def test_equal_rows_are_left_out(tmp_path, write_folder, with_ids):
    """A row that is a template's of the same person is no probe; of another person it is doubted."""
    probes = PROBES.copy()
    probes[7], probes[9] = TEMPLATES[17], TEMPLATES[2]
    names = [ids(side) if with_ids else None for side in ("g", "p")]
    pair = sets(tmp_path, write_folder, *names, probes=probes)
    people = People.of(*pair)
    assert people.probe_rows.tolist() == [k for k in range(30) if k != 7]
    doubts = [note for note in people.notes if "vector" in note]
    assert [note.split(":")[0][:13] for note in doubts] == ["1 more probe ", "1 probe has t"]


@pytest.mark.parametrize("half", ["gallery", "probe"])
def test_rows_kept_as_float16_on_one_side(tmp_path, write_folder, half):
    """Rows are equal where one set keeps them rounded to float16, as linkage and closed-set ask."""
    probes = PROBES.copy()
    probes[7] = TEMPLATES[17]
    folders = []
    for name, array in (("gallery", TEMPLATES), ("probe", probes)):
        kept = array.astype(np.float16) if name == half else array
        folders.append(write_folder(tmp_path / name, {"a": kept}, labels=PEOPLE))
    gallery, probe = map(FeatureSet.open, folders)
    assert np.flatnonzero(equal_rows(gallery, probe)[0]).tolist() == [7]
    assert np.flatnonzero(rows_in_both(gallery, probe, ["a"])).tolist() == [7]


def test_a_network_that_always_says_the_same(tmp_path, write_folder):
    """Rows that repeat are no images that are in both sets."""
    probes = np.repeat(TEMPLATES[:1], 30, axis=0)
    copies, strangers = equal_rows(*sets(tmp_path, write_folder, ids("g"), ids("p"), probes=probes))
    assert not copies.any()
    assert not strangers.any()


def test_nothing_left_to_search_for(tmp_path, write_folder):
    """A gallery that is searched for itself, by other folders, is refused."""
    names = [name.replace("g/", "h/") for name in ids("g")]
    pair = sets(tmp_path, write_folder, ids("g"), names, probes=TEMPLATES)
    with pytest.raises(InputError, match="nothing is left to search for"):
        People.of(*pair)


def test_images_without_a_face_are_counted(tmp_path, write_folder):
    """Templates and probes without a face are counted, each side by its own list."""
    from intertwine.inputs.images.faces.cache import HEADER

    pair = sets(tmp_path, write_folder, ids("g"), ids("p"))
    for side, name, rows in (("g", "gallery", [1, 2]), ("p", "probe", [3])):
        lines = [",".join(HEADER)]
        lines += [",".join([ids(side)[row], "mtcnn", "0", *["1.0"] * 14]) for row in rows]
        (tmp_path / name / "faces.csv").write_text("\n".join(lines) + "\n")
    notes = People.of(*pair).notes
    assert any(note.startswith("2 of 30 templates of the gallery show no face") for note in notes)
    assert any(note.startswith("1 of 30 probes show no face") for note in notes)
