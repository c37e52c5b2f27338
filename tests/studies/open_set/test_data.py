import numpy as np
import pytest
from tests.faces import Faces

from intertwine.errors import Doubt, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.inputs.images.faces.cache import HEADER
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs

FACES = Faces({"a": 5, "b": 3})


def opened(tmp_path, *, form="official", faces=FACES, **more):
    """Return the verification set of a folder and a list."""
    pairs = getattr(faces, form)(tmp_path / "pairs.txt")
    folder = faces.folder(tmp_path / "set", **more)
    return VerificationSet.of(FeatureSet.open(folder), read_pairs(pairs))


@pytest.mark.parametrize("form", ["official", "csv"])
def test_rows_are_matched_by_id_and_normalised(tmp_path, form):
    """Each pair finds its two images whatever their order, folder, extension and norm."""
    data = opened(tmp_path, form=form)
    for name, array in FACES.features.items():
        unit = array / np.linalg.norm(array, axis=1, keepdims=True)
        for side, k in ((data.first, 0), (data.second, 1)):
            expected = unit[[pair[k] for pair in FACES.pairs]]
            np.testing.assert_allclose(data.features[name][side], expected, atol=1e-6)
    norms = np.linalg.norm(data.features["a"], axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-15)


@pytest.mark.parametrize(("form", "labelled"), [("official", False), ("csv", True), ("csv", False)])
def test_people_are_named_labelled_or_connected(tmp_path, form, labelled):
    """Who is shown comes from the list's names, the set's labels, or else from matched pairs."""
    order = np.random.default_rng(FACES.seed).permutation(len(FACES.ids))
    labels = FACES.person[order] if labelled else None
    data = opened(tmp_path, form=form, labels=labels)
    same = data.person[data.first] == data.person[data.second]
    np.testing.assert_array_equal(same, data.same)
    known = form == "official" or labelled
    used = {FACES.person[k] for pair in FACES.pairs for k in pair[:2]}
    assert (data.n_people == len(used)) if known else (data.n_people > len(used))
    assert any("without labels" in note for note in data.notes) is not known


def test_labels_that_contradict_the_pairs_are_not_believed(tmp_path):
    """Labels that are no identities are left aside, and a note says so."""
    data = opened(tmp_path, form="csv", labels=np.zeros(len(FACES.ids), int))
    assert any("labels contradict the pairs" in note for note in data.notes)


def test_people_in_several_folds_are_noted(tmp_path):
    """A note counts the people whose images stand in more than one fold."""
    lines = FACES.csv(tmp_path / "pairs.txt").read_text().splitlines()
    first = lines[0].rsplit(",", 1)[0]
    (tmp_path / "more.csv").write_text("\n".join([*lines, f"{first},2"]))
    folder = FACES.folder(tmp_path / "set")
    data = VerificationSet.of(FeatureSet.open(folder), read_pairs(tmp_path / "more.csv"))
    assert data.in_folds().sum(axis=1).max() == 2
    assert any("people stand in several folds" in note for note in data.notes)


def test_a_set_without_ids_is_named_by_row_numbers(tmp_path, write_folder):
    """Without ids.txt the ids of a CSV are row numbers."""
    write_folder(tmp_path / "set", {"a": np.eye(4), "b": np.eye(4)})
    (tmp_path / "pairs.csv").write_text("0,1,1,1\n0,2,0,1\n2,3,1,2\n3,1,0,2\n")
    data = VerificationSet.of(FeatureSet.open(tmp_path / "set"), read_pairs(tmp_path / "pairs.csv"))
    assert data.n_images == 4


def test_absent_ids(tmp_path, write_folder):
    """Pairs that name ids which the set lacks are counted, with an example."""
    pairs = read_pairs(FACES.official(tmp_path / "pairs.txt"))
    kept = [i for i in range(len(FACES.ids)) if FACES.ids[i] != pairs.first[0]]
    folder = write_folder(
        tmp_path / "set", {"a": FACES.features["a"][kept]}, ids=[FACES.ids[i] for i in kept]
    )
    with pytest.raises(
        InputError, match=f"names 1 of .* images that .*, such as '{pairs.first[0]}'"
    ):
        VerificationSet.of(FeatureSet.open(folder), pairs)


def test_absent_row_numbers(tmp_path, write_folder):
    """Where a set has no ids the error says that they are row numbers."""
    write_folder(tmp_path / "set", {"a": np.eye(4)})
    pairs = read_pairs(FACES.official(tmp_path / "pairs.txt"))
    with pytest.raises(InputError, match=r"no ids\.txt, so its ids are row numbers"):
        VerificationSet.of(FeatureSet.open(tmp_path / "set"), pairs)


def set_of(folder, write_folder, ids):
    """Return a feature set of some ids, the rows of unit vectors."""
    return FeatureSet.open(write_folder(folder / "set", {"a": np.eye(len(ids))}, ids=ids))


def listed(folder, *lines):
    """Return the pairs of some lines."""
    (folder / "pairs.csv").write_text("\n".join(lines))
    return read_pairs(folder / "pairs.csv")


def test_ids_that_may_be_several_rows(tmp_path, write_folder):
    """An id that two rows agree with is no row; one that is whole is its own."""
    rows = set_of(tmp_path, write_folder, ["a/x.jpg", "b/x.png", "x", "c/y.jpg", "d/y.jpg"])
    pairs = listed(tmp_path, "x,a/x.jpg,1,1", "x,b/x.png,0,1", "x,a/x.jpg,1,2", "x,b/x.png,0,2")
    data = VerificationSet.of(rows, pairs)
    np.testing.assert_array_equal(data.features["a"][data.first[0]], np.eye(5)[2])
    pairs = listed(tmp_path, "x,y,1,1", "x,b/x.png,0,1", "x,y,1,2", "x,b/x.png,0,2")
    with pytest.raises(InputError, match=r"'y' may be 2 rows of .*'c/y\.jpg' and 'd/y\.jpg'"):
        VerificationSet.of(rows, pairs)


def test_an_absent_image_of_a_name_that_is_there(tmp_path, write_folder):
    """An image that is not in the set is named, with an id that is; no other image takes its place."""
    rows = set_of(tmp_path, write_folder, [f"{k:03d}/img{k}.jpg" for k in range(8)])
    lines = ["000/img0.jpg,001/img1.jpg,1,1", "002/img2.jpg,003/img3.jpg,0,1"]
    lines += ["004/img4.jpg,005/img5.jpg,1,2", "999_gone/img6.jpg,007/img7.jpg,0,2"]
    with pytest.raises(
        InputError, match=r"'999_gone/img6\.jpg'; an id that it has is '006/img6\.jpg'"
    ):
        VerificationSet.of(rows, listed(tmp_path, *lines))


def test_two_images_of_a_list_are_not_one_row(tmp_path, write_folder):
    """Two ids that contradict each other are never the same row."""
    rows = set_of(tmp_path, write_folder, [f"{k}.jpg" for k in range(4)])
    pairs = listed(tmp_path, "a/0,a/1,1,1", "b/0,a/2,0,1", "a/0,a/1,1,2", "a/3,a/2,0,2")
    with pytest.raises(InputError, match=r"'a/0' and 'b/0' would both be row '0\.jpg'"):
        VerificationSet.of(rows, pairs)


def test_other_folders_are_doubted(tmp_path, write_folder):
    """Where only the folders that all ids begin with differ, rows are found and a doubt says how."""
    rows = set_of(tmp_path, write_folder, [f"train/{k}.jpg" for k in range(4)])
    lines = ["test/0,test/1,1,1", "test/0,test/2,0,1", "test/0,test/1,1,2", "test/3,test/2,0,2"]
    data = VerificationSet.of(rows, listed(tmp_path, *lines))
    (note,) = [note for note in data.notes if isinstance(note, Doubt) and "folders" in note]
    assert "'test/0' is taken to be 'train/0.jpg'" in note


def test_one_image_spelled_twice_is_one_image(tmp_path, write_folder):
    """An id with and without its extension is one row and one image."""
    rows = set_of(tmp_path, write_folder, [f"{k}.jpg" for k in range(4)])
    pairs = listed(tmp_path, "0,1,1,1", "0.jpg,2,0,1", "0.jpg,1.jpg,1,2", "3,2.jpg,0,2")
    assert VerificationSet.of(rows, pairs).n_images == 4


def test_easy_pairs_are_counted(tmp_path, write_folder):
    """Matched pairs of an image with itself, and pairs that are listed twice, are counted."""
    rows = set_of(tmp_path, write_folder, [f"{k}.jpg" for k in range(6)])
    lines = ["0,0,1,1", "0.jpg,2,0,1", "1,3,1,2", "3,1,1,2", "4,5,0,2", "5,4,0,1"]
    notes = VerificationSet.of(rows, listed(tmp_path, *lines)).notes
    doubts = [note for note in notes if isinstance(note, Doubt)]
    assert doubts[0].startswith("1 of 3 matched pairs compare an image with itself")
    assert "2 of 6 pairs are listed twice and count twice" in notes


@pytest.mark.parametrize("same", [0, 1])
def test_equal_images_under_two_ids_are_doubted(tmp_path, write_folder, same):
    """A pair of two ids whose features are equal in every space is doubted, in one space is not."""
    first, second = np.eye(6), np.eye(6)[::-1].copy()
    first[1] = first[0]
    alike = write_folder(tmp_path / "one", {"a": first, "b": second}, ids=list("012345"))
    second[1] = 3 * second[0]
    twice = write_folder(tmp_path / "two", {"a": first, "b": second}, ids=list("012345"))
    kind = 1 - same
    lines = [f"0,1,{same},1", f"2,3,{kind},1", f"2,4,{same},2", f"3,5,{kind},2"]
    pairs = listed(tmp_path, *lines)
    notes = [VerificationSet.of(FeatureSet.open(folder), pairs).notes for folder in (alike, twice)]
    assert [sum("features are the same" in note for note in each) for each in notes] == [0, 1]
    assert any(isinstance(each, Doubt) and each.startswith("1 of 4 pairs") for each in notes[1])


@pytest.mark.parametrize("cut", [False, True])
def test_images_without_a_face_are_doubted(tmp_path, write_folder, cut):
    """The images of pairs in which no face was found are counted, by the last line of each."""
    rows = set_of(tmp_path, write_folder, [f"{k}.jpg" for k in range(5)])
    faces = [("0.jpg", 0), ("1.jpg", 0), ("1.jpg", 1), ("2.jpg", 0), ("4.jpg", 0), ("3.jpg", 2)]
    lines = [",".join(HEADER)] + [",".join([a, "mtcnn", str(n), *["1.5"] * 14]) for a, n in faces]
    (tmp_path / "set" / "faces.csv").write_text("\n".join(lines) + ("" if cut else "\n"))
    pairs = listed(tmp_path, "0,1,1,1", "0,2,0,1", "0,1,1,2", "3,2,0,2")
    notes = VerificationSet.of(rows, pairs).notes
    assert any(note.startswith("2 of 4 images of these pairs show no face") for note in notes)


def test_a_broken_list_of_faces_is_doubted(tmp_path, write_folder):
    """A faces.csv that is none is no reason to stop, but is said."""
    rows = set_of(tmp_path, write_folder, [f"{k}.jpg" for k in range(4)])
    (tmp_path / "set" / "faces.csv").write_text("what,is,this\n")
    pairs = listed(tmp_path, "0,1,1,1", "0,2,0,1", "0,1,1,2", "3,2,0,2")
    notes = VerificationSet.of(rows, pairs).notes
    assert any("faces.csv: no list of faces" in note for note in notes)


@pytest.mark.parametrize(
    ("value", "message"), [(0.0, "b: row {} has length zero"), (np.nan, "b: NaN .* rows {}")]
)
def test_rows_without_direction(tmp_path, write_folder, value, message):
    """A vector of length zero, or with NaN, is named by its row."""
    array = FACES.features["b"].copy()
    row = FACES.pairs[3][0]
    array[row] = value
    folder = write_folder(tmp_path / "set", {"a": FACES.features["a"], "b": array}, ids=FACES.ids)
    pairs = read_pairs(FACES.official(tmp_path / "pairs.txt"))
    with pytest.raises(InputError, match=message.format(row)):
        VerificationSet.of(FeatureSet.open(folder), pairs)


def test_mismatched_pairs_of_one_person(tmp_path):
    """Pairs that contradict each other are refused."""
    lines = FACES.csv(tmp_path / "pairs.csv").read_text().splitlines()
    first = next(line for line in lines if line.split(",")[2] == "1").split(",")
    contradiction = ",".join([*first[:2], "0", first[3]])
    (tmp_path / "pairs.csv").write_text("\n".join([*lines, contradiction]))
    folder = FACES.folder(tmp_path / "set")
    with pytest.raises(InputError, match="mismatched pairs join images that matched pairs say"):
        VerificationSet.of(FeatureSet.open(folder), read_pairs(tmp_path / "pairs.csv"))
