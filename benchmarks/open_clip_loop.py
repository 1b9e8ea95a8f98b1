"""open_clip's own training program with the library's default towers: `benchmarks.loops` starts it.

Takes the arguments of `python -m open_clip_train.main`; the model `galaxalign` is described here.
"""

import importlib.util
import json
import runpy
import sys
import tempfile
from pathlib import Path

from galaxalign.align.backbones import declare_torchvision
from galaxalign.align.embedded import TEXT_MODULE
from galaxalign.align.names import IMAGE_TOWERS

SIZE = 112
# Tokens of a text, as many as the library reads.
TOKENS = 64
# Numbers in an embedding of the image tower.
WIDTH = 1280


def description() -> dict[str, object]:
    """lite0-minilm as a model configuration of open_clip; image weights are random, which is as fast."""
    found = importlib.util.find_spec(TEXT_MODULE)
    assert found is not None and found.origin is not None
    text = str(Path(found.origin).parent / "model")
    return {
        "embed_dim": WIDTH,
        "vision_cfg": {
            "timm_model_name": IMAGE_TOWERS["lite0-minilm"].tower,
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "none",
            "image_size": SIZE,
        },
        "text_cfg": {
            "hf_model_name": text,
            "hf_tokenizer_name": text,
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
            "context_length": TOKENS,
        },
    }


def main() -> None:
    """Describe the model and hand over."""
    declare_torchvision()
    import open_clip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxalign.json"
        path.write_text(json.dumps(description()))
        open_clip.add_model_config(path)
    sys.argv[0] = "open_clip_train.main"
    runpy.run_module("open_clip_train.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
