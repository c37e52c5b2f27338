import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from intertwine.errors import FileFormatError, InputError, SpaceMismatchError
from intertwine.spaces import Head, Space, check_space_name

RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((4, 3))
BIAS = RNG.standard_normal(4)


@pytest.mark.parametrize("name", ["a", "resnet-50", "v2.1_x", "-", "0", "A.b-c_d"])
def test_names_that_can_stand_in_a_file_name(name):
    """Letters, digits, dots, underscores and single dashes make a name."""
    assert check_space_name(name) == name


@pytest.mark.parametrize("name", ["", "a--b", ".a", "a b", "a/b", "a\n", "é", "..", "a:b"])
def test_other_names_are_refused(name):
    """A name that could not stand in a file name or a pair is refused."""
    with pytest.raises(InputError, match="got space name"):
        Space(name, 3)


def test_a_space_has_a_dimension():
    """A space of dimension 0 is refused."""
    with pytest.raises(InputError, match="space a: got dimension 0, expected at least 1"):
        Space("a", 0)


@pytest.mark.parametrize("space", [Space("a", 3), Space("b.c", 2, "f" * 64)])
def test_spaces_survive_json(space):
    """A space read back from its JSON form is equal."""
    assert Space.from_json(space.to_json()) == space


def test_a_space_is_itself():
    """Spaces of one name and dimension agree, and an unknown fingerprint agrees with any."""
    Space("a", 3, "x").require(Space("a", 3, "x"))
    Space("a", 3, "x").require(Space("a", 3))
    Space("a", 3).require(Space("a", 3, "x"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Space("b", 3), "got space b of dimension 3, expected a of dimension 3"),
        (Space("a", 4), "got space a of dimension 4, expected a of dimension 3"),
        (Space("a", 3, "y"), "space a: got encoder fingerprint y, expected x; the features come"),
    ],
)
def test_another_space_is_refused(other, message):
    """Another name, dimension or fingerprint is another space."""
    with pytest.raises(SpaceMismatchError, match=message):
        Space("a", 3, "x").require(other)


def test_logits_are_affine():
    """Logits are weight times features plus bias, in float64."""
    features = RNG.standard_normal((5, 3)).astype(np.float32)
    head = Head(WEIGHT.astype(np.float32), BIAS.astype(np.float32))
    expected = [
        [
            float(w.astype(np.float64) @ x) + float(b)
            for w, b in zip(head.weight, head.bias, strict=True)
        ]
        for x in features.astype(np.float64)
    ]
    logits = head.logits(features)
    assert logits.dtype == np.float64
    np.testing.assert_allclose(logits, expected, rtol=1e-14, atol=1e-14)


def test_a_head_of_weights_alone():
    """Bias and classes may be omitted: zeros, and 0 … K−1."""
    head = Head(WEIGHT)
    assert head.bias.tolist() == [0, 0, 0, 0]
    assert head.classes.tolist() == [0, 1, 2, 3]
    assert (head.dim, head.n_classes) == (3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": np.ones(3)}, r"head: got weight of shape \(3,\), expected \(K, d\)"),
        ({"weight": np.ones((0, 3))}, r"head: got weight of shape \(0, 3\)"),
        ({"bias": np.ones(3)}, r"head: got bias of shape \(3,\), expected \(4,\)"),
        ({"classes": np.arange(5)}, r"head: got classes of shape \(5,\), expected \(4,\)"),
        ({"weight": np.full((4, 3), np.nan)}, "head: NaN or infinite weights"),
        ({"bias": np.array([0, 0, 0, np.inf])}, "head: NaN or infinite weights"),
        ({"classes": np.array([0, 1, 1, 2])}, "head: a class repeats"),
    ],
)
def test_heads_that_cannot_be_are_refused(arguments, message, tmp_path):
    """A head with a wrong shape, a NaN or a class twice is refused, when made and when loaded."""
    with pytest.raises(InputError, match=message):
        Head(**{"weight": WEIGHT, **arguments})
    path = tmp_path / "a.head.safetensors"
    save_file({"weight": WEIGHT, **arguments}, path)
    with pytest.raises(InputError, match=f"a.head.safetensors: {message}"):
        Head.load(path)


def test_heads_come_back(tmp_path):
    """A head read from its file is the same, with the same fingerprint."""
    head = Head(np.asfortranarray(WEIGHT), BIAS, np.array([7, 5, 3, 1]))
    head.save(tmp_path / "head.safetensors")
    loaded = Head.load(tmp_path / "head.safetensors")
    assert loaded.fingerprint() == head.fingerprint()
    assert np.array_equal(loaded.weight, WEIGHT)
    assert sorted(load_file(tmp_path / "head.safetensors")) == ["bias", "classes", "weight"]


def test_fingerprints_tell_heads_apart():
    """Another weight, bias or order of classes has another fingerprint."""
    heads = [
        Head(WEIGHT, BIAS),
        Head(WEIGHT + 1e-12, BIAS),
        Head(WEIGHT),
        Head(WEIGHT, BIAS, np.array([1, 0, 2, 3])),
    ]
    assert len({head.fingerprint() for head in heads}) == 4


def test_a_head_file_may_hold_weights_alone(tmp_path):
    """A file with nothing but `weight` is a head."""
    save_file({"weight": WEIGHT}, tmp_path / "head.safetensors")
    assert Head.load(tmp_path / "head.safetensors").bias.tolist() == [0, 0, 0, 0]


def test_files_that_are_no_heads_are_refused(tmp_path):
    """An absent file, one of another format and one without `weight` are format errors."""
    path = tmp_path / "head.safetensors"
    with pytest.raises(FileFormatError, match="not a readable safetensors file"):
        Head.load(path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(FileFormatError, match="not a readable safetensors file"):
        Head.load(path)
    save_file({"bias": BIAS}, path)
    with pytest.raises(FileFormatError, match="holds no tensor named weight"):
        Head.load(path)


@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F8_E4M3", 1)])
def test_weights_that_numpy_lacks_are_refused(tmp_path, dtype, size):
    """A head in a dtype that NumPy cannot hold is a format error."""
    text = f'{{"weight":{{"dtype":"{dtype}","shape":[1,1],"data_offsets":[0,{size}]}}}}'.encode()
    path = tmp_path / "head.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    with pytest.raises(FileFormatError, match="not a readable safetensors file"):
        Head.load(path)
