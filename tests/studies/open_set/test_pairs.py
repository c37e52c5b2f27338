import numpy as np
import pytest
from tests.faces import Faces

from intertwine.errors import InputError, IntertwineError
from intertwine.studies.open_set.pairs import PairList, read_pairs

FACES = Faces({"a": 4})


@pytest.mark.parametrize("header", [False, True])
def test_both_forms_read_alike(tmp_path, header):
    """The official form and the CSV, with titles or without, give the same pairs and folds."""
    official = read_pairs(FACES.official(tmp_path / "pairs.txt"))
    table = read_pairs(FACES.csv(tmp_path / "pairs.csv", header=header))
    for pairs in (official, table):
        assert pairs.first == [FACES.ids[i] for i, *_ in FACES.pairs]
        assert pairs.second == [FACES.ids[j] for _, j, *_ in FACES.pairs]
        np.testing.assert_array_equal(pairs.same, [same for *_, same, _ in FACES.pairs])
        np.testing.assert_array_equal(pairs.fold, [fold for *_, fold in FACES.pairs])
    assert table.people is None
    assert official.people["Person_03_0002"] == "Person_03"


def test_folds_of_a_csv_are_numbered_in_order(tmp_path):
    """Folds named 2, 10 and x are the first, the second and the third."""
    rows = [f"a{i},b{i},{i % 2},{fold}" for i, fold in enumerate(["10", "2", "x"] * 4)]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    assert read_pairs(tmp_path / "p.csv").fold.tolist() == [1, 0, 2] * 4


def test_the_real_list(shared_data):
    """The official list holds ten folds of 300 matched and 300 mismatched pairs, people disjoint."""
    pairs = read_pairs(shared_data / "lfw" / "pairs.txt")
    assert len(pairs) == 6000
    assert pairs.n_folds == 10
    for fold in range(10):
        assert pairs.same[pairs.fold == fold].sum() == 300
    at = {}
    for name, other, fold in zip(pairs.first, pairs.second, pairs.fold, strict=True):
        for each in (name, other):
            at.setdefault(pairs.people[each], set()).add(int(fold))
    assert all(len(folds) == 1 for folds in at.values())


GOOD = "2\t1\nA\t1\t2\nA\t1\tB\t1\nC\t1\t2\nC\t1\tD\t1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no pair"),
        ("\n\n", "holds no pair"),
        ("hello\n", "line 1: got 'hello', expected `folds pairs`"),
        ("0 300\n", "line 1: got '0 300', expected `folds pairs`"),
        ("2 1\nA 1 2\n", "got 1 pair, expected 2 folds of 1 matched and 1 mismatched, 4"),
        (GOOD.replace("A\t1\t2", "A\t1\tx"), r"line 2: got 'A\\t1\\tx', expected `Name i j`"),
        (GOOD.replace("A\t1\t2", "A"), "line 2: got 'A', expected `Name i j`"),
        (GOOD.replace("C\t1\t2", "C_1,C_2,1,2"), "line 4: got 'C_1,C_2,1,2'.*holds one form"),
        (GOOD.replace("C\t1\t2", "C\t1\tD\t2"), "fold 2 of 2 has no matched pairs among its 2"),
        (GOOD.replace("C\t1\tD\t1", "C\t2\t3"), "fold 2 of 2 has no mismatched pairs"),
        ("a,b,1,1\na,c,0,1\n", "got one fold, expected at least two"),
        ("a,b,1,1\na,c,0,1\nd,e,1,2\n", "fold 2 of 2 has no mismatched pairs"),
        ("a,b,1,1\na,c,0,1\nd,e,0,2\n", "fold 2 of 2 has no matched pairs"),
        ("a,b,1,1\nA 1 2\n", "line 2: got 'A 1 2', expected id,id,same,fold .* one form"),
        ("a,b,1,1\na,b,2,1\n", "line 2: got 'a,b,2,1', expected"),
        ("a,b,1,1\na,b,,1\n", "line 2: got 'a,b,,1', expected"),
        ("id,id,same,fold\n", "holds no pair"),
        ("1100\nA 1 2\n", "the one number of a list without folds, such as pairsDevTrain.txt"),
        ("a,b,yes,1\na,c,0,1\n", "line 1: got 'a,b,yes,1', expected id,id,same,fold .* titles"),
        ("a,b,-1,1\na,c,0,1\n", "line 1: got 'a,b,-1,1'"),
        ("a,b,1.0,1\na,c,0,1\n", "line 1: got 'a,b,1.0,1'"),
        ("a,b,matched,1\na,c,0,1\n", "line 1: got 'a,b,matched,1'"),
        ("fold,same,id1,id2\n1,2,a,b\n", "line 2: got '1,2,a,b', expected what the line of titles"),
    ],
)
def test_a_bad_list_is_one_clear_error(tmp_path, text, message):
    """What is no list of pairs, or mixes two forms, is named by its line."""
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / "pairs.txt")


@pytest.mark.parametrize(
    ("titles", "order"),
    [
        ("fold,same,id1,id2", (2, 3, 1, 0)),
        ("Label,Image_A,Image_B,Split", (1, 2, 0, 3)),
        ("second,first,is_same,fold", (1, 0, 2, 3)),
    ],
)
def test_titles_say_which_column_is_which(tmp_path, titles, order):
    """Columns in any order read as the plain form does, by their titles."""
    plain = read_pairs(FACES.csv(tmp_path / "plain.csv"))
    lines = (tmp_path / "plain.csv").read_text().splitlines()
    moved = []
    for line in lines:
        cells = line.split(",")
        place = dict(zip(order, cells, strict=True))
        moved.append(",".join(place[k] for k in range(4)))
    (tmp_path / "moved.csv").write_text("\n".join([titles, *moved]))
    # `order` holds the column of first, second, same and fold.
    found = read_pairs(tmp_path / "moved.csv")
    assert (found.first, found.second) == (plain.first, plain.second)
    np.testing.assert_array_equal(found.same, plain.same)
    np.testing.assert_array_equal(found.fold, plain.fold)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pairs.txt", "cannot be read as a list of pairs: .* is not UTF-8"),
        ("nowhere.txt", "cannot be read as a list of pairs: there is no such file"),
        (".", "is a folder, expected a file"),
    ],
)
def test_a_file_that_is_no_text(tmp_path, name, reason):
    """A binary or absent file, or a folder, is refused in plain words."""
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(IntertwineError, match=reason) as error:
        read_pairs(tmp_path / name)
    assert "Errno" not in str(error.value)


def test_pairs_in_memory_are_those_of_the_file(tmp_path):
    """Pairs from lists are those that the same CSV holds."""
    table = read_pairs(FACES.csv(tmp_path / "pairs.csv"))
    made = PairList.of(table.first, table.second, table.same.astype(int), fold=table.fold + 3)
    assert (made.first, made.second) == (table.first, table.second)
    assert np.array_equal(made.same, table.same)
    assert np.array_equal(made.fold, table.fold)


@pytest.mark.parametrize(
    ("same", "fold", "message"),
    [
        ([1, 0, 1], [0, 0, 1, 1], "pairs: got 4, 4, 3, 4 of first, second, same and fold"),
        ([1, 0, 2, 0], [0, 0, 1, 1], "pairs: same holds other values than 0 and 1"),
        ([1, 0, 1, 0], [0, 0, 0, 0], "pairs: got one fold, expected at least two"),
        ([1, 0, 1, 1], [0, 0, 1, 1], "pairs: fold 2 of 2 has no mismatched pairs"),
    ],
)
def test_pairs_in_memory_that_are_no_list_are_refused(same, fold, message):
    """Lengths that differ, other marks, and folds without both kinds are refused."""
    with pytest.raises(InputError, match=message):
        PairList.of("abcd", "efgh", same, fold=fold)


def test_no_pairs_in_memory_are_refused():
    """An empty list is refused."""
    with pytest.raises(InputError, match="pairs: got no pair, expected at least one"):
        PairList.of([], [], [], fold=[])
