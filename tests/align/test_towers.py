"""Which layer each weight of a tower belongs to."""

import pytest
from torch import nn

from galaxalign.align.backbones import layer_depths
from tests.align.towers import build


@pytest.mark.parametrize(
    ("name", "part", "expected"),
    [
        (
            "lite0-minilm",
            "visual",
            {
                "trunk.conv_stem.weight": 0,
                "trunk.bn1.bias": 0,
                "trunk.blocks.0.0.conv_dw.weight": 1,
                "trunk.blocks.6.0.bn1.weight": 7,
                "trunk.conv_head.weight": 8,
                "trunk.bn2.weight": 8,
            },
        ),
        ("mobilenetv2-minilm", "visual", {"trunk.conv_stem.weight": 0, "trunk.blocks.6.0.conv_pw.weight": 7}),
        (
            "timm/test_convnext",
            "visual",
            {"stem.0.weight": 0, "stages.0.blocks.0.conv_dw.weight": 1, "stages.3.blocks.0.mlp.fc1.bias": 4},
        ),
        ("small-convnext", "visual", {"trunk.stem.1.weight": 0, "trunk.head.norm.weight": 5, "head.proj.weight": 5}),
        (
            "small-vit",
            "visual",
            {
                "class_embedding": 0,
                "positional_embedding": 0,
                "conv1.weight": 0,
                "ln_pre.weight": 0,
                "transformer.resblocks.0.ln_1.weight": 1,
                "transformer.resblocks.2.mlp.c_fc.weight": 3,
                "ln_post.weight": 4,
                "proj": 4,
            },
        ),
        (
            "small-resnet",
            "visual",
            {
                "conv1.weight": 0,
                "bn3.weight": 0,
                "layer1.0.conv1.weight": 1,
                "layer4.0.bn3.bias": 4,
                "attnpool.positional_embedding": 5,
                "attnpool.c_proj.weight": 5,
            },
        ),
        ("timm/test_vit", "visual", {"pos_embed": 0, "patch_embed.proj.weight": 0, "blocks.0.norm1.weight": 1}),
        (
            "small-vit",
            "text",
            {
                "model.token_embedding.weight": 0,
                "model.positional_embedding": 0,
                "model.transformer.resblocks.1.ln_2.weight": 2,
                "model.ln_final.weight": 3,
                "model.text_projection": 3,
            },
        ),
        (
            "lite0-minilm",
            "text",
            {
                "transformer.embeddings.word_embeddings.weight": 0,
                "transformer.encoder.layer.0.attention.self.query.weight": 1,
                "transformer.encoder.layer.5.output.dense.weight": 6,
            },
        ),
    ],
)
def test_layers_are_numbered_from_the_stem_to_the_output(name, part, expected):
    backbone = build(name, with_text=part == "text")
    tower = backbone.visual if part == "visual" else backbone.text.trunk
    depths = layer_depths(tower)
    assert set(depths) == {name for name, _ in tower.named_parameters()}
    assert {name: depths[name] for name in expected} == expected
    assert sorted(set(depths.values())) == list(range(max(depths.values()) + 1))


def test_a_tower_without_numbered_layers_is_one_layer():
    assert layer_depths(nn.Sequential(nn.Linear(2, 2))) == {"0.weight": 0, "0.bias": 0}
