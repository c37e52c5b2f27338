"""Which spaces of a set are layers of one network, and which layers of two networks match."""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING, Any

from intertwine.encoders.uri import EncoderUri
from intertwine.errors import InputError
from intertwine.storage.untrusted import is_count
from intertwine.wording import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intertwine.similarity.estimate import Estimate

Networks = dict[str, tuple[str, str | None]]


def networks_of(
    names: Sequence[str], info: Mapping[str, Mapping[str, Any]], prefixes: Iterable[str] = ()
) -> Networks:
    """Return the network and the layer of every space.

    Spaces belong to one network where their recorded encoders differ in the option `layer` alone,
    or where their names are `PREFIX.LAYER`, `PREFIX-LAYER` or `PREFIX_LAYER` of a prefix that the
    user names; one of fewer than two spaces raises InputError. Layers of one network stand together
    in natural order; the layer is None where a network has one space only.
    """
    networks = dict(_recorded(names, info))
    for prefix in prefixes:
        pattern = re.compile(re.escape(prefix) + r"[._-](.+)")
        matched = {name: match[1] for name in names if (match := pattern.fullmatch(name))}
        if len(matched) < 2:
            raise InputError(
                f"got --layers {prefix}, expected at least two spaces named {prefix}.LAYER among "
                f"{named(names)}"
            )
        networks.update({name: (prefix, layer) for name, layer in matched.items()})
    networks = {name: networks.get(name, (name, None)) for name in names}
    first = {network: i for i, (network, _) in reversed(list(enumerate(networks.values())))}
    order = sorted(
        networks, key=lambda name: (first[networks[name][0]], _natural(networks[name][1] or ""))
    )
    return {name: networks[name] for name in order}


def _recorded(names: Sequence[str], info: Mapping[str, Mapping[str, Any]]) -> Networks:
    """Return networks by their encoders' URIs, where several spaces share all but `layer`."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        try:
            uri = EncoderUri.parse(str(info.get(name, {}).get("encoder") or ""))
        except InputError:
            continue
        options = dict(uri.options)
        layer = options.pop("layer", None)
        options.pop("name", None)
        if layer is not None:
            key = str(EncoderUri(uri.scheme, uri.path, options))
            groups.setdefault(key, {})[name] = layer
    return {
        name: (EncoderUri.parse(key).name, layer)
        for key, layers in groups.items()
        if len(layers) > 1
        for name, layer in layers.items()
    }


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that puts block 2 before block 10."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), "") if is_count(part) else (1, 0, part) for part in parts]


def layer_rows(
    networks: Networks, estimates: Mapping[tuple[str, str], Mapping[str, Estimate]]
) -> list[dict[str, Any]]:
    """Return, for each layer of one network, the layer of another that is nearest by debiased CKA."""
    layered: dict[str, list[str]] = {}
    for name, (network, layer) in networks.items():
        if layer is not None:
            layered.setdefault(network, []).append(name)
    rows = []
    for (source, names), (target, others) in permutations(layered.items(), 2):
        for name in names:
            scored = {other: estimates[name, other]["cka_debiased"] for other in others}
            known = {a: each.score for a, each in scored.items() if each.score is not None}
            if not known:
                continue
            best = max(known, key=lambda a: known[a])
            rows.append(
                {
                    "source_network": source,
                    "target_network": target,
                    "source_layer": networks[name][1],
                    "best_layer": networks[best][1],
                    "cka_debiased": scored[best].score,
                    "cka_debiased_low": scored[best].low,
                    "cka_debiased_high": scored[best].high,
                }
            )
    return rows
