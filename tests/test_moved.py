"""Old names of modules, classes and arguments still work, with a warning."""

import importlib
import re
import sys
import warnings

import pytest

from intertwine import closed_set
from intertwine._moved import MODULES, ROOT, renamed
from intertwine.passes.extract.extract import extract
from intertwine.passes.fit import fit_to_files
from intertwine.passes.moments.file import merge_files, moments_to_file
from intertwine.studies.linkage import linkage
from intertwine.studies.open_set import open_set
from intertwine.studies.plan import plan
from intertwine.studies.similarity import similarity, similarity_of_moments

# Every module that the documentation of the version before published, with its names.
PUBLISHED = {
    "estimators.analytic": "analytic",
    "estimators.cca": "cca",
    "estimators.procrustes": "procrustes",
    "estimators.reduced_rank": "reduced_rank",
    "estimators.ridge": "ridge",
    "exports.bridge": "QueryBridge",
    "exports.faiss": "faiss_transform",
    "exports.onnx": "save_onnx",
    "exports.sklearn": "MapTransformer",
    "exports.sql": "pgvector_sql",
    "exports.torch": "torch_linear",
    "features.feature_set": "FeatureSet",
    "images.pairs": "read_pairs PairList",
    "linear_map": "LinearMap",
    "map_pair": "MapPair load_map",
    "metrics.fold_accuracy": "fold_accuracy best_threshold FoldAccuracy",
    "metrics.verification": "roc Roc auc eer tar_at_far",
    "moments": "Moments",
    "passes.migrate": "migrate MigrateOptions",
    "similarity.canonical": "canonical_correlations cca_mean svcca pwcca",
    "similarity.cka": "linear_cka linear_cka_null",
    "similarity.cknna": "cknna",
    "similarity.estimate": "Estimate",
    "similarity.mutual_knn": "mutual_knn",
    "similarity.pairwise": "RowView",
    "similarity.predictivity": "r_squared fold",
    "similarity.rbf_cka": "rbf_cka",
    "similarity.rsa": "rsa",
    "similarity.shape": "angular_distance procrustes_distance",
    "stores.opening": "open_store",
    "stores.store": "Store Target Batch",
    "studies.closed_set": "closed_set ClosedSetResult",
    "studies.linkage": "linkage LinkageResult",
    "studies.open_set": "open_set OpenSetResult",
    "studies.open_set_options": "OpenSetOptions",
    "studies.plan": "plan PlanOptions PlanResult",
    "studies.similarity": "similarity similarity_of_moments SimilarityResult",
    "studies.similarity_options": "SimilarityOptions",
}
NOTIFY = {extract: "notify"}


@pytest.fixture(autouse=True)
def _not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was imported by an old name: each import warns once a process."""
    for old in MODULES:
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{ROOT}{old}.")]:
            monkeypatch.delitem(sys.modules, name)


def _imported(module: str) -> tuple[object, list[str]]:
    """Return a module, and the warnings that came of importing it and its packages."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        imported = importlib.import_module(ROOT + module)
    assert all(warning.category is DeprecationWarning for warning in caught)
    assert all(warning.filename == importlib.__file__ for warning in caught)
    return imported, [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("module", "names"), PUBLISHED.items())
def test_published_modules_import_by_their_old_names(module: str, names: str) -> None:
    """Every module that was published still has its names, and warns where it has moved."""
    old, warned = _imported(module)
    package = module.partition(".")[0]
    new = MODULES.get(module) or f"{MODULES.get(package, package)}{module.removeprefix(package)}"
    expected = f"{ROOT}{module} is now {ROOT}{new}; the next version removes the old name"
    assert warned[-1:] == ([] if new == module else [expected])
    same = importlib.import_module(ROOT + new)
    assert all(getattr(old, name) is getattr(same, name) for name in names.split())


@pytest.mark.parametrize(("old", "new"), MODULES.items())
def test_an_old_name_is_the_moved_module_itself(old: str, new: str) -> None:
    """A module is loaded once, whichever name it is imported by, and keeps its new name."""
    module, warned = _imported(old)
    assert warned[-1].startswith(f"{ROOT}{old} is now {ROOT}{new};")
    assert module is importlib.import_module(ROOT + new)
    assert module.__spec__.name == ROOT + new


def test_modules_that_never_were_are_not_found() -> None:
    """A name that has not moved, or is not in a package that has, is not found."""
    with pytest.raises(ModuleNotFoundError, match=re.escape("intertwine.nothing")):
        importlib.import_module("intertwine.nothing")
    with (
        pytest.warns(DeprecationWarning, match=re.escape("intertwine.exports is now")),
        pytest.raises(ModuleNotFoundError, match=re.escape("intertwine.exports.nothing")),
    ):
        importlib.import_module("intertwine.exports.nothing")


@pytest.mark.parametrize("module", ["stores", "stores.store"])
def test_mark_is_now_called_migration_record(module: str) -> None:
    """The class of migrations' records has its old name too; no other name is there."""
    stores = importlib.import_module(ROOT + module)
    with pytest.warns(DeprecationWarning, match=f"{module}.Mark is now MigrationRecord;"):
        assert stores.Mark is stores.MigrationRecord
    with pytest.raises(AttributeError, match=f"{module}' has no attribute 'Nothing'"):
        _ = stores.Nothing


@pytest.mark.parametrize(
    "function",
    [
        closed_set,
        extract,
        fit_to_files,
        linkage,
        merge_files,
        moments_to_file,
        open_set,
        plan,
        similarity,
        similarity_of_moments,
    ],
)
def test_callbacks_are_accepted_by_their_old_name(function: object) -> None:
    """Every function that had a callback `say` takes it by that name, and warns."""
    new = NOTIFY.get(function, "progress")
    with (
        pytest.warns(
            DeprecationWarning, match=f"say of {function.__name__} is now {new};"
        ) as caught,
        pytest.raises(TypeError, match="missing"),
    ):
        function(say=print)
    assert caught[0].filename == __file__


def test_a_renamed_argument_arrives_by_its_new_name() -> None:
    """Arguments by old and new names arrive alike; both at once are refused."""

    @renamed(old="new")
    def returned(new: int) -> int:
        """Return the argument."""
        return new

    assert returned(new=1) == returned(1) == 1
    with pytest.warns(DeprecationWarning, match="argument old of returned is now new;"):
        assert returned(old=2) == 2
    with pytest.raises(TypeError, match="got old and new, two names of one argument"):
        returned(old=2, new=3)
