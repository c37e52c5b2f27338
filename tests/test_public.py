"""The package's own names: what a user meets first."""

import doctest
import inspect
import pydoc
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import numpy as np
import pytest

import intertwine

PACKAGE = Path(intertwine.__file__).parent
# What the contract promises.
PROMISED = [
    "cka",
    "cca",
    "svcca",
    "pwcca",
    "procrustes_distance",
    "r2",
    "mutual_knn",
    "rsa",
    "similarity",
    "fit",
    "FeatureSet",
    "FitOptions",
    "closed_set",
    "open_set",
    "linkage",
    "plan",
    "read_pairs",
    "QueryBridge",
    "open_encoder",
    "migrate",
    "joint_moments",
    "Moments",
    "ridge",
    "load_map",
    "LinearMap",
    "MapPair",
]


def test_dir_is_the_public_names():
    """Tab completion shows public names and the version, nothing else."""
    assert sorted(dir(intertwine)) == sorted([*intertwine.__all__, "__version__"])
    assert set(PROMISED) <= set(dir(intertwine))


@pytest.mark.parametrize("name", intertwine.__all__)
def test_every_public_name_is_there_and_documented(name):
    """Each name can be used and has a docstring."""
    value = getattr(intertwine, name)
    assert callable(value)
    assert value.__doc__


EXAMPLES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8") and file.parent.name != "testing"
)


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_of_docstrings_are_right(module):
    """Every example in a docstring prints what it shows."""
    found = doctest.testmod(import_module(module))
    assert found.attempted
    assert not found.failed


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name raises what Python's own modules raise."""
    with pytest.raises(AttributeError, match="has no attribute 'ckaa'"):
        intertwine.ckaa  # noqa: B018


def test_the_version_is_the_distributions():
    """`__version__` is that of the installed distribution."""
    assert intertwine.__version__ == metadata.version("intertwine")


def test_help_guides():
    """`help(intertwine)` begins with a table of what to use for what, and names exist."""
    text = pydoc.plain(pydoc.render_doc(intertwine))
    assert "one number: how similar are two arrays" in text[:2000]
    for name in PROMISED:
        assert name in intertwine.__doc__ or name in {"FitOptions", "LinearMap", "MapPair"}


@pytest.mark.quick("first of all")
@pytest.mark.parametrize(
    "code",
    [
        "import intertwine; s = intertwine.similarity",
        "import intertwine.similarity.measures; s = intertwine.similarity",
        "import intertwine.similarity as s; s.linear_cka; s.measures.MEASURES",
    ],
    ids=["first of all", "after its room", "as a room"],
)
def test_similarity_is_a_function_and_a_room(code):
    """However the room is imported, its name can be called, and it stays the room."""
    check = f"{code}\nprint(callable(s), s.linear_cka.__name__)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", check], capture_output=True, text=True, check=False
    )
    assert done.stdout == "True linear_cka\n", done.stderr


@pytest.mark.slow
def test_similarity_has_the_functions_signature():
    """A notebook's help shows the arguments of the function."""
    assert list(inspect.signature(intertwine.similarity).parameters)[:2] == ["x", "y"]
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert intertwine.similarity(x, x, sample=0)["cka"].score == pytest.approx(1)


def test_importing_the_package_imports_no_numpy():
    """`import intertwine`, `dir` and the version wait for no heavy library."""
    code = (
        "import intertwine, sys; dir(intertwine); intertwine.__version__\n"
        "print([name for name in ('numpy', 'scipy', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_studies_have_defaults(networks):
    """`closed_set(fit, evaluation)` is the study with ridge and λ = 1."""
    nets = networks({"a": 8, "b": 6}, n_classes=4)
    sets = []
    for seed in (1, 2):
        features, labels = nets.rows(60, seed)
        known = {"labels": labels, "heads": nets.heads}
        sets.append(intertwine.FeatureSet.from_arrays(features, **known))
    by_default = intertwine.closed_set(*sets, curve_points=1)
    spelt_out = intertwine.closed_set(*sets, options=intertwine.FitOptions(), curve_points=1)
    assert by_default.to_json() == spelt_out.to_json()
    assert np.isfinite(by_default.pairs[1]["accuracy"])
