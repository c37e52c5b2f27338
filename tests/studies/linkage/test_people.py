import numpy as np
import pytest
from tests.studies.linkage.linkage_sets import by_hash, write_sets

from intertwine.features.feature_set import FeatureSet
from intertwine.studies.linkage.people import People


@pytest.fixture(scope="module")
def folders(tmp_path_factory, write_folder):
    """Return folders of a gallery and of probes; 30 of 60 people are searched for, and 4 others."""
    return write_sets(tmp_path_factory.mktemp("people"), write_folder)


@pytest.fixture(scope="module")
def people(folders):
    """Return the people of the sets."""
    return People.of(*map(FeatureSet.open, folders))


def test_folds_and_halves_are_even(people):
    """Everybody with probes has a fold and a half, as many in each; the gallery's others have none."""
    shared = people.shared
    assert len(shared) == 30
    assert np.bincount(people.fold[shared]).tolist() == [6] * 5
    for fold in range(5):
        mine = shared[people.fold[shared] == fold]
        assert np.bincount(people.half[mine]).tolist() == [3, 3]
    searched = np.unique(people.probes)
    assert len(searched) == 34
    assert (people.fold[searched] >= 0).all()
    others = np.setdiff1d(np.unique(people.gallery), searched)
    assert len(others) == 30
    assert (people.fold[others] == -1).all()


def test_the_hash_of_a_label_decides(people, folders):
    """People become known in the order of a hash of their label, whatever rows the sets hold."""
    gallery, probe = (np.load(folder / "labels.npy") for folder in folders)
    both = by_hash(set(gallery.tolist()) & set(probe.tolist()))
    labels = np.unique(np.concatenate([gallery, probe]))
    assert labels[people.shared].tolist() == both
    assert people.fold[people.shared].tolist() == [place % 5 for place in range(30)]


def test_known_people_are_nested_and_never_searched_for(people):
    """The first k known are among the first k + 1, and none is of the fold that is searched."""
    assert people.max_known == 24
    for fold in range(5):
        for count in range(25):
            known = people.known(fold, count)
            assert len(known) == count
            assert not (people.fold[known] == fold).any()
            assert known.tolist() == people.known(fold, 24)[:count].tolist()


def test_a_known_person_is_known_by_own_rows(people):
    """The probe and the template of a known person are of that person, on both sides."""
    for person in people.shared:
        assert people.probes[people.first_probe[person]] == person
        assert people.gallery[people.first_template[person]] == person
    absent = np.setdiff1d(np.arange(len(people.fold)), people.gallery)
    assert (people.first_template[absent] == -1).all()
