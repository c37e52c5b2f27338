"""ONNX encoders: the split found by itself, against the network's own output."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from intertwine.encoders.registry import open_encoder
from intertwine.errors import FileFormatError, InputError

RNG = np.random.default_rng(0)
D, K = 6, 4
W = RNG.standard_normal((K, D)).astype(np.float32)
B = RNG.standard_normal(K).astype(np.float32)
IMAGES = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def node(kind, inputs, output, **attributes):
    """Return a node named after its output."""
    return helper.make_node(kind, inputs.split(), [output], name=f"{output}_node", **attributes)


TRUNK = [
    node("Conv", "image conv.w conv.b", "conv"),
    node("Relu", "conv", "relu"),
    node("GlobalAveragePool", "relu", "pool"),
    node("Flatten", "pool", "flat"),
]


def write(
    path, tail, weights, *, trunk=TRUNK, shape=("n", 3, 8, 8), out="logits", dtype=1, opset=17
):
    """Write a network: the trunk, then the nodes and weights of a tail."""
    rng = np.random.default_rng(1)
    own = {
        "conv.w": (rng.standard_normal((D, 3, 3, 3)) / 300).astype(np.float32),
        "conv.b": rng.standard_normal(D).astype(np.float32),
    }
    graph = helper.make_graph(
        [*trunk, *tail],
        "g",
        [helper.make_tensor_value_info("image", dtype, list(shape))],
        [onnx.ValueInfoProto(name=name) for name in out.split()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in {**own, **weights}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def own_output(path, images=IMAGES):
    """Return what the file itself says of raw RGB pixels, by onnxruntime."""
    session = onnxruntime.InferenceSession(path)
    batch = images.astype(np.float32).transpose(0, 3, 1, 2)
    return session.run(None, {"image": batch})[0].reshape(len(images), -1)


SHAPE = {"shape": np.array([0, K])}
HEADS = {
    "gemm": ([node("Gemm", "flat w b", "logits")], {"w": W.T, "b": B}),
    "gemm-transposed": ([node("Gemm", "flat w b", "logits", transB=1)], {"w": W, "b": B}),
    "gemm-alpha-beta": (
        [node("Gemm", "flat w b", "logits", transB=1, alpha=0.5, beta=3.0)],
        {"w": W, "b": B},
    ),
    "gemm-scalar-bias": (
        [node("Gemm", "flat w b", "logits")],
        {"w": W.T, "b": np.float32([2])},
    ),
    "matmul": ([node("MatMul", "flat w", "logits")], {"w": W.T}),
    "matmul-add": (
        [node("MatMul", "flat w", "m"), node("Add", "m b", "logits")],
        {"w": W.T, "b": B},
    ),
    "add-matmul": (
        [node("MatMul", "flat w", "m"), node("Add", "b m", "logits")],
        {"w": W.T, "b": B[None]},
    ),
    "conv-flatten": (
        [node("Conv", "pool w b", "c"), node("Flatten", "c", "logits")],
        {"w": W[:, :, None, None], "b": B},
    ),
    "conv-add-reshape": (
        [
            node("Conv", "pool w", "c"),
            node("Add", "c b", "a"),
            node("Reshape", "a shape", "logits"),
        ],
        {"w": W[:, :, None, None], "b": B[:, None, None], **SHAPE},
    ),
    "conv-then-pool": (
        [
            node("Conv", "relu w b", "c"),
            node("GlobalAveragePool", "c", "p"),
            node("Flatten", "p", "logits"),
        ],
        {"w": W[:, :, None, None], "b": B},
    ),
    "half-precision-weight": (
        [node("Cast", "h", "w", to=TensorProto.FLOAT), node("Gemm", "flat w b", "logits")],
        {"h": W.T.astype(np.float16), "b": B},
    ),
    "transposed-weight": (
        [node("Transpose", "h", "w"), node("MatMul", "flat w", "logits")],
        {"h": W},
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_head_equals_network(name, tmp_path):
    """The head of the features gives the logits of the network, however the layer is written."""
    path = write(tmp_path / "net.onnx", *HEADS[name])
    encoder = open_encoder(f"onnx:{path}")
    features = encoder.encode(IMAGES)
    assert features.shape == (5, D)
    assert features.dtype == np.float32
    np.testing.assert_allclose(encoder.head.logits(features), own_output(path), atol=1e-5)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_function_after_logits(kind, tmp_path):
    """A function of the logits after the head is left out, and the order of classes stays."""
    tail = [node("Gemm", "flat w b", "logits"), node(kind, "logits", "out")]
    path = write(tmp_path / "net.onnx", tail, {"w": W.T, "b": B}, out="out")
    encoder = open_encoder(f"onnx:{path}")
    logits = encoder.head.logits(encoder.encode(IMAGES))
    if kind == "Sigmoid":
        want = 1 / (1 + np.exp(-logits))
    else:
        want = np.exp(logits - logits.max(1, keepdims=True))
        want /= want.sum(1, keepdims=True)
    want = np.log(want) if kind == "LogSoftmax" else want
    np.testing.assert_allclose(own_output(path), want, atol=1e-5)


@pytest.fixture
def network(tmp_path):
    """Return a plain classifier."""
    return write(tmp_path / "net.onnx", *HEADS["gemm"])


def test_preprocessing_reaches_the_network(network):
    """Channel order, mean and std are applied before the network."""
    encoder = open_encoder(f"onnx:{network}?channels=bgr&mean=9,8,7&std=2")
    batch = (IMAGES[..., ::-1].astype(np.float32) - [9, 8, 7]) / 2
    want = own_output(network, batch)
    np.testing.assert_allclose(encoder.head.logits(encoder.encode(IMAGES)), want, atol=1e-5)


def test_deterministic(network):
    """Two extractions are equal to the bit, and one image alone gives its row of the batch."""
    encoder = open_encoder(f"onnx:{network}", threads=1)
    first = encoder.encode(IMAGES)
    np.testing.assert_array_equal(first, open_encoder(f"onnx:{network}", threads=1).encode(IMAGES))
    np.testing.assert_allclose(encoder.encode(IMAGES[2:3])[0], first[2], rtol=1e-5)


def test_wrong_images(network):
    """Images of another size are refused."""
    with pytest.raises(InputError, match=r"expected uint8 \(n, 8, 8, 3\)"):
        open_encoder(f"onnx:{network}").encode(IMAGES[:, :7])


def test_parameters(network):
    """Parameters are counted over weights and biases, the head's too."""
    assert open_encoder(f"onnx:{network}").parameters == D * 27 + D + K * D + K


def test_fixed_batch(tmp_path):
    """A file for one image at a time takes batches all the same."""
    tail, weights = HEADS["gemm"]
    path = write(tmp_path / "net.onnx", tail, weights, shape=(1, 3, 8, 8))
    open_path = write(tmp_path / "open.onnx", tail, weights)
    got = open_encoder(f"onnx:{path}").encode(IMAGES)
    np.testing.assert_allclose(got, open_encoder(f"onnx:{open_path}").encode(IMAGES), rtol=1e-5)


@pytest.mark.parametrize("size", [3, 4])
def test_fixed_batch_above_one(tmp_path, size):
    """A file for several images at a time takes any number; the last part is filled up."""
    tail, weights = HEADS["gemm"]
    path = write(tmp_path / "net.onnx", tail, weights, shape=(size, 3, 8, 8))
    open_path = write(tmp_path / "open.onnx", tail, weights)
    encoder, want = open_encoder(f"onnx:{path}"), open_encoder(f"onnx:{open_path}").encode(IMAGES)
    for n in (1, 2, 3, 4, 5):
        np.testing.assert_allclose(encoder.encode(IMAGES[:n]), want[:n], rtol=1e-5)


def test_batch_of_one_within(tmp_path):
    """A graph whose shapes inside hold for one image, though its input does not say so, is run so."""
    tail = [node("Reshape", "pool shape", "r"), node("Gemm", "r w b", "logits")]
    weights = {"w": W.T, "b": B, "shape": np.array([1, D])}
    path = write(tmp_path / "net.onnx", tail, weights)
    open_path = write(tmp_path / "open.onnx", *HEADS["gemm"])
    want = open_encoder(f"onnx:{open_path}").encode(IMAGES)
    np.testing.assert_allclose(open_encoder(f"onnx:{path}").encode(IMAGES), want, rtol=1e-5)


@pytest.mark.parametrize("first", [1, "n"])
@pytest.mark.parametrize("softmax", [False, True])
def test_output_without_its_axis_of_images(tmp_path, first, softmax):
    """An output that is one row of numbers for one image is that image's."""
    tail = [node("Gemm", "flat w b", "g"), node("Reshape", "g all", "logits")]
    tail += [node("Softmax", "logits", "out", axis=0)] if softmax else []
    weights = {"w": W.T, "b": B, "all": np.array([K])}
    path = write(
        tmp_path / "net.onnx", tail, weights, shape=(first, 3, 8, 8), out=tail[-1].output[0]
    )
    open_path = write(tmp_path / "open.onnx", *HEADS["gemm"])
    encoder, want = open_encoder(f"onnx:{path}"), open_encoder(f"onnx:{open_path}")
    np.testing.assert_allclose(encoder.encode(IMAGES), want.encode(IMAGES), rtol=1e-5)
    np.testing.assert_array_equal(encoder.head.weight, W)
    if not softmax:
        rows = open_encoder(f"onnx:{path}?head=none").encode(IMAGES)
        np.testing.assert_allclose(rows, want.head.logits(want.encode(IMAGES)), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "query", "count"),
    [
        (("n", 1, 8, 8), "", 1),
        (("n", 4, 8, 8), "", 4),
        (("n", 8, 8, 1), "", 1),
        (("n", 1, "h", "w"), "", 1),
        (("n", 5, 8, 8), "", "other than three"),
        (("n", 1, 8, 8), "?layout=nchw", 1),
    ],
)
def test_other_channels(tmp_path, shape, query, count):
    """A network of grey or of four channels is refused in these words, not by asking for a layout."""
    path = write(tmp_path / "net.onnx", *HEADS["gemm"], shape=shape)
    with pytest.raises(InputError, match=f"has {count} channels, expected three, of RGB"):
        open_encoder(f"onnx:{path}{query}")


class TestOutputs:
    """A head is that of the output taken, and makes it."""

    ADD = (node("MatMul", "flat w", "m"), node("Add", "m b", "logits"))

    @pytest.mark.parametrize(
        ("tail", "out"),
        [
            ([*ADD, node("ReduceMax", "m", "top", axes=[1])], "logits top"),
            ([*ADD, node("Softmax", "m", "scores")], "logits scores"),
            ([*ADD, node("Relu", "m", "other")], "logits other"),
            ([node("Gemm", "flat wt c", "logits"), node("Add", "logits b", "more")], "logits more"),
            ([node("Gemm", "flat wt", "logits"), node("Add", "logits b", "more")], "logits"),
        ],
        ids=["bias, used twice", "raw scores", "side branch", "sum beside", "sum unused"],
    )
    def test_bias_on_the_way(self, tmp_path, tail, out):
        """A sum belongs to the head if and only if it leads to the output."""
        weights = {"w": W.T, "wt": W.T, "b": B, "c": 2 * B}
        path = write(tmp_path / "net.onnx", tail, weights, out=out)
        encoder = open_encoder(f"onnx:{path}")
        got = encoder.head.logits(encoder.encode(IMAGES))
        np.testing.assert_allclose(got, own_output(path), atol=1e-5)

    @pytest.fixture
    def chained(self, tmp_path):
        """Return a network whose first output is an embedding of which its second makes classes."""
        v = RNG.standard_normal((3, K)).astype(np.float32)
        tail = [
            node("Gemm", "flat w b", "embedding"),
            node("Relu", "embedding", "r"),
            node("Gemm", "r v", "logits"),
        ]
        return write(
            tmp_path / "net.onnx", tail, {"w": W.T, "b": B, "v": v.T}, out="embedding logits"
        )

    def test_embedding_first(self, chained):
        """Which of the two are the classes is asked, and the answer is followed."""
        with pytest.raises(InputError, match="give output=embedding or output=logits"):
            open_encoder(f"onnx:{chained}")
        encoder = open_encoder(f"onnx:{chained}?output=logits")
        assert (encoder.dim, encoder.head.n_classes) == (K, 3)
        encoder = open_encoder(f"onnx:{chained}?output=embedding")
        np.testing.assert_array_equal(encoder.head.weight, W)
        only = open_encoder(f"onnx:{chained}?output=embedding&head=none")
        np.testing.assert_allclose(only.encode(IMAGES), own_output(chained), atol=1e-5)

    def test_unknown(self, chained):
        """An output that is not there is answered with those there are."""
        with pytest.raises(InputError, match="no output x; it has embedding, logits"):
            open_encoder(f"onnx:{chained}?output=x")

    def test_two_heads(self, tmp_path):
        """Of two heads side by side the first is taken, and a note says so."""
        tail = [
            node("Gemm", "flat w b", "logits"),
            node("Relu", "flat", "r"),
            node("Gemm", "r v", "aux"),
        ]
        weights = {"w": W.T, "b": B, "v": W[:3].T}
        path = write(tmp_path / "net.onnx", tail, weights, out="logits aux")
        encoder = open_encoder(f"onnx:{path}")
        assert encoder.head.n_classes == K
        assert "first output, logits (4 values); aux (3 values) has another" in encoder.notes[0]
        assert open_encoder(f"onnx:{path}?output=aux").notes == ()

    @pytest.mark.parametrize(
        ("tail", "opset", "message"),
        [
            (
                [
                    node("Conv", "relu wc b", "c"),
                    node("Sigmoid", "c", "s"),
                    node("GlobalAveragePool", "s", "p"),
                    node("Flatten", "p", "logits"),
                ],
                17,
                "Sigmoid stands between",
            ),
            (
                [node("Conv", "pool wc b", "c"), node("Softmax", "c", "logits", axis=3)],
                17,
                "does not make the network's own output",
            ),
            (
                [
                    node("Gemm", "flat w b", "g"),
                    node("Reshape", "g pairs", "r"),
                    node("Softmax", "r", "logits", axis=2),
                ],
                17,
                "does not make the network's own output",
            ),
            (
                [node("Gemm", "flat w b", "g"), node("Cast", "g", "logits", to=TensorProto.INT32)],
                17,
                "does not make the network's own output",
            ),
        ],
        ids=["pooled scores", "over positions", "by pairs", "whole numbers"],
    )
    def test_refused(self, tmp_path, tail, opset, message):
        """A head whose logits do not lead to the output is refused with what to do."""
        weights = {
            "w": W.T,
            "wc": W[:, :, None, None],
            "b": B,
            "pairs": np.array([0, K // 2, 2]),
        }
        path = write(tmp_path / "net.onnx", tail, weights, opset=opset)
        with pytest.raises(InputError, match=f"{message}.*head=none"):
            open_encoder(f"onnx:{path}")

    def test_named_layer_beside(self, tmp_path):
        """A layer named that is not on the way to the output has its own bias."""
        tail = [
            node("Gemm", "flat w", "logits"),
            node("MatMul", "flat w", "m"),
            node("Add", "m b", "aux"),
        ]
        path = write(tmp_path / "net.onnx", tail, {"w": W.T, "b": B}, out="logits aux")
        np.testing.assert_allclose(open_encoder(f"onnx:{path}?layer=m").head.bias, B)

    @pytest.mark.parametrize("integers", [False, True])
    def test_rounded_output(self, tmp_path, integers):
        """Logits that are rounded to eight bits, and clipped, leave the head as it is before."""
        tail = [node("Gemm", "flat w b", "g"), node("QuantizeLinear", "g scale zero", "q")]
        tail += [] if integers else [node("DequantizeLinear", "q scale zero", "logits")]
        weights = {"w": W.T, "b": B, "scale": np.float32(0.02), "zero": np.uint8(100)}
        path = write(tmp_path / "net.onnx", tail, weights, out="q" if integers else "logits")
        encoder = open_encoder(f"onnx:{path}")
        np.testing.assert_array_equal(encoder.head.weight, W)

    def test_half_precision(self, tmp_path):
        """A head in half precision is compared within its own rounding."""
        tail = [
            node("Cast", "flat", "f", to=TensorProto.FLOAT16),
            node("Gemm", "f w b", "logits"),
        ]
        weights = {"w": W.T.astype(np.float16), "b": B.astype(np.float16)}
        path = write(tmp_path / "net.onnx", tail, weights)
        encoder = open_encoder(f"onnx:{path}")
        assert encoder.head.n_classes == K

    def test_not_finite(self, tmp_path):
        """Logits of noise that are not finite are not compared but refused."""
        tail = [node("Mul", "flat big", "f"), node("Gemm", "f w b", "logits")]
        weights = {"w": W.T, "b": B, "big": np.float32(3e38)}
        path = write(tmp_path / "net.onnx", tail, weights)
        with pytest.raises(InputError, match="not finite; give the mean=, std="):
            open_encoder(f"onnx:{path}")


def test_channels_last(tmp_path):
    """A network that reads (n, h, w, 3) gets images so."""
    turn = [node("Transpose", "image", "turned", perm=[0, 3, 1, 2])]
    trunk = [*turn, node("Conv", "turned conv.w conv.b", "conv"), *TRUNK[1:]]
    tail, weights = HEADS["gemm"]
    last = write(tmp_path / "last.onnx", tail, weights, trunk=trunk, shape=("n", 8, 8, 3))
    first = write(tmp_path / "first.onnx", tail, weights)
    encoder = open_encoder(f"onnx:{last}")
    assert encoder.preprocessing.layout == "nhwc"
    np.testing.assert_allclose(
        encoder.encode(IMAGES), open_encoder(f"onnx:{first}").encode(IMAGES), rtol=1e-5
    )


class TestOptions:
    def test_head_none(self, network):
        """With head=none the features are the network's own output."""
        encoder = open_encoder(f"onnx:{network}?head=none")
        assert encoder.head is None
        np.testing.assert_allclose(encoder.encode(IMAGES), own_output(network), atol=1e-5)

    def test_layer(self, tmp_path):
        """A layer, by its name or its output's, is where to split; with head=none its output is."""
        tail = [
            node("Gemm", "flat w b", "hidden"),
            node("Relu", "hidden", "r"),
            node("Gemm", "r v", "logits"),
        ]
        weights = {"w": W.T, "b": B, "v": RNG.standard_normal((K, 3)).astype(np.float32)}
        path = write(tmp_path / "net.onnx", tail, weights)
        assert open_encoder(f"onnx:{path}").dim == K
        for name in ("hidden", "hidden_node"):
            encoder = open_encoder(f"onnx:{path}?layer={name}")
            np.testing.assert_array_equal(encoder.head.weight, W)
            assert encoder.dim == D
        hidden = open_encoder(f"onnx:{path}?layer=hidden&head=none").encode(IMAGES)
        logits = encoder.head.logits(encoder.encode(IMAGES))
        np.testing.assert_allclose(hidden, logits, atol=1e-5)

    def test_background(self, network):
        """A background class dropped leaves classes 1 … K−1 as 0 … K−2."""
        head = open_encoder(f"onnx:{network}?background=drop").head
        np.testing.assert_array_equal(head.weight, W[1:])
        np.testing.assert_array_equal(head.bias, B[1:])
        np.testing.assert_array_equal(head.classes, np.arange(K - 1))

    def test_crop_of_an_open_size(self, tmp_path):
        """A network that leaves its size open takes the one given."""
        tail, weights = HEADS["gemm"]
        path = write(tmp_path / "net.onnx", tail, weights, shape=("n", 3, "h", "w"))
        assert open_encoder(f"onnx:{path}?crop=8").preprocessing.size == (8, 8)
        with pytest.raises(InputError, match="leaves its input size open"):
            open_encoder(f"onnx:{path}")

    def test_layout(self, tmp_path):
        """Where the file does not show the channels, the layout is asked for and then used."""
        tail, weights = HEADS["gemm"]
        path = write(tmp_path / "net.onnx", tail, weights, shape=("n", "c", "h", "w"))
        assert open_encoder(f"onnx:{path}?layout=nchw&crop=8").dim == D
        with pytest.raises(InputError, match="give layout=nchw or layout=nhwc"):
            open_encoder(f"onnx:{path}?crop=8")

    def test_fingerprint(self, network):
        """The fingerprint follows weights, preprocessing and split, not names or the head."""

        def of(query):
            return open_encoder(f"onnx:{network}?{query}").fingerprint

        assert of("name=a") == of("background=drop&name=b")
        different = ["name=a", "mean=1", "channels=bgr", "weights=random:0", "head=none"]
        assert len({of(query) for query in different}) == len(different)


class TestRandomWeights:
    def test_seed(self, network):
        """A seed fixes the fresh weights; another seed gives others."""

        def draw(seed):
            encoder = open_encoder(f"onnx:{network}?weights=random:{seed}")
            return encoder.encode(IMAGES), encoder

        first, encoder = draw(0)
        np.testing.assert_array_equal(first, draw(0)[0])
        other, another = draw(1)
        assert not np.allclose(first, other)
        assert encoder.fingerprint != another.fingerprint
        assert encoder.parameters == another.parameters == D * 27 + D + K * D + K

    def test_nothing_trained_is_left(self, tmp_path, network):
        """Two networks of one architecture and different weights have the same untrained twin."""
        tail = HEADS["gemm"][0]
        other = write(tmp_path / "other.onnx", tail, {"w": W.T + 1, "b": B - 5})
        model = onnx.load(other)
        for tensor in model.graph.initializer:
            fresh = numpy_helper.to_array(tensor) + 3
            tensor.CopyFrom(numpy_helper.from_array(fresh, tensor.name))
        onnx.save(model, other)
        one, two = (open_encoder(f"onnx:{path}?weights=random:0") for path in (network, other))
        np.testing.assert_array_equal(one.encode(IMAGES), two.encode(IMAGES))
        np.testing.assert_array_equal(one.head.weight, two.head.weight)

    def test_he_normal(self, tmp_path):
        """Weights have variance 2 / fan-in and biases are zero, whichever way a layer stores them."""
        wide = RNG.standard_normal((2000, D)).astype(np.float32)
        for kind, weights in {"gemm": wide.T, "gemm-transposed": wide}.items():
            tail = HEADS[kind][0]
            path = write(
                tmp_path / "net.onnx", tail, {"w": weights, "b": np.ones(2000, np.float32)}
            )
            head = open_encoder(f"onnx:{path}?weights=random:0").head
            assert head.weight.std() == pytest.approx(np.sqrt(2 / D), rel=0.05)
            assert not head.bias.any()

    def test_normalising_layers(self, tmp_path):
        """Batch normalisation is put at its start, and a bias added after a product is zero."""
        tail = [
            node("BatchNormalization", "flat s o m v", "n"),
            node("MatMul", "n w", "p"),
            node("Add", "p b", "logits"),
        ]
        stats = {name: np.full(D, 7, np.float32) for name in "somv"}
        weights = {**stats, "w": W.T, "b": B}
        path = write(tmp_path / "net.onnx", tail, weights)
        plain = write(tmp_path / "plain.onnx", *HEADS["matmul-add"])
        one, two = (open_encoder(f"onnx:{p}?weights=random:5") for p in (path, plain))
        np.testing.assert_allclose(one.encode(IMAGES), two.encode(IMAGES), rtol=1e-4)
        assert not one.head.bias.any()

    def test_activation_constants_stay(self, tmp_path):
        """The constant inside an activation is no bias and stays."""
        three = {"three": np.float32(3), "w": W.T, "b": B}
        trunk = [
            TRUNK[0],
            node("Add", "conv three", "shifted"),
            node("Relu", "shifted", "relu"),
            *TRUNK[2:],
        ]
        path = write(tmp_path / "net.onnx", HEADS["gemm"][0], three, trunk=trunk)
        features = open_encoder(f"onnx:{path}?weights=random:0").encode(0 * IMAGES)
        np.testing.assert_allclose(features, 3)

    @pytest.mark.parametrize("value", ["random", "random:x", "zero", "random:-1"])
    def test_bad_seed(self, network, value):
        """Anything but random:SEED is refused."""
        with pytest.raises(InputError, match="expected weights=random:SEED"):
            open_encoder(f"onnx:{network}?weights={value}")

    def test_integer_layers(self, tmp_path):
        """A network of integer layers has no weights to draw and says so."""
        tail = [
            node("Cast", "flat", "q", to=TensorProto.UINT8),
            node("MatMulInteger", "q w", "logits"),
        ]
        path = write(tmp_path / "net.onnx", tail, {"w": np.ones((D, K), np.int8)})
        with pytest.raises(InputError, match="cannot redraw a layer of type MatMulInteger"):
            open_encoder(f"onnx:{path}?weights=random:0&head=none")

    def test_no_layers(self, tmp_path):
        """A network without layers has nothing to draw."""
        path = write(tmp_path / "net.onnx", [], {}, trunk=[node("Flatten", "image", "logits")])
        with pytest.raises(InputError, match="found no layer with constant weights"):
            open_encoder(f"onnx:{path}?weights=random:0&head=none")


class TestErrors:
    def test_something_after_the_head(self, tmp_path):
        """A layer that is not harmless after the last linear one is named, with two ways out."""
        tail = [node("Gemm", "flat w b", "g"), node("Relu", "g", "logits")]
        path = write(tmp_path / "net.onnx", tail, {"w": W.T, "b": B})
        with pytest.raises(InputError, match=r"Relu stands between .* head=none .* layer=NAME"):
            open_encoder(f"onnx:{path}")

    def test_residual_sum_after_the_head(self, tmp_path):
        """A sum of two computed tensors is no bias."""
        tail = [node("Gemm", "flat w b", "g"), node("Add", "g g", "logits")]
        path = write(tmp_path / "net.onnx", tail, {"w": W.T, "b": B})
        with pytest.raises(InputError, match="Add stands between"):
            open_encoder(f"onnx:{path}")

    def test_no_linear_layer(self, tmp_path):
        """A network without a linear layer is told to use head=none."""
        path = write(tmp_path / "net.onnx", [], {}, trunk=[node("Flatten", "image", "logits")])
        with pytest.raises(InputError, match="no fully connected layer or 1×1 convolution"):
            open_encoder(f"onnx:{path}")
        assert open_encoder(f"onnx:{path}?head=none").dim == 192

    @pytest.mark.parametrize(
        ("tail", "weights"),
        [
            ([node("Conv", "relu w", "logits")], {"w": np.zeros((K, D, 3, 3), np.float32)}),
            (
                [node("Conv", "pool w", "logits", group=2)],
                {"w": np.zeros((K, D // 2, 1, 1), np.float32)},
            ),
            ([node("MatMul", "flat flat", "logits")], {}),
            (
                [node("MatMul", "flat w", "m"), node("Add", "m b", "logits")],
                {"w": W.T, "b": np.zeros((5, K), np.float32)},
            ),
        ],
        ids=["3x3", "grouped", "computed", "bias-a-row"],
    )
    def test_not_plainly_linear(self, tail, weights, tmp_path):
        """A layer that is not features · constant + constant is refused as head."""
        path = write(tmp_path / "net.onnx", tail, weights)
        with pytest.raises(InputError, match="no plain fully connected layer"):
            open_encoder(f"onnx:{path}")

    def test_unknown_layer(self, network):
        """A layer that is not there is answered with the linear layers there are."""
        with pytest.raises(InputError, match="no layer 'x'; its last linear layers are conv_node"):
            open_encoder(f"onnx:{network}?layer=x")

    def test_layer_of_another_type(self, network):
        """A layer that is not linear is no head."""
        with pytest.raises(InputError, match="layer relu_node is a Relu, expected Gemm"):
            open_encoder(f"onnx:{network}?layer=relu")

    def test_features_are_no_vector(self, network):
        """Features that are a map of positions are refused."""
        with pytest.raises(InputError, match=r"features have shape \(1, 6, 6, 6\) for one image"):
            open_encoder(f"onnx:{network}?layer=relu&head=none")

    def test_no_background_without_head(self, network):
        """Without a head there is no background class to drop."""
        with pytest.raises(InputError, match="no head of two classes or more"):
            open_encoder(f"onnx:{network}?head=none&background=drop")

    def test_two_inputs(self, tmp_path):
        """A network with two inputs is none for images."""
        path = write(tmp_path / "net.onnx", *HEADS["gemm"])
        model = onnx.load(path)
        model.graph.input.append(helper.make_tensor_value_info("other", 1, [1]))
        onnx.save(model, path)
        with pytest.raises(InputError, match=r"got inputs image, other, expected one"):
            open_encoder(f"onnx:{path}")

    @pytest.mark.parametrize(("shape", "dtype"), [((1, 3), 1), ((1, 3, 8, 8), 7)])
    def test_no_image_input(self, tmp_path, shape, dtype):
        """An input that cannot be images is refused."""
        path = write(tmp_path / "net.onnx", *HEADS["gemm"], shape=shape, dtype=dtype)
        with pytest.raises(InputError, match="expected images"):
            open_encoder(f"onnx:{path}")

    @pytest.mark.parametrize("data", [b"", b"not a network", bytes(100)])
    def test_no_network(self, tmp_path, data):
        """A file of other bytes is no ONNX model."""
        path = tmp_path / "net.onnx"
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match=r"not .*ONNX"):
            open_encoder(f"onnx:{path}")

    def test_truncated(self, network):
        """A file cut short is refused."""
        network.write_bytes(network.read_bytes()[:-300])
        with pytest.raises(FileFormatError, match="not a readable ONNX file"):
            open_encoder(f"onnx:{network}")

    def test_graph_that_does_not_load(self, tmp_path):
        """A graph that onnxruntime refuses is reported as its file's fault."""
        trunk = [node("NoSuchOperator", "image", "flat"), *HEADS["gemm"][0]]
        path = write(tmp_path / "net.onnx", [], HEADS["gemm"][1], trunk=trunk)
        with pytest.raises(FileFormatError, match="onnxruntime cannot load it"):
            open_encoder(f"onnx:{path}")

    def test_graph_that_does_not_run(self, tmp_path):
        """A graph whose shapes do not fit at run time is reported."""
        tail, weights = HEADS["gemm"]
        path = write(tmp_path / "net.onnx", tail, weights, shape=("n", 3, "h", "w"))
        with pytest.raises(InputError, match="onnxruntime cannot run it"):
            open_encoder(f"onnx:{path}?crop=2")

    def test_missing_external_weights(self, tmp_path, network):
        """Weights that should lie beside the file and do not are reported."""
        path = tmp_path / "out" / "net.onnx"
        path.parent.mkdir()
        options = {"save_as_external_data": True, "size_threshold": 0, "location": "w.bin"}
        onnx.save(onnx.load(network), path, **options)
        (path.parent / "w.bin").unlink()
        with pytest.raises(FileFormatError, match="not a readable ONNX file"):
            open_encoder(f"onnx:{path}")


def test_one_position(tmp_path):
    """A trunk that ends in one position gives its channels, without pooling."""
    tail = [node("Conv", "relu w", "c"), node("Flatten", "c", "logits")]
    trunk = [node("Conv", "image conv.w conv.b", "conv", strides=[8, 8], pads=[1, 1, 1, 1])]
    weights = {"w": W[:, :, None, None]}
    path = write(tmp_path / "net.onnx", tail, weights, trunk=[*trunk, TRUNK[1]])
    encoder = open_encoder(f"onnx:{path}")
    np.testing.assert_allclose(
        encoder.head.logits(encoder.encode(IMAGES)), own_output(path), atol=1e-5
    )


def test_external_weights_stay_outside(tmp_path, network, monkeypatch):
    """Weights beside the file are never put into the model, which may be too large for that."""
    path = tmp_path / "out" / "net.onnx"
    path.parent.mkdir()
    onnx.save(
        onnx.load(network), path, save_as_external_data=True, size_threshold=0, location="w.bin"
    )
    seen = []
    plain = onnxruntime.InferenceSession

    def limited(model, *arguments, **options):
        seen.append(len(model))
        return plain(model, *arguments, **options)

    want = open_encoder(f"onnx:{network}")
    limit = network.stat().st_size
    assert path.stat().st_size < limit
    monkeypatch.setattr(onnxruntime, "InferenceSession", limited)
    monkeypatch.chdir(tmp_path)
    got = open_encoder(f"onnx:{path}")
    assert max(seen) < limit
    np.testing.assert_array_equal(got.encode(IMAGES), want.encode(IMAGES))
    np.testing.assert_array_equal(got.head.weight, want.head.weight)
    drawn = [open_encoder(f"onnx:{p}?weights=random:3").encode(IMAGES) for p in (path, network)]
    np.testing.assert_array_equal(*drawn)


def test_too_large_to_change(network, monkeypatch):
    """A model that cannot be put together again is refused in one line."""

    def fail(_):
        raise ValueError("exceeds maximum protobuf size of 2GB")

    monkeypatch.setattr("intertwine.encoders.onnx.graph.onnx_bytes", fail)
    with pytest.raises(InputError, match=r"more than 2 GB .*leave weights=random out"):
        open_encoder(f"onnx:{network}")


def test_external_weights(tmp_path, network):
    """Weights stored beside the file count for the fingerprint."""
    prints = []
    for shift in (0, 1):
        model = onnx.load(network)
        conv = model.graph.initializer[0]
        conv.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(conv) + shift, conv.name))
        path = tmp_path / str(shift) / "net.onnx"
        path.parent.mkdir()
        onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="w.bin")
        prints.append(open_encoder(f"onnx:{path}").fingerprint)
    assert prints[0] != prints[1]


class TestRealNetworks:
    def test_googlenet(self, shared_data):
        """GoogLeNet splits at its 1024 features and its own 1000-class layer."""
        path = shared_data / "models" / "googlenet_bvlc.onnx"
        encoder = open_encoder(f"onnx:{path}?channels=bgr&mean=104,117,123")
        assert (encoder.dim, encoder.head.n_classes, encoder.parameters) == (1024, 1000, 6998552)
        images = RNG.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
        session = onnxruntime.InferenceSession(path)
        batch = images[..., ::-1].astype(np.float32) - np.float32([104, 117, 123])
        want = session.run(None, {"input": batch.transpose(0, 3, 1, 2)})[0]
        got = encoder.head.logits(encoder.encode(images))
        assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()

    @pytest.mark.slow
    def test_untrained_googlenet(self, shared_data):
        """Untrained GoogLeNet has finite features that differ between images and fit float16."""
        path = shared_data / "models" / "googlenet_bvlc.onnx"
        encoder = open_encoder(f"onnx:{path}?channels=bgr&mean=104,117,123&weights=random:0")
        images = RNG.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
        features = encoder.encode(images)
        assert np.isfinite(features.astype(np.float16)).all()
        assert (features.std(axis=0) > 0).mean() > 0.5

    def test_embedding_network(self, shared_data):
        """A face network without a head says so, and gives its embedding with head=none."""
        path = shared_data / "models" / "w600k_mbf.onnx"
        with pytest.raises(InputError, match="BatchNormalization stands between"):
            open_encoder(f"onnx:{path}")
        encoder = open_encoder(f"onnx:{path}?head=none&mean=127.5&std=127.5")
        assert (encoder.dim, encoder.head, encoder.preprocessing.size) == (512, None, (112, 112))
