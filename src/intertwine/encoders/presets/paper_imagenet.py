"""The preset `paper-imagenet`: the paper's ten ImageNet networks and its untrained control.

For each the public weights nearest to the paper's, which were TF-slim's; `docs/networks.md` says
how they differ. All but MobileNet read the same pixels, so an image is resized twice in all.
"""

from __future__ import annotations

from intertwine.encoders.presets.preset import PresetEncoder

# The centre of 7/8 of the shorter side, as TF-slim evaluates.
_CROP_331 = {"crop": "331", "resize": "centre:378", "interpolation": "bilinear"}
_CROP_224 = {"crop": "224", "resize": "centre:256", "interpolation": "bilinear"}
_SIZE = (331, 331)
_TIMM = "timm project, weights {}, ported from the TF-slim checkpoint {}"
_KERAS = "Keras applications, weights of {}"


def _accuracies(reported: float, paper: float) -> dict[str, str]:
    return {"reported_top1": f"{reported:.3f}", "paper_top1": f"{paper:.3f}"}


def _timm(
    name: str, network: str, checkpoint: str, dim: int, parameters: int, *figures: float
) -> PresetEncoder:
    """Return a network of timm, last its accuracies, reported and measured by the paper."""
    return PresetEncoder(
        name,
        f"{name}, TF-slim",
        "timm",
        {**_CROP_331, **_accuracies(*figures)},
        dim,
        _SIZE,
        parameters,
        {f"{network}.safetensors": None},
        _TIMM.format(network, checkpoint),
        "Apache-2.0",
        network=network,
    )


PAPER_IMAGENET = (
    PresetEncoder(
        "Inception-v1",
        "GoogLeNet, TF-slim",
        "torchvision",
        {**_CROP_331, **_accuracies(0.698, 0.711)},
        1024,
        _SIZE,
        6_624_904,
        {"googlenet-1378be20.pth": None},
        "torchvision project, weights GoogLeNet_Weights.IMAGENET1K_V1, ported from TF-slim",
        "BSD-3-Clause",
        network="googlenet",
    ),
    PresetEncoder(
        "Inception-v2",
        "BN-Inception, TF-slim",
        "inception-v2",
        {**_CROP_331, **_accuracies(0.739, 0.739)},
        1024,
        _SIZE,
        11_179_361,
        {"inception_v2.safetensors": None},
        "TF-slim project, checkpoint inception_v2_2016_08_28; "
        "intertwine convert-checkpoint inception_v2.ckpt inception_v2.safetensors "
        "--arch inception-v2",
        "Apache-2.0",
    ),
    PresetEncoder(
        "MobileNet-v2-1.4-224",
        "MobileNet-v2 of width 1.4",
        "keras",
        {"alpha": "1.4", **_CROP_224, **_accuracies(0.749, 0.746)},
        1792,
        (224, 224),
        6_156_712,
        {"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224.h5": None},
        _KERAS.format("MobileNetV2, alpha 1.4"),
        "Apache-2.0",
        network="MobileNetV2",
    ),
    PresetEncoder(
        "ResNet-v1-152",
        "ResNet-152 of He et al.",
        "keras",
        {**_CROP_331, **_accuracies(0.768, 0.788)},
        2048,
        _SIZE,
        60_419_944,
        {"resnet152_weights_tf_dim_ordering_tf_kernels.h5": None},
        _KERAS.format("ResNet152, converted from He et al.'s Caffe model as TF-slim's are"),
        "MIT",
        network="ResNet152",
    ),
    PresetEncoder(
        "ResNet-v2-152",
        "ResNet-152 with pre-activation",
        "keras",
        {**_CROP_331, **_accuracies(0.778, 0.787)},
        2048,
        _SIZE,
        60_380_648,
        {"resnet152v2_weights_tf_dim_ordering_tf_kernels.h5": None},
        _KERAS.format("ResNet152V2"),
        "Apache-2.0",
        network="ResNet152V2",
    ),
    _timm(
        "Inception-v3",
        "inception_v3.tf_in1k",
        "inception_v3_2016_08_28",
        2048,
        23_834_568,
        0.780,
        0.789,
    ),
    _timm(
        "Inception-v4",
        "inception_v4.tf_in1k",
        "inception_v4_2016_09_09",
        1536,
        42_679_816,
        0.801,
        0.804,
    ),
    _timm(
        "Inception-ResNet-v2",
        "inception_resnet_v2.tf_in1k",
        "inception_resnet_v2_2016_08_30",
        1536,
        55_843_464,
        0.804,
        0.812,
    ),
    _timm(
        "NASNet-Large",
        "nasnetalarge.tf_in1k",
        "nasnet-a_large_04_10_2017",
        4032,
        88_753_150,
        0.827,
        0.827,
    ),
    _timm(
        "PNASNet-Large",
        "pnasnet5large.tf_in1k",
        "pnasnet-5_large_2017_12_13",
        4320,
        86_057_668,
        0.829,
        0.829,
    ),
    PresetEncoder(
        "PNASNet-Large.untrained",
        "PNASNet-Large with random weights, the control",
        "timm",
        {**_CROP_331, "weights": "random:0"},
        4320,
        _SIZE,
        86_057_668,
        {},
        "weights drawn from a seed, no file",
        "–",
        network="pnasnet5large.tf_in1k",
    ),
)
