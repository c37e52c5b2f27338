"""What every encoder is: a function from images or texts to features, and what identifies it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from intertwine.encoders import preprocessing
from intertwine.errors import InputError
from intertwine.spaces import Head, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.encoders.preprocessing import Preprocessing, TextPreprocessing
    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

COMMON_OPTIONS = ("name",)
# head(features) and the network's own logits may differ by this share of the largest of these.
TOLERANCE = 1e-4
IMAGE_OPTIONS = (*COMMON_OPTIONS, "paper_top1", "reported_top1", *preprocessing.OPTIONS)


@dataclass(frozen=True)
class Encoder:
    """A network as a function from images or texts to features, with an optional head.

    One file an ecosystem makes these; nothing outside `encoders` knows which.

    Parameters
    ----------
    name
        Name of its space.
    uri
        The URI that opens it again from anywhere.
    dim
        Dimension d of its features.
    preprocessing
        What its input is made by; its kind shows whether images or texts are read.
    head
        Its own classifier, or None.
    weights_sha256
        SHA-256 of its weights.
    split
        Name of the tensor that is the features.
    parameters
        Number of weights, head included.
    reported_top1
        Accuracy (0 to 1) that its authors report, or None.
    paper_top1
        Accuracy (0 to 1) that the paper measured for this network, or None.
    precision
        Of the network's products.
    notes
        What a user of its features should know first.
    run
        From a preprocessed batch, or a list of texts, to (n, d) features.
    """

    name: str
    uri: str
    dim: int
    preprocessing: Preprocessing | TextPreprocessing
    head: Head | None
    weights_sha256: str
    split: str
    parameters: int
    reported_top1: float | None = None
    paper_top1: float | None = None
    precision: str = "float32"
    notes: tuple[str, ...] = field(default=(), compare=False)
    run: Callable[[Any], Array] = field(kw_only=True, repr=False, compare=False)

    @property
    def reads(self) -> str:
        """What it reads, `images` or `texts`."""
        return self.preprocessing.reads

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Input height and width in pixels; None where texts are read."""
        return getattr(self.preprocessing, "size", None)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weights' SHA-256, the preprocessing and the place of the features."""
        facts: list[Any] = [self.weights_sha256, self.preprocessing.to_json(), self.split]
        if self.precision != "float32":
            # Left out otherwise, so that older fingerprints stay.
            facts.append(self.precision)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def space(self) -> Space:
        """The space of its features."""
        return Space(self.name, self.dim, self.fingerprint)

    def encode(self, batch: Array | Sequence[str]) -> Array:
        """Return the features of images or texts.

        Parameters
        ----------
        batch
            Images, (n, h, w, 3) uint8, RGB, of the preprocessing's size; or n texts.

        Returns
        -------
        features
            (n, d) float32.

        Raises
        ------
        InputError
            When they are no texts, or images of another size or type; or when the network does not
            make one vector of each.
        """
        try:
            ready = cast("Any", self.preprocessing).apply(batch)
        except InputError as error:
            raise InputError(f"encoder {self.name}: {error}") from error
        features = np.asarray(self.run(ready), np.float32)
        if features.shape[:1] != (len(batch),) or features.size != len(batch) * self.dim:
            raise InputError(
                f"encoder {self.name}: made features {features.shape} of {len(batch)} {self.reads}, "
                f"expected ({len(batch)}, {self.dim}); choose another layer to split at"
            )
        return features.reshape(len(batch), self.dim)


class Accuracies(TypedDict):
    """A network's accuracies in a URI, as keywords of `Encoder`."""

    reported_top1: float | None
    paper_top1: float | None


def accuracies(uri: EncoderUri) -> Accuracies:
    """Return the options `reported_top1` and `paper_top1`, shares between 0 and 1."""
    return Accuracies(
        reported_top1=_share(uri, "reported_top1"), paper_top1=_share(uri, "paper_top1")
    )


def _share(uri: EncoderUri, key: str) -> float | None:
    value = uri.numbers(key, count=1)
    if value is not None and not 0 <= value[0] <= 1:
        raise InputError(f"got {key}={value[0]:g}, expected a share such as 0.687")
    return value[0] if value else None


def probe_dim(features: Array, *, where: str, head: Head | None) -> int:
    """Return the dimension of the features (1, d) of one image, once they fit the head."""
    if features.ndim != 2 or features.shape[0] != 1:
        raise InputError(
            f"{where}: features have shape {features.shape} for one image, expected one vector; "
            "choose the layer to split at with layer=NAME"
        )
    if head is not None and head.dim != features.shape[1]:
        raise InputError(
            f"{where}: features have dimension {features.shape[1]}, but the head reads {head.dim}"
        )
    return int(features.shape[1])


def explains(head: Head, features: Array, logits: Array, *, slack: float = 0.0) -> bool:
    """Return whether a head makes a network's own logits (n, K) of its features (n, d).

    They may differ by `slack` beyond `TOLERANCE`, as where the network rounds.
    """
    own = logits.reshape(len(logits), -1)
    if features.shape != (len(own), head.dim) or own.shape[1] != head.n_classes:
        return False
    return same_output(head.logits(features), own, slack=slack)


def mismatch(where: str) -> InputError:
    """Return the error for a head that does not make the network's own output of its features."""
    return InputError(
        f"{where}: its head was found, but does not make the network's own output of the features; "
        "give head=none to take the output as features, or layer=NAME to split elsewhere"
    )


def same_output(got: Array, own: Array, *, slack: float = 0.0) -> bool:
    """Return whether an array is a network's own output, both (n, K), but for rounding."""
    if got.shape != own.shape:
        return False
    # Half precision is rounded before it can be compared.
    share = max(TOLERANCE, 8 * np.finfo(own.dtype).eps) if own.dtype.kind == "f" else TOLERANCE
    own = own.astype(np.float64)
    error: Array = np.abs(got.astype(np.float64) - own).max()
    # NaN is not explained by anything.
    return bool(error <= share * np.abs(own).max() + slack)


def drop_background(head: Head | None, uri: EncoderUri) -> Head | None:
    """Return the head without its class 0 when the URI asks for `background=drop`."""
    if uri.choice("background", ("keep", "drop")) == "keep":
        return head
    if head is None or head.n_classes < 2:
        raise InputError(
            f"{uri.where}: got background=drop, but there is no head of two "
            "classes or more to drop one from"
        )
    return Head(head.weight[1:], head.bias[1:])
