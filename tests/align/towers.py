"""Models of open_clip's own kinds, small enough to be built at once, and the way to build any by name."""

from galaxalign.align.backbones import Backbone, BackboneSettings, build_backbone

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
MODELS = {
    "small-vit": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": TEXT,
    },
    "small-resnet": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": TEXT,
    },
    "small-convnext": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "timm_model_name": "test_convnext",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
        },
        "text_cfg": TEXT,
    },
    "unequal": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 32,
            "timm_model_name": "test_convnext",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "none",
        },
        "text_cfg": TEXT,
        "custom_text": True,
    },
}


def build(name: str, pretrained: str = "none", size: int = 32, symbol_scale: float = 1.0, **how: bool) -> Backbone:
    """A backbone, with its text tower unless told otherwise."""
    settings = BackboneSettings(name=name, pretrained=pretrained, size=size, symbol_scale=symbol_scale)
    return build_backbone(settings, **({"with_text": True} | how))
