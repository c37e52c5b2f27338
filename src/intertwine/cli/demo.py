"""`intertwine demo`: the closed-set study on real features that come with the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intertwine.cli import common


def demo(
    out: common.OutOption = Path("demo-output"),
    sample: Annotated[
        Path | None, typer.Option(help="The sample; the checkout's own when omitted.")
    ] = None,
    alpha: common.AlphaOption = "gcv",
    json: common.JsonOption = False,
) -> None:
    """Unpack real features of four ImageNet networks and run the closed-set study on them."""
    from intertwine.cli.table import deliver
    from intertwine.features.feature_set import FeatureSet
    from intertwine.features.sample import find_sample, unpack
    from intertwine.files import check_writable
    from intertwine.report import require_report_extra
    from intertwine.studies.closed_set import closed_set

    options = common.fit_options(common.Method.ridge, alpha, common.Intercept.free, None)
    check_writable(out)
    require_report_extra()
    with common.progress() as report:
        fit, evaluation, controls, notes = unpack(find_sample(sample), out / "sample", say=report)
        result = closed_set(
            FeatureSet.open(fit),
            FeatureSet.open(evaluation),
            options=options,
            controls=controls,
            say=report,
        ).to_json()
    result["notes"] += notes
    deliver(result, out / "report", as_json=json)
