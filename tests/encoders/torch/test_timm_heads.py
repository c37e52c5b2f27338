"""Over the families of timm: the head of the features is the network's own output."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from tests.encoders.lazy import lazy

from intertwine.encoders.registry import open_encoder
from intertwine.errors import InputError

torch = lazy("torch")

# Small members by family, which is the module of timm that defines them. A number is an input size
# below the network's own, where it takes one, so that all of them run in a minute or two.
FAMILIES = {
    "byoanet": "botnet26t_256",
    "byobnet": "gernet_s:64 mobileone_s0:64 repvgg_a0:64",
    "cait": "cait_xxs24_224:64",
    "coat": "coat_lite_tiny:64",
    "convit": "convit_tiny:64",
    "convnext": "convnext_atto:64 convnextv2_atto:64",
    "cpubone": "cpubone_b0_bfrobust:64",
    "crossvit": "crossvit_9_240",
    "cspnet": "cs3darknet_focus_s:64",
    "cspnext": "cspnext_tiny:64",
    "davit": "davit_tiny:64",
    "deit": "deit_tiny_patch16_224:64 deit_tiny_distilled_patch16_224:64",
    "densenet": "densenet121:64",
    "dla": "dla46_c:64 dla60x_c:64",
    "dpn": "dpn48b:64",
    "edgenext": "edgenext_xx_small:64",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "efficientnet_lite0:64 mobilenetv2_035:64 mnasnet_small:64 tinynet_e:64",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0:64",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "eva02_tiny_patch14_336:56",
    "fasternet": "fasternet_t0:64",
    "fastvit": "fastvit_t8:64",
    "focalnet": "focalnet_tiny_srf:64",
    "gcvit": "gcvit_xxtiny",
    "ghostnet": "ghostnet_050:64 ghostnetv2_100:64",
    "hardcorenas": "hardcorenas_a:64",
    "hgnet": "hgnetv2_b0:64",
    "hrnet": "hrnet_w18_small:64",
    "iformer": "iformer_t:64",
    "inception_next": "inception_next_atto:64",
    "lcnetv2": "lcnetv2_small:64",
    "levit": "levit_128s levit_conv_128s",
    "lowformer": "lowformer_b0:64",
    "mambaout": "mambaout_femto:64",
    "maxxvit": "coatnet_pico_rw_224",
    "metaformer": "poolformer_s12:64",
    "mobilenetv3": "lcnet_035:64 mobilenetv3_small_050:64 fbnetv3_b:64",
    "mobilevit": "mobilevit_xxs:64 mobilevitv2_050:64",
    "mvitv2": "mvitv2_tiny:64",
    "nest": "nest_tiny",
    "nfnet": "nf_regnet_b0:64",
    "pit": "pit_ti_224",
    "pvt_v2": "pvt_v2_b0:64",
    "regnet": "regnetx_002:64 regnety_002:64",
    "repghost": "repghostnet_050:64",
    "repvit": "repvit_m0_9:64",
    "res2net": "res2net50_48w_2s:64",
    "resnest": "resnest14d:64",
    "resnet": "resnet10t:64 resnet26t:64",
    "resnetv2": "resnetv2_18:64",
    "rexnet": "rexnet_100:64",
    "selecsls": "selecsls42:64",
    "senet": "legacy_seresnet18:64",
    "shvit": "shvit_s1:64",
    "sknet": "skresnet18:64",
    "starnet": "starnet_s050:64",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224:56",
    "swin_transformer_v2": "swinv2_tiny_window8_256:64",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224:64",
    "twins": "twins_svt_small",
    "visformer": "visformer_tiny",
    "vision_transformer": "vit_tiny_patch16_224:64",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224:64",
    "vision_transformer_relpos": "vit_relpos_small_patch16_224:64",
    "vovnet": "ese_vovnet19b_slim_dw:64",
    "xception": "legacy_xception:96",
    "xception_aligned": "xception41:64",
    "xcit": "xcit_nano_12_p16_224:64",
}
# These run in a quick test, one a kind of head: a fully connected layer or a
# 1×1 convolution behind a pool, behind a class token, behind a normalisation or inside an MLP; two
# heads over one vector or over two. The others are slow.
SOME = {
    "cait_xxs24_224:64",
    "convnext_atto:64",
    "crossvit_9_240",
    "deit_tiny_distilled_patch16_224:64",
    "dla46_c:64",
    "inception_next_atto:64",
    "levit_128s",
    "mobilenetv3_small_050:64",
    "resnet10t:64",
    "resnetv2_18:64",
    "shvit_s1:64",
    "vit_tiny_patch16_224:64",
}
NETWORKS = [(family, name) for family, names in FAMILIES.items() for name in names.split()]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Run networks this small in one thread: they would wait for a second one, not gain by it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_at_a_time():
    """Let go of each network before the next: hooks make circles that Python keeps for a while."""
    yield
    gc.collect()


def opened(name):
    """Open an untrained network, at the size that stands after a colon."""
    name, _, size = name.partition(":")
    return open_encoder(f"timm:{name}?weights=random:0" + (f"&crop={size}" if size else ""))


def own_logits(encoder, images):
    """Return what the encoder's network puts out when nothing watches or stops it."""
    module = encoder.run.module
    for part in module.modules():
        part._forward_pre_hooks.clear()
        part._forward_hooks.clear()
    with torch.inference_mode():
        return module(torch.from_numpy(encoder.preprocessing.apply(images))).numpy()


@pytest.mark.slow
def test_enough():
    """There are at least 60 architectures, of at least 40 families, each where timm has it."""
    import timm

    assert len(NETWORKS) >= 60
    assert len(FAMILIES) >= 40
    for family, name in NETWORKS:
        assert timm.models.is_model_in_modules(name.partition(":")[0], [family])


@pytest.mark.quick("dla46_c:64", "mobilenetv3_small_050:64")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for _, name in NETWORKS],
)
def test_head(name):
    """Features are finite vectors, and the head of them is the network's own output."""
    encoder = opened(name)
    images = np.random.default_rng(1).integers(0, 256, (2, *encoder.image_size, 3), dtype=np.uint8)
    features = encoder.encode(images)
    assert features.shape == (2, encoder.dim)
    assert np.isfinite(features).all()
    want, got = own_logits(encoder, images), encoder.head.logits(features)
    assert np.abs(want).max() > 0
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.quick("deit_tiny_distilled_patch16_224:64-head+head_dist")
@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("deit_tiny_distilled_patch16_224:64", "head+head_dist"),
        ("crossvit_9_240", "head.0+head.1"),
        ("levit_128s", "head.linear+head_dist.linear"),
    ],
)
def test_heads_side_by_side(name, split):
    """Where the output is the mean of two heads, the features are what both of them read."""
    encoder = opened(name)
    parts = [encoder.run.module.get_submodule(layer) for layer in split.split("+")]
    assert encoder.split == split
    assert encoder.dim == sum(part.weight.shape[1] for part in parts)


@pytest.mark.quick("eva02_tiny_patch14_224:56")
@pytest.mark.parametrize("name", ["volo_d1_224", "eva02_tiny_patch14_224:56"])
def test_no_linear_head(name):
    """An output that is no affine map of one vector is refused, with what to do instead."""
    with pytest.raises(InputError, match=r"has no linear head: .* give head=none to take these as"):
        opened(name)
