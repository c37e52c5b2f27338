import numpy as np
import pytest
from tests.studies.linkage.linkage_sets import write_sets

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.linkage import search as linkage_search
from intertwine.studies.linkage.people import People
from intertwine.studies.linkage.search import read_units, search


@pytest.fixture(scope="module")
def sides(tmp_path_factory, write_folder):
    """Return the two feature sets."""
    return tuple(map(FeatureSet.open, write_sets(tmp_path_factory.mktemp("search"), write_folder)))


def as_they_are(_, probes, templates):
    """Compare without a map."""
    return probes, templates


def searched(sides, bridge=as_they_are, known=0):
    """Return the searches of space a in itself."""
    gallery, probe = sides
    people = People.of(gallery, probe)
    rows = read_units(probe, "a")[people.probe_rows]
    return people, search(people, rows, read_units(gallery, "a"), bridge, known)


def test_unit_rows_have_length_one(sides):
    """Rows keep their direction and lose their length, in float64."""
    raw = sides[0].read(["a"], np.arange(9))["a"]
    unit = read_units(sides[0], "a", np.arange(9))
    assert unit.dtype == np.float64
    np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=1)[:, None], rtol=1e-6)


def test_a_row_without_direction_is_named(tmp_path, write_folder):
    """A vector of zeros is an error that names set, space and row."""
    folder = write_folder(tmp_path / "set", {"a": np.eye(4)[:, :3]})
    with pytest.raises(InputError, match=r"a of .*set: row 3 has length zero"):
        read_units(FeatureSet.open(folder), "a")


def test_pieces_do_not_matter(sides, monkeypatch):
    """Scores taken a probe at a time give what they give all at once."""
    whole = searched(sides)[1]
    monkeypatch.setattr(linkage_search, "CHUNK_SCORES", 1)
    pieces = searched(sides)[1]
    for name in ("ranks", "mate", "correct", "impostor", "mated", "non_mated"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), atol=1e-12)


def test_every_score_is_counted_once(sides):
    """Histograms hold each probe of enrolled people against each template, own and others'."""
    people, found = searched(sides, known=7)
    own = [(people.gallery == person).sum() for person in people.probes if person in people.shared]
    assert found.mated.sum() == sum(own)
    kept = [
        (~np.isin(people.gallery, people.known(people.fold[person], 7))).sum()
        for person in people.probes
        if person in people.shared
    ]
    assert found.mated.sum() + found.non_mated.sum() == sum(kept)
    assert found.n_gallery == 60 - 7


def test_a_map_to_nothing_finds_nobody(sides):
    """Probes that a map sends to zero are like nobody: last rank, no right answer, no NaN."""
    people, found = searched(sides, bridge=lambda _, a, b: (np.zeros_like(a), b))
    assert (found.ranks[found.enrolled] == found.n_gallery).all()
    assert not found.correct.any()
    assert (found.impostor == 0).all()
    assert not np.isnan(found.mate).any()
    assert len(found.ranks) == len(people.probes)


def test_impostors_never_meet_themselves(sides):
    """With noiseless probes, a search is perfect while the person is there, and not otherwise."""
    gallery, probe = sides
    people = People.of(gallery, probe)
    # Every template and probe of a person is one and the same vector.
    vectors = np.random.default_rng(0).standard_normal((len(people.fold), 30))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = search(people, vectors[people.probes], vectors[people.gallery], as_they_are, 0)
    assert (found.ranks[found.enrolled] == 1).all()
    assert found.correct[found.enrolled].all()
    np.testing.assert_allclose(found.mate[found.enrolled], 1)
    assert (found.impostor < 0.99).all()
