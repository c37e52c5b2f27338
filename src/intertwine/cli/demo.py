"""`intertwine demo`: both studies of the paper on real features that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.console import options as common

REPORT, OPEN_SET = "report", "open-set"


def demo(
    out: common.OutOption = Path("demo-output"),
    sample: Annotated[
        Path | None,
        typer.Option(
            help="ImageNet features, sample/imagenet.npz of a checkout; those at hand when omitted."
        ),
    ] = None,
    faces: Annotated[
        Path | None, typer.Option(help="Face embeddings, sample/faces.npz of a checkout.")
    ] = None,
    alpha: common.AlphaOption = "gcv",
    json: common.JsonOption = False,
) -> None:
    """Run the closed-set and the open-set study on real features that come with it.

    The report of the first is in OUT/report, that of the second in OUT/open-set.

    Outside a checkout the first has a smaller sample; the second needs --faces.

    Example: intertwine demo --out demo-output
    """
    from intertwine.errors import InputError
    from intertwine.features import samples
    from intertwine.features.feature_set import FeatureSet
    from intertwine.report import check_folder
    from intertwine.storage.files import check_writable
    from intertwine.studies.closed_set.command import print_closed_set
    from intertwine.studies.closed_set.study import closed_set

    images = samples.find_sample(samples.IMAGENET, sample)
    people = samples.find_sample(samples.FACES, faces, option="--faces")
    if images is None:
        raise InputError("no sample: give sample/imagenet.npz of a checkout with --sample")
    options = common.fit_options(common.Method.ridge, alpha, common.Intercept.free, None)
    check_folder(out / REPORT, "closed-set")
    check_folder(out / OPEN_SET, "open-set")
    check_writable(out)
    common.hold(out)
    common.note_missing_page()
    with common.progress() as progress:
        fit, evaluation, controls, notes = samples.unpack(images, out / "sample", progress=progress)
        result = closed_set(
            FeatureSet.open(fit),
            FeatureSet.open(evaluation),
            options=options,
            controls=controls,
            progress=progress,
        )
    result.facts["notes"] += notes
    common.deliver(result, out / REPORT, show=print_closed_set, as_json=json)
    if people is None:
        common.print_note(
            "the open-set study is left out: its faces come with a checkout of the repository; give "
            "sample/faces.npz of one with --faces"
        )
    else:
        _verify(people, out, quiet=json)


def _verify(sample: Path, out: Path, *, quiet: bool) -> None:
    """Run the open-set study on the faces; with `quiet` write its report and print nothing."""
    from intertwine.features.feature_set import FeatureSet
    from intertwine.features.samples import unpack_faces
    from intertwine.studies.open_set.command import print_open_set
    from intertwine.studies.open_set.options import OpenSetOptions
    from intertwine.studies.open_set.pairs import read_pairs
    from intertwine.studies.open_set.study import open_set

    folder, listed, notes = unpack_faces(sample, out / "faces")
    options = OpenSetOptions(fit="images", threshold="crossfit")
    with common.progress() as progress:
        result = open_set(
            FeatureSet.open(folder), read_pairs(listed), options=options, progress=progress
        )
    result.facts["notes"] += notes
    if quiet:
        result.dated(**common.command_line()).save(out / OPEN_SET)
    else:
        common.deliver(result, out / OPEN_SET, show=print_open_set, as_json=False)
