import pytest
from tests.studies.similarity.similarity_cases import estimates_of

from intertwine.errors import InputError
from intertwine.studies.similarity.layers import layer_rows, networks_of


def encoders(uris):
    """Return what extraction records of spaces by their encoders."""
    return {name: {"encoder": uri} for name, uri in uris.items()}


def test_spaces_without_layers_are_networks_of_their_own():
    """A space that nothing says a layer of is its own network, without a layer, in its place."""
    found = networks_of(["b", "a"], {})
    assert list(found.items()) == [("b", ("b", None)), ("a", ("a", None))]


@pytest.mark.parametrize("sign", [".", "-", "_"])
def test_a_prefix_names_the_layers_of_a_network(sign):
    """Spaces PREFIX.LAYER, PREFIX-LAYER or PREFIX_LAYER belong to the network of that prefix."""
    names = [f"net{sign}conv1", "other", f"net{sign}fc", "nets.fc", "net"]
    found = networks_of(names, {}, ["net"])
    assert found[f"net{sign}conv1"] == ("net", "conv1")
    assert found[f"net{sign}fc"] == ("net", "fc")
    assert found["other"] == ("other", None)
    assert found["nets.fc"] == ("nets.fc", None)
    assert found["net"] == ("net", None)


def test_layers_stand_side_by_side_in_natural_order():
    """Layers of one network follow each other, block 2 before block 10, networks as they came."""
    names = ["z.block10", "a.x", "z.block2", "lone", "a.b", "z.block2.5"]
    order = list(networks_of(names, {}, ["a", "z"]))
    assert order == ["z.block2", "z.block2.5", "z.block10", "a.b", "a.x", "lone"]


def test_a_special_sign_in_a_prefix_is_itself():
    """A prefix is no pattern: `v1.0` does not take in `v1x0`."""
    found = networks_of(["v1.0.a", "v1.0.b", "v1x0.c"], {}, ["v1.0"])
    assert found["v1.0.a"] == ("v1.0", "a")
    assert found["v1x0.c"] == ("v1x0.c", None)


@pytest.mark.parametrize("prefix", ["none", "lone", "ne", ""])
def test_a_prefix_of_fewer_than_two_spaces_is_refused(prefix):
    """A prefix that no space has, or one only, is no network with layers."""
    with pytest.raises(InputError, match=rf"got --layers {prefix}, expected at least two spaces"):
        networks_of(["net.a", "net.b", "lone.a"], {}, [prefix])


def test_encoders_that_differ_in_layer_alone_are_one_network():
    """Recorded URIs that are equal but for `layer` and `name` make a network of their spaces."""
    uris = {
        "late": "onnx:nets/r.onnx?layer=block10&size=224&name=late",
        "early": "onnx:nets/r.onnx?layer=block2&size=224&name=early",
        "resized": "onnx:nets/r.onnx?layer=block2&size=192",
        "head": "onnx:nets/r.onnx?size=224",
        "other": "onnx:nets/s.onnx?layer=block2&size=224",
    }
    found = networks_of(list(uris), encoders(uris))
    assert found["early"] == ("r", "block2")
    assert found["late"] == ("r", "block10")
    for name in ("resized", "head", "other"):
        assert found[name] == (name, None)
    assert list(found) == ["early", "late", "resized", "head", "other"]


@pytest.mark.parametrize("info", [{}, {"a": {}}, {"a": {"encoder": None}}, encoders({"a": "odd"})])
def test_encoders_that_are_not_recorded_say_nothing(info):
    """A set without records, or with what is no URI, has spaces that are their own networks."""
    assert networks_of(["a", "b"], info) == {"a": ("a", None), "b": ("b", None)}


def test_the_prefix_wins_over_the_record():
    """What the user says of layers goes before what extraction recorded."""
    uris = {"n.a": "onnx:r.onnx?layer=x", "n.b": "onnx:r.onnx?layer=y"}
    assert networks_of(list(uris), encoders(uris), ["n"])["n.a"] == ("n", "a")


def scored(pairs):
    """Return estimates of debiased CKA, symmetric."""
    scores = {pair: {"cka_debiased": score} for pair, score in pairs.items()}
    return estimates_of({**scores, **{(b, a): each for (a, b), each in scores.items()}})


def test_each_layer_is_matched_to_the_most_similar_of_another_network():
    """For each ordered pair of networks and each layer the row names the best layer there."""
    networks = networks_of(["n.1", "n.2", "m.1", "m.2", "lone"], {}, ["n", "m"])
    pairs = {
        ("n.1", "m.1"): 0.3,
        ("n.1", "m.2"): 0.9,
        ("n.2", "m.1"): -0.2,
        ("n.2", "m.2"): 0.1,
    }
    rows = layer_rows(networks, scored(pairs))
    keys = ("source_network", "source_layer", "target_network", "best_layer", "cka_debiased")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("n", "1", "m", "2", 0.9),
        ("n", "2", "m", "2", 0.1),
        ("m", "1", "n", "1", 0.3),
        ("m", "2", "n", "1", 0.9),
    ]


def test_undefined_scores_match_no_layer():
    """A layer without a score is no match, and a layer with none at all has no row."""
    networks = networks_of(["n.1", "n.2", "m.1", "m.2"], {}, ["n", "m"])
    pairs = {
        ("n.1", "m.1"): None,
        ("n.1", "m.2"): None,
        ("n.2", "m.1"): None,
        ("n.2", "m.2"): -0.5,
    }
    rows = layer_rows(networks, scored(pairs))
    assert [(row["source_layer"], row["best_layer"]) for row in rows] == [("2", "2"), ("2", "2")]


def test_one_network_with_layers_has_no_match():
    """Layers are matched between networks, so one network gives no row."""
    networks = networks_of(["n.1", "n.2", "lone"], {}, ["n"])
    assert layer_rows(networks, scored({("n.1", "n.2"): 0.5})) == []
