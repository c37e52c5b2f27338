import json

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.spaces import Head

RNG = np.random.default_rng(0)
IDS = [f"image{i}.png" for i in range(30)]


def features(*names, n=30):
    """Return features of some spaces, of dimensions 3, 4 and so on."""
    return {name: RNG.standard_normal((n, 3 + i)) for i, name in enumerate(names)}


def whole(feature_set, name):
    """Return all rows of a space."""
    return feature_set.read([name], range(feature_set.n))[name]


def test_a_plain_folder_is_a_feature_set(tmp_path, write_folder):
    """Arrays, heads, labels and ids of a plain folder are found by their names."""
    arrays, head = features("net-1.v2", "other"), Head(RNG.standard_normal((4, 3)))
    labels = RNG.integers(4, size=30).astype(np.int16)
    write_folder(tmp_path, arrays, heads={"net-1.v2": head}, labels=labels, ids=IDS)
    opened = FeatureSet.open(tmp_path)
    assert {a: s.dim for a, s in opened.spaces.items()} == {"net-1.v2": 3, "other": 4}
    assert (opened.n, opened.has_ids, list(opened.heads)) == (30, True, ["net-1.v2"])
    assert opened.heads["net-1.v2"].fingerprint() == head.fingerprint()
    np.testing.assert_array_equal(opened.labels, labels)
    for name, array in arrays.items():
        np.testing.assert_array_equal(whole(opened, name), array)
    assert opened.notes == []


def test_chunks_tile_the_rows_and_are_bounded(tmp_path, write_folder):
    """Chunks cover the rows asked for, in order, each of bounded size."""
    arrays = features("a", "b")
    opened = FeatureSet.open(write_folder(tmp_path, arrays))
    rows = np.array([0, 3, 4, 8, 21, 22, 29])
    for chosen, expected in ((None, np.arange(30)), (rows, rows)):
        chunks = list(opened.chunks(["a", "b"], chosen, chunk_rows=4))
        assert max(len(part["a"]) for _, part in chunks) == 4
        np.testing.assert_array_equal(np.concatenate([np.asarray(r) for r, _ in chunks]), expected)
        for name in ("a", "b"):
            joined = np.concatenate([part[name] for _, part in chunks])
            np.testing.assert_array_equal(joined, arrays[name][expected])


def test_folders_are_joined_by_id_and_it_is_said(tmp_path, write_folder):
    """A folder whose ids stand in another order is joined by id, and a note says so."""
    arrays, order = features("a", "b"), RNG.permutation(30)
    labels = np.arange(30) % 7
    write_folder(tmp_path / "one", {"a": arrays["a"]}, ids=IDS)
    write_folder(
        tmp_path / "two",
        {"b": arrays["b"][order]},
        ids=[IDS[i] for i in order],
        labels=labels[order],
    )
    opened = FeatureSet.open(tmp_path / "one", tmp_path / "two")
    np.testing.assert_array_equal(whole(opened, "b"), arrays["b"])
    np.testing.assert_array_equal(opened.labels, labels)
    rows = np.array([2, 5, 6, 28])
    np.testing.assert_array_equal(opened.read(["b"], rows)["b"], arrays["b"][rows])
    assert len(opened.notes) == 1
    assert "two are in another order; joined by id" in opened.notes[0]


def test_folders_in_the_same_order_need_no_note(tmp_path, write_folder):
    """Equal ids in the same order are joined silently, whatever the number of folders."""
    arrays = features("a", "b", "c")
    folders = [write_folder(tmp_path / a, {a: x}, ids=IDS) for a, x in arrays.items()]
    opened = FeatureSet.open(*folders)
    assert list(opened.spaces) == ["a", "b", "c"]
    assert opened.notes == []
    np.testing.assert_array_equal(whole(opened, "c"), arrays["c"])


def test_folders_without_ids_are_joined_by_number_and_it_is_said(tmp_path, write_folder):
    """Without ids rows match by number, and a note says so."""
    folders = [write_folder(tmp_path / a, {a: x}) for a, x in features("a", "b").items()]
    assert any("have no ids" in note for note in FeatureSet.open(*folders).notes)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"ids": [*IDS[:-1], "stranger"]}, r"two.ids\.txt: lacks 1 id of .*one, .*'image29\.png'"),
        ({"ids": [*IDS, "stranger"], "n": 31}, r"one.ids\.txt: lacks 1 id of .*two.*'stranger'"),
        ({"ids": [*IDS[:-1], IDS[0]]}, r"the id 'image0\.png' repeats"),
        ({"ids": None}, r"only one of .* has ids\.txt"),
        ({"ids": IDS, "labels": np.arange(30)}, r"labels of .* differ, first at row 1"),
        ({"ids": IDS, "names": ["a"]}, "space a is in both"),
    ],
    ids=["missing", "extra", "duplicated", "no ids", "other labels", "same space"],
)
def test_refuses_folders_that_do_not_match(tmp_path, write_folder, second, message):
    """Ids that are missing or repeated, other labels and a space twice are refused by name."""
    write_folder(tmp_path / "one", features("a"), ids=IDS, labels=np.zeros(30, np.int64))
    arrays = features(*second.get("names", ["b"]), n=second.get("n", 30))
    write_folder(tmp_path / "two", arrays, ids=second["ids"], labels=second.get("labels"))
    with pytest.raises(InputError, match=message):
        FeatureSet.open(tmp_path / "one", tmp_path / "two")


def test_refuses_other_numbers_of_rows_without_ids(tmp_path, write_folder):
    """Folders without ids and of other lengths are refused with both lengths."""
    write_folder(tmp_path / "one", features("a"))
    write_folder(tmp_path / "two", features("b", n=29))
    with pytest.raises(InputError, match=r"one has 30, .*two has 29"):
        FeatureSet.open(tmp_path / "one", tmp_path / "two")


def test_refuses_rows_that_differ_between_spaces(tmp_path, write_folder):
    """Two spaces of one folder with other numbers of rows are refused with both numbers."""
    write_folder(tmp_path, {"a": np.ones((5, 2)), "b": np.ones((6, 2))})
    with pytest.raises(
        InputError, match=r"rows differ between spaces: got 5 of a, 6 of b; expected one"
    ):
        FeatureSet.open(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(29, np.int64), "got 29 labels, expected 30"),
        (np.zeros(30), "got float64"),
        (np.zeros((30, 1), np.int64), "got int64 of shape"),
    ],
    ids=["length", "floats", "2-d"],
)
def test_refuses_labels_that_do_not_fit(tmp_path, write_folder, labels, message):
    """Labels of another length or type are refused."""
    write_folder(tmp_path, features("a"), labels=labels)
    with pytest.raises(InputError, match=message):
        FeatureSet.open(tmp_path)


def test_refuses_a_head_of_another_dimension(tmp_path, write_folder):
    """A head that does not read the space's features is refused with both dimensions."""
    write_folder(tmp_path, features("a"), heads={"a": Head(np.ones((4, 9)))})
    with pytest.raises(InputError, match="head of dimension 9, expected 3"):
        FeatureSet.open(tmp_path)


def test_refuses_a_head_that_is_no_safetensors(tmp_path, write_folder):
    """A head file of rubbish is refused by name."""
    write_folder(tmp_path, features("a"))
    (tmp_path / "a.head.safetensors").write_bytes(b"rubbish")
    with pytest.raises(FileFormatError, match=r"a\.head\.safetensors: not a readable safetensors"):
        FeatureSet.open(tmp_path)


def test_refuses_what_is_no_feature_set(tmp_path):
    """Nothing, a file, an empty folder and no folder at all are refused, saying which it is."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("absent", "nothing there"),
        ("file", "a file, expected a folder"),
        ("empty", r"expected NAME\.npy"),
    ):
        with pytest.raises(InputError, match=f"not a feature set: {message}"):
            FeatureSet.open(tmp_path / name)
    with pytest.raises(InputError, match="got no folder"):
        FeatureSet.open()


@pytest.mark.parametrize("name", ["a--b", "a b", "ä", "-->"])
def test_refuses_names_that_could_not_stand_in_a_pair(tmp_path, write_folder, name):
    """A space whose name would be ambiguous in a map's file name is refused."""
    write_folder(tmp_path, {name: np.ones((3, 2))})
    with pytest.raises(InputError, match="got space name"):
        FeatureSet.open(tmp_path)


def test_hidden_files_are_no_spaces(tmp_path, write_folder):
    """Hidden files, such as those a killed command leaves, are not read as spaces."""
    write_folder(tmp_path, features("a"))
    (tmp_path / ".b.partial.npy").write_bytes(b"half a file")
    (tmp_path / "._a.npy").write_bytes(b"what some systems put beside a file")
    assert list(FeatureSet.open(tmp_path).spaces) == ["a"]


def test_refuses_no_rows(tmp_path, write_folder):
    """A folder of zero rows is refused."""
    write_folder(tmp_path, {"a": np.ones((0, 3))})
    with pytest.raises(InputError, match="got n = 0 rows"):
        FeatureSet.open(tmp_path)


def test_asking_for_an_unknown_space_names_those_there_are(tmp_path, write_folder):
    """An unknown space is refused with the names of the others."""
    opened = FeatureSet.open(write_folder(tmp_path, features("a", "b")))
    with pytest.raises(InputError, match=r"no space 'c' in .*it holds a, b"):
        opened.require(["a", "c"])


def test_a_manifest_gives_fingerprints_and_facts(tmp_path, write_folder):
    """What extraction recorded of a space comes with it."""
    write_folder(tmp_path, features("a", "b"))
    facts = {"fingerprint": "f" * 64, "encoder": "onnx:a.onnx", "complete": [[0, 12], [12, 30]]}
    manifest = {"spaces": {"a": facts}, "input": {"path": "images"}}
    (tmp_path / "feature_set.json").write_text(json.dumps(manifest))
    opened = FeatureSet.open(tmp_path)
    assert opened.spaces["a"].fingerprint == "f" * 64
    assert opened.spaces["b"].fingerprint is None
    assert opened.info == {"a": facts, "b": {}}
    assert opened.source == {"path": "images"}


def test_refuses_an_extraction_that_is_not_finished(tmp_path, write_folder):
    """Rows that an interrupted extraction has not written are counted and refused."""
    write_folder(tmp_path, features("a"))
    manifest = {"spaces": {"a": {"complete": [[0, 10], [12, 25]]}}}
    (tmp_path / "feature_set.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="space a lacks 7 of 30 rows"):
        FeatureSet.open(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"spaces": []}',
        '{"spaces": {"a": 3}}',
        '{"spaces": {"a": {"complete": 3}}}',
        '{"spaces": {"a": {"complete": [["x", 2]]}}}',
        '{"spaces": {}, "input": "images"}',
    ],
)
def test_refuses_a_manifest_of_another_form(tmp_path, write_folder, text):
    """A feature_set.json that extraction did not write is refused by name."""
    write_folder(tmp_path, features("a"))
    (tmp_path / "feature_set.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"feature_set\.json"):
        FeatureSet.open(tmp_path)


@pytest.mark.parametrize(("shape", "asked"), [((16, 60), True), ((50, 16), False)])
def test_a_transposed_array_is_asked_about(tmp_path, write_folder, shape, asked):
    """Where one array has as many dimensions as another has rows, the error asks whether it is turned."""
    write_folder(tmp_path, {"a": np.zeros(shape), "b": np.zeros((60, 10))})
    with pytest.raises(InputError, match="rows differ between spaces") as error:
        FeatureSet.open(tmp_path)
    assert ("a.npy is (16, 60), expected (rows, dimensions): is it" in str(error.value)) is asked


@pytest.mark.parametrize("name", ["targets", "train_labels", "ids"])
def test_labels_under_another_name_are_no_space(tmp_path, write_folder, name):
    """An array of one dimension is no space, and the error says where labels and ids go."""
    write_folder(tmp_path, {"a": np.zeros((6, 2)), name: np.zeros(6)})
    with pytest.raises(
        InputError, match=rf"{name}\.npy: .*labels are labels\.npy, ids are ids\.txt"
    ):
        FeatureSet.open(tmp_path)


@pytest.mark.parametrize(
    ("labels", "got"), [(["cat", "dog"], "got text"), ([0.5, 1.0], "got float64")]
)
def test_labels_that_are_no_numbers(tmp_path, write_folder, labels, got):
    """Labels as text or fractions are refused in words that say what is expected."""
    write_folder(tmp_path, {"a": np.zeros((2, 2))}, labels=np.array(labels))
    with pytest.raises(InputError, match=rf"{got} of shape \(2,\), expected \(n,\) integers"):
        FeatureSet.open(tmp_path)
