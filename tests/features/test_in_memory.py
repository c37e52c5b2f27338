from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch

import intertwine
from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet, file_stamps
from intertwine.parallel.workers import Workers
from intertwine.spaces import Head
from intertwine.storage.shelf import run_key

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((60, 5)), RNG.standard_normal((60, 3)).astype(np.float16)
IDS = [f"image {row}" for row in range(60)]
LABELS = RNG.integers(0, 4, 60)
HEAD = Head(RNG.standard_normal((4, 5)), RNG.standard_normal(4))


@pytest.fixture
def folder(tmp_path, write_folder):
    """Return a folder of the arrays with ids, labels and a head."""
    return write_folder(
        tmp_path / "set", {"a": A, "b": B}, ids=IDS, labels=LABELS, heads={"a": HEAD}
    )


@pytest.fixture
def arrays():
    """Return the same set of arrays in memory."""
    return FeatureSet.from_arrays({"a": A, "b": B}, ids=IDS, labels=LABELS, heads={"a": HEAD})


def test_it_is_what_a_folder_of_the_arrays_is(folder, arrays):
    """Spaces, ids, labels, heads and rows are those of the folder."""
    stored = FeatureSet.open(folder)
    assert arrays.spaces == stored.spaces
    assert arrays.ids() == stored.ids() == IDS
    assert arrays.has_ids
    assert np.array_equal(arrays.id_hashes, stored.id_hashes)
    assert np.array_equal(arrays.labels, stored.labels)
    assert arrays.labels.dtype == np.int64
    assert arrays.heads["a"].fingerprint() == stored.heads["a"].fingerprint()
    for rows in (range(7, 20), np.array([3, 1, 50]), None):
        for name in ("a", "b"):
            mine, theirs = arrays.read(name, rows), stored.read([name], rows)[name]
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs)
    assert np.array_equal(stored["a"], A)
    assert np.array_equal(arrays["b"], B)
    assert list(arrays) == ["a", "b"]
    assert "a" in arrays
    assert "c" not in arrays


def test_rows_read_may_be_changed(arrays):
    """What is read is a copy: changing it leaves the user's arrays alone."""
    arrays.read("a", range(3))[...] = 0
    arrays["a"][...] = 0
    assert np.array_equal(arrays["a"], A)


def test_moments_are_those_of_the_folder(folder, arrays):
    """Joint moments have the same bytes."""
    mine, theirs = (intertwine.joint_moments(each) for each in (arrays, FeatureSet.open(folder)))
    assert mine.rows == theirs.rows
    assert np.array_equal(mine.scatter("a", "b"), theirs.scatter("a", "b"))


@pytest.mark.parametrize(
    "convert",
    [torch.from_numpy, pd.DataFrame, np.asfortranarray, lambda a: a.tolist()],
    ids=["torch", "pandas", "fortran", "list"],
)
def test_arrays_may_be_of_any_library(convert):
    """Tensors, tables and lists are spaces too, and labels and ids may be such arrays."""
    labels, ids = convert(np.arange(60)[:, None]), np.arange(60)
    labels = labels[0] if isinstance(labels, pd.DataFrame) else np.asarray(labels)[:, 0]
    features = FeatureSet.from_arrays({"a": convert(A)}, labels=labels, ids=ids)
    assert np.array_equal(features["a"], A)
    assert features.ids()[:2] == ["0", "1"]
    assert features.labels[5] == 5


def test_its_repr_is_one_short_line(folder, arrays):
    """Rows, spaces with their dimensions and what else there is; a folder's path too."""
    assert repr(arrays) == "FeatureSet(n=60; a (5), b (3); labels, ids, 1 head)"
    assert repr(FeatureSet.open(folder)).startswith(f"FeatureSet({folder}: n=60; a (5), b (3); ")
    assert str(arrays) == "arrays in memory"
    assert arrays.inputs == ["arrays in memory"]
    assert FeatureSet.from_arrays({"a": A}, name="probe").inputs == ["probe"]
    assert FeatureSet.open(folder).inputs == ["set"]


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        (HEAD.weight, HEAD.bias),
        (torch.from_numpy(HEAD.weight), HEAD.bias, np.arange(4)),
        {"weight": HEAD.weight, "bias": HEAD.bias},
    ],
    ids=["head", "pair", "triple", "mapping"],
)
def test_a_head_may_be_written_in_several_ways(head):
    """A head is a `Head`, a pair, a triple or a mapping of weight and bias."""
    features = FeatureSet.from_arrays({"a": A}, heads={"a": head})
    assert np.array_equal(features.heads["a"].logits(A), HEAD.logits(A))


def test_a_weight_or_a_layer_is_a_head():
    """A weight alone has no bias; a layer has what its attributes are."""
    bare = FeatureSet.from_arrays({"a": A}, heads={"a": HEAD.weight}).heads["a"]
    assert not bare.bias.any()
    layer = torch.nn.Linear(5, 4)
    head = FeatureSet.from_arrays({"a": A}, heads={"a": layer}).heads["a"]
    assert np.array_equal(head.bias, layer.bias.detach().numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spaces": {}}, r"got no spaces, expected a mapping of names to arrays"),
        ({"spaces": A}, r"got no spaces, expected a mapping of names to arrays"),
        ({"spaces": {"a b": A}}, r"got space name 'a b'"),
        ({"spaces": {"a": A[:, 0]}}, r"spaces\['a'\]: got an array of shape \(60,\)"),
        ({"spaces": {"a": A[:0]}}, r"got spaces of n = 0 rows"),
        ({"spaces": {"a": A, "b": B[:9]}}, r"spaces\['a'\] has 60 rows, spaces\['b'\] has 9 rows"),
        ({"spaces": {"a": A, "b": B.T}}, r"spaces\['b'\] is \(3, 60\): is it transposed\?"),
        ({"spaces": {"a": np.where(A > 2, np.inf, A)}}, r"spaces\['a'\]: NaN or infinite"),
        ({"spaces": {"a": A.astype(str)}}, r"spaces\['a'\]: got dtype <U"),
        ({"ids": IDS[:5]}, r"ids: got 5 ids, expected 60, one a row"),
        ({"ids": [*IDS[:59], "image 3"]}, r"ids: the id 'image 3' repeats"),
        ({"ids": ["", *IDS[1:]]}, r"ids: row 0 has '', expected one line of text"),
        ({"ids": ["a\nb", *IDS[1:]]}, r"ids: row 0 has 'a\\nb', expected one line of text"),
        ({"labels": LABELS[:5]}, r"labels: got shape \(5,\), expected \(60,\)"),
        (
            {"labels": LABELS.astype(str)},
            r"labels: got text, expected integers, .* numbers classes",
        ),
        ({"labels": LABELS / 2}, r"labels: got float64, expected integers"),
        ({"heads": {"c": HEAD}}, r"heads: got c, expected names of spaces: a"),
        ({"heads": {"a": HEAD.weight.T}}, r"heads\['a'\]: got a head of dimension 4, expected 5"),
        ({"heads": {"a": (HEAD.weight, HEAD.bias[:2])}}, r"heads\['a'\]: head: got bias of shape"),
        ({"heads": {"a": "head"}}, r"heads\['a'\]: expected a Head, or weight \(K, d\)"),
        ({"heads": {"a": {"bias": HEAD.bias}}}, r"heads\['a'\]: expected a Head"),
    ],
)
def test_what_is_no_feature_set_is_refused(arguments, message):
    """Errors name the argument."""
    with pytest.raises(InputError, match=message):
        FeatureSet.from_arrays(**{"spaces": {"a": A}, **arguments})


def test_an_unknown_space_is_named(arrays):
    """Asking for a space that is not there names those that are."""
    with pytest.raises(InputError, match="no space 'c' in arrays in memory; it holds a, b"):
        arrays["c"]


def test_other_processes_read_a_temporary_copy(folder, arrays):
    """Workers read a copy on disk, written once, of which a note tells, and which goes with the set."""
    copy = arrays.on_disk()
    (place,) = copy.paths
    assert arrays.on_disk() is copy
    assert arrays.notes == [f"arrays in memory were copied to {place} for the worker processes"]
    assert copy.notes == arrays.notes
    assert copy.inputs == arrays.inputs
    assert np.array_equal(copy.id_hashes, arrays.id_hashes)
    assert np.array_equal(copy.labels, LABELS)
    assert copy.heads["a"].fingerprint() == HEAD.fingerprint()
    stored = FeatureSet.open(folder)
    assert stored.on_disk() is stored
    del copy
    arrays._copy = None
    assert not place.exists()


def test_moments_of_workers_are_the_same(arrays):
    """With workers the arrays go through their copy, and the moments have the same bytes."""
    alone = intertwine.joint_moments(arrays)
    with ThreadPoolExecutor(1) as executor:
        shared = intertwine.joint_moments(arrays, workers=Workers(executor))
    assert np.array_equal(alone.scatter("a", "b"), shared.scatter("a", "b"))
    assert len(arrays.notes) == 1


def test_stamps_are_of_the_contents(arrays):
    """What distinguishes the arrays from others follows from their numbers alone."""
    again = FeatureSet.from_arrays({"b": B.copy(), "a": np.asfortranarray(A)})
    other = FeatureSet.from_arrays({"a": A, "b": B + np.float16(1)})
    assert file_stamps(arrays) == file_stamps(again) != file_stamps(other)
    assert run_key(file_stamps(arrays)) == run_key(file_stamps(again))


def test_errors_of_studies_speak_of_arrays():
    """What a set in memory lacks is named as an argument, not as a file."""
    bare = FeatureSet.from_arrays({"a": A, "b": B}, ids=IDS)
    with pytest.raises(InputError, match="space a has no head; pass its weight and bias to Feat"):
        intertwine.closed_set(bare, bare)
    heads = {"a": HEAD, "b": np.ones((4, 3))}
    headed = FeatureSet.from_arrays({"a": A, "b": B}, ids=IDS, heads=heads)
    with pytest.raises(InputError, match=r"^arrays in memory: no labels; accuracy needs"):
        intertwine.closed_set(headed, headed)
    with pytest.raises(InputError, match=r"^arrays in memory: no labels; linkage needs"):
        intertwine.linkage(bare, bare)
    people = FeatureSet.from_arrays({"a": A, "b": B}, labels=LABELS)
    with pytest.raises(InputError, match="is gallery and probes: each image would find itself"):
        intertwine.linkage(people, people)


# -- studies ----------------------------------------------------------------------------------------


def _plain(result):
    """Return a result without what it calls its inputs."""
    value, names = result.to_json(), {"inputs", "fit", "eval", "pairs_file"}
    return {key: each for key, each in value.items() if key not in names}


@pytest.mark.parametrize(
    "study",
    [
        lambda fit, evaluation: intertwine.closed_set(fit, evaluation, curve_points=1),
        lambda fit, evaluation: intertwine.linkage(
            fit, evaluation, n_folds=2, n_replicates=5, known=[5], attack="paired"
        ),
        lambda fit, _: intertwine.similarity(fit, options=intertwine.SimilarityOptions(sample=0)),
        pytest.param(lambda fit, _: intertwine.plan(fit, "a", "b"), marks=pytest.mark.slow),
    ],
    ids=["closed_set", "linkage", "similarity", "plan"],
)
def test_every_study_takes_arrays(tmp_path, networks, write_folder, study):
    """A study finds of arrays what it finds of folders, to the bit."""
    nets = networks({"a": 20, "b": 18}, n_classes=10)
    folders, arrays = [], []
    for part, seed in (("fit", 1), ("eval", 2)):
        features, labels = nets.rows(80, seed)
        known = {"labels": labels, "heads": nets.heads, "ids": [f"{part} {i}" for i in range(80)]}
        folders.append(FeatureSet.open(write_folder(tmp_path / part, features, **known)))
        arrays.append(FeatureSet.from_arrays(features, **known))
    assert _plain(study(*folders)) == _plain(study(*arrays))


def test_open_set_takes_arrays(tmp_path, networks, write_folder):
    """The open-set study finds of arrays what it finds of a folder, by the pairs' ids."""
    nets = networks({"a": 20, "b": 18}, n_classes=8)
    features, labels = nets.rows(64, 3)
    ids = [f"{label}_{row}" for row, label in enumerate(labels)]
    rng = np.random.default_rng(0)
    lines = []
    for fold in range(2):
        people = np.flatnonzero(labels % 2 == fold)
        for same in (0, 1) * 20:
            first = rng.choice(people)
            others = people[(labels[people] == labels[first]) == bool(same)]
            second = rng.choice(others[others != first])
            lines.append(f"{ids[first]},{ids[second]},{same},{fold}")
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    first, second, same, fold = zip(*(line.split(",") for line in lines), strict=True)
    pairs = intertwine.PairList.of(first, second, [int(each) for each in same], fold=fold)
    options = intertwine.OpenSetOptions(replicates=20, curve_points=0)
    listed = intertwine.read_pairs(path)
    stored = FeatureSet.open(write_folder(tmp_path / "set", features, ids=ids))
    arrays = FeatureSet.from_arrays(features, ids=ids)
    found = [
        intertwine.open_set(each, named, options=options)
        for each, named in ((stored, listed), (arrays, pairs))
    ]
    assert _plain(found[0]) == _plain(found[1])
