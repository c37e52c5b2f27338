import numpy as np
import pytest
from tests.faces import Faces

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.images.pairs import read_pairs
from intertwine.studies.verification_set import VerificationSet

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


def test_ids_that_become_one(tmp_path, write_folder):
    """Two rows that differ by folder or extension only cannot be told apart."""
    pairs = read_pairs(FACES.official(tmp_path / "pairs.txt"))
    ids = [*FACES.ids, f"other/{pairs.first[0]}.png"]
    array = np.vstack([FACES.features["a"], np.ones(5)])
    folder = write_folder(tmp_path / "set", {"a": array}, ids=ids)
    with pytest.raises(InputError, match="2 rows have the id"):
        VerificationSet.of(FeatureSet.open(folder), pairs)


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
