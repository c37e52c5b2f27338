import json

import numpy as np
import pytest
from tests.metrics.test_ranking import naive_tpir
from tests.studies.linkage.linkage_sets import FIRST_LABEL, Naive, label, write_sets

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.metrics.unlinkability import d_sys_of_scores
from intertwine.studies.linkage.study import linkage

RIDGE = FitOptions(method="ridge", alpha=0.1)
TPIR = "tpir_at_fpir_1e-2"


def study(gallery, probe, *, options=RIDGE, **more):
    """Return the study's object as JSON gives it back; from known pairs alone by default."""
    more = {"n_replicates": 200, "attack": "paired", **more}
    result = linkage(FeatureSet.open(gallery), FeatureSet.open(probe), options=options, **more)
    return json.loads(json.dumps(result.to_json(), allow_nan=False))


@pytest.fixture(scope="module")
def sets(tmp_path_factory, write_folder):
    """Return folders of a gallery and of probes, over two systems."""
    return write_sets(tmp_path_factory.mktemp("linkage"), write_folder)


@pytest.fixture(scope="module")
def result(sets):
    """Return the study of the sets with two numbers of known pairs."""
    return study(*sets, known=[0, 8, 20])


def row_of(result, source, target, known):
    """Return the row of one condition."""
    key = (source, target, known)
    (row,) = [
        row for row in result["pairs"] if (row["source"], row["target"], row["known_pairs"]) == key
    ]
    return row


CONDITIONS = [("a", "a", 0), ("a", "b", 0), ("b", "a", 0), ("a", "b", 8), ("b", "a", 20)]


@pytest.mark.quick("a-a-0", "a-b-8")
@pytest.mark.parametrize(("source", "target", "known"), CONDITIONS)
def test_rates_are_those_of_single_searches(sets, result, source, target, known):
    """Ranks, TPIR and D_sys equal a plain loop over searches with scikit-learn's ridge."""
    found = Naive(*sets, source, target).run(known, alpha=0.1)
    mates = [each for each in found if each["rank"]]
    row = row_of(result, source, target, known)
    for depth in (1, 5, 10):
        expected = np.mean([each["rank"] <= depth for each in mates])
        assert row[f"rank{depth}"] == pytest.approx(expected, abs=1e-12)
    expected = naive_tpir(
        np.array([each["mate"] for each in mates]),
        np.array([each["right"] for each in mates]),
        np.array([each["impostor"] for each in found]),
        0.01,
    )
    assert row[TPIR] == pytest.approx(expected, abs=1e-12)
    mated = np.concatenate([each["mated"] for each in mates])
    non_mated = np.concatenate([each["non_mated"] for each in mates])
    # The study's bins lie on a grid of 0.001, those here anywhere.
    assert row["d_sys"] == pytest.approx(d_sys_of_scores(mated, non_mated), abs=0.03)
    assert row["n_gallery"] == found[0]["n_gallery"]
    assert row["n_probes"] == len(mates) == 75
    assert row["n_impostors"] == len(found) == 79
    assert row["n_people"] == 30
    assert row["chance"] == pytest.approx(1 / row["n_gallery"])


def test_the_curve_over_rank_counts_the_same_searches(sets, result):
    """Every rank of the CMC is the share of probes found by it, and chance is rank over people."""
    found = [each for each in Naive(*sets, "a", "b").run(8, alpha=0.1) if each["rank"]]
    rows = [row for row in result["cmc"] if (row["source"], row["known_pairs"]) == ("a", 8)]
    assert [row["rank"] for row in rows] == [*range(1, 11), 20, 50]
    for row in rows:
        expected = np.mean([each["rank"] <= row["rank"] for each in found])
        assert row["rate"] == pytest.approx(expected, abs=1e-12)
        assert row["chance"] == pytest.approx(row["rank"] / 52)


def test_every_condition_has_its_row(result):
    """A system's own probes are native, others unmapped and then mapped; keys are the contract's."""
    conditions = [
        (row["source"], row["target"], row["condition"], row["known_pairs"])
        for row in result["pairs"]
    ]
    assert sorted(conditions) == sorted(
        [("a", "a", "native", 0), ("b", "b", "native", 0)]
        + [(*pair, "unmapped", 0) for pair in (("a", "b"), ("b", "a"))]
        + [(*pair, "mapped", k) for pair in (("a", "b"), ("b", "a")) for k in (8, 20)]
    )
    assert result["study"] == "linkage"
    assert result["known"] == [0, 8, 20]
    assert (result["folds"], result["replicates"], result["confidence"]) == (5, 200, 0.95)
    for row in result["pairs"]:
        for key in ("rank1", TPIR, "d_sys", "chance"):
            assert row[f"{key}_low"] <= row[key] <= row[f"{key}_high"], key


def test_known_pairs_make_the_gallery_linkable(result):
    """A map lifts rank 1 from chance towards the native rate, and the table says from where on."""
    native, before, after = (
        row_of(result, *key)["rank1"] for key in (("b", "b", 0), ("a", "b", 0), ("a", "b", 20))
    )
    assert before < 0.1 < after <= native
    row = next(row for row in result["linkable"] if row["source"] == "a")
    assert row["above_chance_from"] in {8, 20}
    rates = {k: row_of(result, "a", "b", k)["rank1"] for k in (0, 8, 20)}
    assert row["half_of_native_from"] == min(k for k, rate in rates.items() if rate >= native / 2)
    assert row["reason"] is None


def test_unrelated_systems_stay_at_chance(tmp_path, write_folder):
    """With labels that mean nothing, no number of known pairs leaves chance."""
    gallery, probe = write_sets(tmp_path, write_folder, gallery_people=80, probed=60, noise=40.0)
    found = study(gallery, probe, known=[0, 20, "all"])
    for row in found["pairs"]:
        assert row["rank1"] <= 3 * row["chance_high"]
        assert row["d_sys_low"] <= 1.3 * row["d_sys_chance_high"]


def test_the_order_of_rows_does_not_matter(sets, result, tmp_path, write_folder):
    """Shuffled rows give the same rates, since ids and labels decide folds and known templates."""
    moved = []
    for folder in sets:
        order = np.random.default_rng(9).permutation(len(np.load(folder / "labels.npy")))
        ids = (folder / "ids.txt").read_text().split()
        moved.append(
            write_folder(
                tmp_path / folder.name,
                {name: np.load(folder / f"{name}.npy")[order] for name in "ab"},
                labels=np.load(folder / "labels.npy")[order],
                ids=[ids[i] for i in order],
            )
        )
    again = study(*moved, known=[0, 8, 20])
    for row, other in zip(result["pairs"], again["pairs"], strict=True):
        assert other["rank1"] == row["rank1"]
        assert other[TPIR] == pytest.approx(row[TPIR], abs=1e-12)
        assert other["d_sys"] == pytest.approx(row["d_sys"], abs=1e-9)


def test_lengths_of_vectors_do_not_matter(sets, result, tmp_path, write_folder):
    """Templates are compared by direction: rows scaled by anything give the same rates."""
    rng = np.random.default_rng(4)
    scaled = []
    for folder in sets:
        arrays = {name: np.load(folder / f"{name}.npy").astype(np.float64) for name in "ab"}
        scaled.append(
            write_folder(
                tmp_path / folder.name,
                {name: x * rng.uniform(0.01, 9, (len(x), 1)) for name, x in arrays.items()},
                labels=np.load(folder / "labels.npy"),
                ids=(folder / "ids.txt").read_text().split(),
            )
        )
    again = study(*scaled, known=[0, 8, 20])
    for row, other in zip(result["pairs"], again["pairs"], strict=True):
        assert other["rank1"] == pytest.approx(row["rank1"], abs=1e-12)


def test_a_map_pair_moves_both_sides(sets):
    """CCA, which maps gallery and probes into a shared space, links too."""
    found = study(*sets, options=FitOptions(method="cca", alpha=1.0), known=[20])
    assert row_of(found, "a", "b", 20)["rank1"] > 10 * row_of(found, "a", "b", 20)["chance"]
    assert found["method"] == "cca"


def test_systems_of_one_side_alone(tmp_path, write_folder):
    """A gallery whose system the auditor lacks has no native row, and the table says why."""
    gallery, probe = write_sets(
        tmp_path, write_folder, gallery_dims=(("b", 24),), probe_dims=(("a", 20),)
    )
    found = study(gallery, probe, known=["all"])
    assert [row["condition"] for row in found["pairs"]] == ["unmapped", "mapped"]
    assert found["known"] == [0, 24]  # 30 people in 5 folds of 6
    (row,) = found["linkable"]
    assert row["half_of_native_from"] is None
    assert "does not hold the target's own space" in row["reason"]


def test_the_default_ladder_ends_at_all(sets):
    """Without a choice, known pairs go from none over round numbers to all."""
    assert study(*sets, n_replicates=20)["known"] == [0, 10, 24]


def test_images_of_both_sides_are_left_out(sets, tmp_path, write_folder):
    """A probe that is in the gallery too would find itself: it is left out, and counted in a note."""
    gallery, probe = sets
    ids = [*(gallery / "ids.txt").read_text().split()[:3], *(probe / "ids.txt").read_text().split()]
    templates = {name: np.load(gallery / f"{name}.npy")[:3] for name in "ab"}
    longer = write_folder(
        tmp_path / "probe",
        {name: np.vstack([templates[name], np.load(probe / f"{name}.npy")]) for name in "ab"},
        labels=np.concatenate([np.load(gallery / "labels.npy")[:3], np.load(probe / "labels.npy")]),
        ids=ids,
    )
    found, plain = study(gallery, longer, known=[0]), study(gallery, probe, known=[0])
    assert "3 probes left out: the same images are in the gallery" in found["notes"]
    assert found["pairs"] == plain["pairs"]
    with pytest.raises(InputError, match=r"every image of .* nothing is left to search for"):
        study(gallery, gallery)


# -- unlabelled templates ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people(tmp_path_factory, write_folder):
    """Return folders of more people, of whom a few known ones say little."""
    folder = tmp_path_factory.mktemp("people")
    return write_sets(folder, write_folder, gallery_people=160, probed=150, noise=0.35, alike=True)


@pytest.fixture(scope="module")
def attacked(people):
    """Return the study of both attacks, at two overlaps."""
    options = FitOptions(method="cca")
    return study(
        *people, options=options, known=[8, 40], attack="both", overlap=[0.0, 1], n_replicates=50
    )


def trained_row(result, known, overlap, source="a", target="b"):
    """Return the row of a self-trained condition."""
    (row,) = [
        row
        for row in result["pairs"]
        if row["overlap"] == overlap
        and (row["source"], row["target"], row["known_pairs"]) == (source, target, known)
    ]
    return row


def test_self_trained_maps_stand_beside_mapped_ones(attacked):
    """Every number of known pairs has a mapped row and a self-trained one an overlap, in this order."""
    rows = [row for row in attacked["pairs"] if (row["source"], row["target"]) == ("a", "b")]
    assert [(row["condition"], row["known_pairs"], row["overlap"]) for row in rows] == [
        ("unmapped", 0, None),
        *(
            (name, known, overlap)
            for known in (8, 40)
            for name, overlap in (("mapped", None), ("self-trained", 1.0), ("self-trained", 0.0))
        ),
    ]
    assert (attacked["attack"], attacked["overlap"]) == ("both", [1.0, 0.0])
    for row in rows:
        said = [row[key] for key in ("believed", "steps", "pseudo_share", "seconds")]
        assert (None in said) == (row["condition"] != "self-trained")
        if row["condition"] == "self-trained":
            assert row["seconds"] > 0
            assert 0 <= row["pseudo_share"] <= 1
            assert 0 <= row["believed"] <= 1
        # The same people are searched for, in the same gallery.
        known = [other for other in rows if other["known_pairs"] == row["known_pairs"]]
        assert len({(other["n_probes"], other["n_gallery"]) for other in known}) == 1


def test_unlabelled_templates_link_from_few_known_people(attacked):
    """With 8 known people and all others unlabelled, far more are linked, and the table says so."""
    mapped, trained = row_of(mapped_only(attacked), "a", "b", 8), trained_row(attacked, 8, 1.0)
    assert mapped["rank1"] < 0.5
    assert trained["rank1"] > max(0.8, 2 * mapped["rank1"])
    assert trained["believed"] == 1
    row = next(row for row in attacked["linkable"] if row["source"] == "a")
    assert (row["half_of_native_from"], row["half_of_native_from_self_trained"]) == (40, 8)
    assert row["above_chance_from_self_trained"] == 8


@pytest.mark.parametrize("known", [8, 40])
def test_nobody_in_common_costs_nothing(attacked, known):
    """Where no unlabelled template is of anybody searched for, no fewer people are linked."""
    mapped, trained = (
        row_of(mapped_only(attacked), "a", "b", known),
        trained_row(attacked, known, 0.0),
    )
    assert trained["rank1"] >= mapped["rank1"] - 0.02


def mapped_only(result):
    """Return a result without self-trained rows."""
    return {**result, "pairs": [row for row in result["pairs"] if row["overlap"] is None]}


def test_an_attack_alone_is_that_of_both(attacked, people):
    """Each attack by itself has the rows that it has beside the other; time apart."""
    options = FitOptions(method="cca")
    for attack, name in (("paired", "mapped"), ("self-trained", "self-trained")):
        more = {"known": [8], "overlap": [1.0], "n_replicates": 50}
        alone = study(*people, options=options, attack=attack, **more)["pairs"]
        found = [row for row in alone if row["known_pairs"]]
        assert {row["condition"] for row in found} == {name}
        for row in found:
            (same,) = [
                each
                for each in attacked["pairs"]
                if all(
                    each[key] == row[key] for key in ("source", "target", "condition", "overlap")
                )
                and each["known_pairs"] == 8
            ]
            assert {**row, "seconds": None} == {**same, "seconds": None}


def test_fewer_than_five_known_pairs_leave_a_reason(people):
    """Self-training needs five known pairs: with fewer its row says so, and the mapped one stands."""
    found = study(*people, options=FitOptions(method="cca"), known=[4], attack="both")
    row = trained_row(found, 4, 1.0)
    assert row["rank1"] is None
    assert row["reason"] == "got 4 pairs, expected at least 5 for self-training"
    assert row_of(mapped_only(found), "a", "b", 4)["rank1"] is not None


def test_a_method_without_self_training_is_searched_paired(sets):
    """With a baseline that is not fitted to pairs the default attack is that of pairs alone."""
    found = study(*sets, options=FitOptions(method="mean"), known=[8], attack="both")
    assert {row["condition"] for row in found["pairs"]} == {"native", "unmapped", "mapped"}
    assert found["attack"] == "paired"
    assert any(note.startswith("maps are from known pairs alone: mean") for note in found["notes"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"attack": "blind"}, "got attack 'blind', expected one of paired, self-trained, both"),
        ({"overlap": [1.5]}, "got overlap 1.5, expected shares from 0 to 1"),
        ({"overlap": [-0.1]}, "got overlap -0.1"),
        ({"overlap": [float("nan")]}, "got overlap nan"),
        ({"overlap": []}, "got no overlap"),
        (
            {"attack": "self-trained", "options": FitOptions(method="mean")},
            "got method mean, expected one of cca, procrustes",
        ),
        ({"options": FitOptions(method="self-training")}, "got method self-training"),
    ],
)
def test_an_attack_that_there_is_not_is_refused(sets, more, message):
    """Attacks, overlaps and methods that do not exist are refused before any search."""
    with pytest.raises(InputError, match=message):
        study(*sets, **more)


def test_too_few_pairs_for_a_method_leave_a_reason(sets, monkeypatch):
    """A condition whose map cannot be fitted has no numbers and says why; the others keep theirs."""
    from intertwine.estimators import Fitter

    whole = Fitter.fit

    def only_many(self, moments, source, targets):
        if moments.n < 10:
            raise InputError("got too few rows for this method")
        return whole(self, moments, source, targets)

    monkeypatch.setattr(Fitter, "fit", only_many)
    found = study(*sets, known=[8, 20])
    row = row_of(found, "a", "b", 8)
    assert row["rank1"] is None
    assert row["d_sys_low"] is None
    assert row["reason"] == "got too few rows for this method"
    assert row_of(found, "a", "b", 20)["rank1"] > 0
    assert "undefined with 8 known pairs: got too few rows for this method" in found["notes"]
    with pytest.raises(InputError, match="no map can be fitted: got too few rows"):
        study(*sets, known=[8])


def test_few_searches_are_noted(tmp_path, write_folder):
    """With fewer than 100 impostor searches the note says that the threshold lets none through."""
    gallery, probe = write_sets(tmp_path, write_folder)
    notes = study(gallery, probe, known=[0], n_replicates=20)["notes"]
    assert any("79 impostor searches are too few for an FPIR of 1e-2" in note for note in notes)


def test_nothing_names_a_person(result):
    """No label of the sets stands in the result."""
    text = json.dumps(result)
    assert "Wren" not in text
    assert not any(str(label(person)) in text for person in range(400))
    assert str(FIRST_LABEL)[:6] not in text


def spoilt(sets, tmp_path, write_folder, *, side, change):
    """Return both folders, one of them written again with a change to (features, labels)."""
    folders = dict(zip(("gallery", "probe"), sets, strict=True))
    folder = folders[side]
    arrays = {name: np.load(folder / f"{name}.npy") for name in "ab"}
    arrays, labels = change(arrays, np.load(folder / "labels.npy"))
    ids = (folder / "ids.txt").read_text().split()
    folders[side] = write_folder(tmp_path / side, arrays, labels=labels, ids=ids)
    return folders["gallery"], folders["probe"]


def with_value(row, value):
    """Return a change that fills a row of space a."""

    def change(arrays, labels):
        arrays["a"][row] = value
        return arrays, labels

    return change


BAD = {
    "no labels of the gallery": ("gallery", lambda x, _: (x, None), r"gallery: no labels\.npy"),
    "no labels of the probes": ("probe", lambda x, _: (x, None), r"probe: no labels\.npy"),
    "nobody in both": ("probe", lambda x, y: (x, y + 1), "no person is in both"),
    "one person": (
        "probe",
        lambda x, y: (x, np.full(len(y), label(3))),
        "got 1 person in both sets, expected at least 10, 2 a fold",
    ),
    "zero length": ("gallery", with_value(5, 0), "a of .*gallery: row 5 has length zero"),
    "NaN": ("probe", with_value(7, np.nan), "a of .*probe: NaN or infinite features in rows 7"),
    "infinity": ("gallery", with_value(2, np.inf), "NaN or infinite features in rows 2"),
    "different dimensions": (
        "probe",
        lambda x, y: ({**x, "a": x["a"][:, :-1]}, y),
        "got space a of dimension 19, expected a of dimension 20",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sets_are_refused(sets, tmp_path, write_folder, case):
    """Each set that cannot be audited is refused with what was wrong."""
    side, change, match = BAD[case]
    folders = spoilt(sets, tmp_path, write_folder, side=side, change=change)
    with pytest.raises(InputError, match=match):
        study(*folders, known=[0])


def test_bad_options_are_refused(sets):
    """Known pairs that there are not, one fold, and a method that needs heads are refused."""
    for known in (-1, 1, 25, "some"):
        with pytest.raises(
            InputError, match=rf"got {known} known people, expected all, 0, or 2 to 24"
        ):
            study(*sets, known=[known])
    with pytest.raises(InputError, match="got 1 fold, expected at least 2"):
        study(*sets, n_folds=1)
    with pytest.raises(InputError, match="got 30 people in both sets, expected at least 40"):
        study(*sets, n_folds=20)
    with pytest.raises(InputError, match="linkage has no heads"):
        study(*sets, options=FitOptions(method="analytic"))


def test_one_folder_as_both_sides_without_ids_is_refused(tmp_path, write_folder):
    """Without ids, the same folder as gallery and probes is refused; two folders get a note."""
    gallery, probe = write_sets(tmp_path, write_folder, ids=False)
    with pytest.raises(InputError, match="is gallery and probes: each image would find itself"):
        study(gallery, gallery)
    assert any("without ids.txt" in note for note in study(gallery, probe, known=[0])["notes"])


@pytest.mark.parametrize("side", ["gallery", "probe"])
def test_labels_in_another_order_are_doubted_first(tmp_path, write_folder, side):
    """A system that does not find its own people among its own templates is asked about."""
    write_sets(tmp_path, write_folder)
    labels = np.load(tmp_path / side / "labels.npy")
    np.save(tmp_path / side / "labels.npy", np.random.default_rng(0).permutation(labels))
    found = study(tmp_path / "gallery", tmp_path / "probe", known=[0, 8])
    said = "probes of {0} find their own people in its own templates by chance: are the rows of {0}.npy"
    assert [
        doubt.startswith(said.format(name))
        for doubt, name in zip(found["warnings"], "ab", strict=True)
    ]
    assert found["notes"][:2] == found["warnings"]


def test_nothing_is_doubted_of_good_sets(result):
    """Systems that find their people raise no doubt."""
    assert result["warnings"] == []


def test_a_chosen_edge_is_said_after_a_kill_too(sets, tmp_path):
    """Where every λ of the grid is too small the notes say so, and whatever a killed run kept says it."""
    options = FitOptions(method="ridge", alpha="gcv", alphas=np.array([1e-9, 1e-8]))
    for _ in range(2):
        notes = study(*sets, options=options, known=[20], scratch=tmp_path)["notes"]
        assert any(note.startswith("a → b, 20 known pairs: GCV chose the ") for note in notes)


def with_nobody(sets, folder, write_folder):
    """Write the sets again with rows between that nobody knows: labelled −1, some of length zero."""
    made = []
    for source, at, count in zip(sets, (3, 0), (12, 14), strict=True):
        labels, ids = np.load(source / "labels.npy"), (source / "ids.txt").read_text().split()
        spaces = {name: np.load(source / f"{name}.npy") for name in "ab"}
        spaces = {name: np.insert(x, [at] * count, x[:count], axis=0) for name, x in spaces.items()}
        for rows in spaces.values():
            rows[at] = 0
        ids[at:at] = [f"nobody_{source.name}_{number}" for number in range(count)]
        labels = np.insert(labels, [at] * count, [-1] * (count - 1) + [-7])
        made.append(write_folder(folder / source.name, spaces, labels=labels, ids=ids))
    return made


def test_rows_that_nobody_knows_are_left_out(sets, result, write_folder, tmp_path):
    """Rows with a negative label are no person: rates stay as without them, and doubts count them."""
    found = study(*with_nobody(sets, tmp_path, write_folder), known=[0, 8, 20])
    assert found["warnings"][:2] == [
        "12 of 92 templates left out: their label is negative, so nobody knows who is shown",
        "14 of 93 probes left out: their label is negative, so nobody knows who is shown",
    ]
    for table in ("pairs", "cmc", "linkable"):
        assert found[table] == result[table]


@pytest.mark.parametrize("side", [0, 1])
def test_a_set_of_nobody_is_refused(sets, write_folder, tmp_path, side):
    """Where every label of a set is negative the study says that it needs identities."""
    pair = list(sets)
    pair[side] = write_folder(
        tmp_path / "nobody",
        {name: np.load(pair[side] / f"{name}.npy") for name in "ab"},
        labels=np.full(len(np.load(pair[side] / "labels.npy")), -1),
    )
    with pytest.raises(InputError, match="nobody: every label is negative"):
        study(*pair)
