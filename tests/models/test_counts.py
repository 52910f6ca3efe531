"""Numbers of parameters, buffers and operations, to the unit, as the authors' own code has them."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from napari_brain_tumor.errors import CheckpointError
from napari_brain_tumor.models.registry import (
    ARCHITECTURES,
    CONFIGURATIONS,
    build_configuration,
    build_network,
    count_parameters,
)

PARAMETERS = {
    # configuration: {(inputs, outputs): parameters}
    "unet_plain": {(1, 1): 31_030_593, (3, 1): 31_031_745, (4, 3): 31_032_451, (4, 4): 31_032_516},
    "unet_2015": {(1, 1): 31_036_481, (3, 1): 31_037_633, (4, 3): 31_038_339, (4, 4): 31_038_404},
    "unet_brain": {(1, 1): 7_762_465, (3, 1): 7_763_041, (4, 3): 7_763_395, (4, 4): 7_763_428},
    "u2net": {(1, 1): 44_008_717, (3, 1): 44_009_869, (4, 3): 44_038_155, (4, 4): 44_052_028},
    "u2netp": {(1, 1): 1_130_029, (3, 1): 1_131_181, (4, 3): 1_138_731, (4, 4): 1_142_236},
    "resunet_plus_plus": {(1, 1): 4_062_673, (3, 1): 4_062_993, (4, 3): 4_063_187, (4, 4): 4_063_204},
    "resunet_plus_plus_32": {(1, 1): 16_227_361, (3, 1): 16_228_001, (4, 3): 16_228_387, (4, 4): 16_228_420},
    "resunet_a_d6": {(3, 1): 57_994_721},
    "resunet_a_d7": {(3, 1): 184_494_813},
    "resunet_a_d6_multitask": {(1, 1): 58_032_838, (3, 1): 58_032_902, (4, 3): 58_034_860, (4, 4): 58_035_823}
    | {(3, 6): 58_037_717, (5, 6): 58_037_781},
    "resunet_a_d7_multitask": {(1, 1): 184_532_930, (3, 1): 184_532_994, (4, 3): 184_534_952, (4, 4): 184_535_915}
    | {(3, 6): 184_537_809, (5, 6): 184_537_873},
    "resunet_a_d6_light": {(3, 1): 14_518_278},
    "unet3d_cicek": {(3, 3): 19_074_627},
    # Our own sizes: not published, so that a change does not go unseen.
    "residual_unet": {(4, 3): 41_940_300},
    "residual_unet_light": {(4, 3): 24_600_332},
    "residual_unet_deep": {(4, 3): 102_339_148},
}
STATISTICS = {
    # configuration: floats of running means and variances
    "unet_plain": 0,
    "unet_2015": 11_776,
    "unet_brain": 5_888,
    "u2net": 28_800,
    "u2netp": 5_696,
    "resunet_plus_plus": 7_392,
    "resunet_plus_plus_32": 14_784,
    "resunet_a_d6": 32_480,
    "resunet_a_d7": 52_956,
    "resunet_a_d6_multitask": 32_672,
    "resunet_a_d7_multitask": 53_148,
    "resunet_a_d6_light": 16_336,
}
OPERATIONS = {
    # configuration: floating point operations of its convolutions at 3 x 256 x 256 and one output
    "unet_2015": 96_334_774_272,
    "unet_plain": 96_334_774_272,
    "unet_brain": 24_142_413_824,
    "u2net": 75_005_755_392,
    "u2netp": 25_287_794_688,
    "resunet_plus_plus": 31_337_763_968,
    "resunet_plus_plus_32": 125_221_032_448,
    "resunet_a_d6": 90_345_308_160,
    "resunet_a_d7": 98_532_327_424,
    "resunet_a_d6_multitask": 95_323_947_008,
    "resunet_a_d7_multitask": 103_510_966_272,
    "resunet_a_d6_light": 23_871_881_216,
}


def on_paper(name, *channels):
    with torch.device("meta"):
        return build_configuration(name, *channels)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def statistics(network):
    return sum(b.numel() for name, b in network.named_buffers() if "running" in name)


@pytest.mark.parametrize(
    ("name", "channels", "expected"),
    [(name, channels, count) for name, counts in PARAMETERS.items() for channels, count in counts.items()],
)
def test_configurations_have_the_published_number_of_parameters(name, channels, expected):
    assert count_parameters(name, *channels) == expected


@pytest.mark.parametrize("name", STATISTICS)
def test_batch_norms_have_the_published_number_of_statistics(name):
    assert statistics(on_paper(name, 3, 1)) == STATISTICS[name]


@pytest.mark.parametrize("name", OPERATIONS)
def test_strides_and_features_give_the_published_number_of_operations(name):
    network = on_paper(name, 3, 1).eval()
    run = getattr(network, "forward_with_tasks", network)
    with FlopCounterMode(display=False) as counter:
        run(torch.zeros(1, 3, 256, 256, device="meta"))
    assert counter.get_total_flops() == OPERATIONS[name]


@pytest.mark.parametrize(
    ("depth", "arguments", "expected"),
    [(6, {"head": "plain"}, 57_976_161), (7, {"head": "plain"}, 184_476_253)],
)
def test_resunet_a_with_a_plain_head_has_the_published_number_of_parameters(depth, arguments, expected):
    with torch.device("meta"):
        network = build_network("resunet_a", 3, 1, 2, {"depth": depth, **arguments})
    assert parameters(network) == expected
    assert statistics(network) == {6: 32_352, 7: 52_828}[depth]


@pytest.mark.parametrize(("depth", "expected"), [(6, 52_445_958), (7, 162_168_834)])
def test_resunet_a_with_the_papers_down_sampling_has_the_published_number_of_parameters(depth, expected):
    with torch.device("meta"):
        network = build_network("resunet_a_multitask", 3, 1, 2, {"depth": depth, "down_size": 1})
    assert parameters(network) == expected


def test_the_convolutions_of_the_3d_unet_have_the_number_of_parameters_that_its_paper_states():
    network = on_paper("unet3d_cicek", 3, 3)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
    assert sum(parameters(m) for m in convolutions) == 19_069_955


@pytest.mark.parametrize(
    ("name", "tensors"), [("u2net", 798), ("u2netp", 798), ("resunet_plus_plus", 281), ("unet_brain", 118)]
)
def test_state_dicts_have_as_many_tensors_as_the_authors(name, tensors):
    assert len(on_paper(name, 3, 1).state_dict()) == tensors


def test_the_state_dict_of_u2net_begins_and_ends_in_the_authors_order():
    shapes = [tuple(v.shape) for k, v in on_paper("u2net", 3, 1).state_dict().items() if v.ndim == 4]
    # Stage 1 from the input on: its entry, seven convolutions down, six up; at the end six sides and their fusion.
    assert shapes[:3] == [(64, 3, 3, 3), (32, 64, 3, 3), (32, 32, 3, 3)]
    assert shapes[8:10] == [(32, 64, 3, 3), (32, 64, 3, 3)]
    assert shapes[13:15] == [(64, 64, 3, 3), (128, 64, 3, 3)]
    assert [s[1] for s in shapes[-7:]] == [64, 64, 128, 256, 512, 512, 6]


def test_every_architecture_has_a_configuration_and_every_configuration_counts_in_both_dims():
    assert {c.architecture for c in CONFIGURATIONS.values()} == set(ARCHITECTURES)
    for name in CONFIGURATIONS:
        assert count_parameters(name, 4, 3, 3) > count_parameters(name, 4, 3, 2)


def test_unknown_configurations_and_depths_are_refused():
    with pytest.raises(CheckpointError, match="u2netp"):
        build_configuration("u3net", 4, 3)
    with pytest.raises(CheckpointError, match="depth=5"):
        build_network("resunet_a", 4, 3, 2, {"depth": 5})
