"""Training that is killed goes on to the weights of training that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from galaxalign.align.checkpoint import load_checkpoint
from galaxalign.align.state import StateFile
from tests.align.small import recipe, train_shared
from tests.conftest import ROOT

LONG = {
    "stages": {"shared": {"epochs": 12}},
    "optimizer": {"average": 0.9, "layer_decay": 0.8},
    "dropout": 0.1,
    "batch_size": 4,
    "patience": 11,
}
TRAIN = """
import json, sys
from pathlib import Path
import galaxalign.align.training as training
from galaxalign.align.backbones import declare_torchvision
declare_torchvision()
import open_clip
from tests.align.small import recipe, train_shared
training.INTERVAL = 0.0
open_clip.add_model_config(Path(sys.argv[1]))
train_shared((Path(sys.argv[2]), Path(sys.argv[3])), Path(sys.argv[4]), recipe(**json.loads(sys.argv[5])))
"""


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory) -> Path:
    """Uninterrupted training."""
    return train_shared(inputs, tmp_path_factory.mktemp("whole"), recipe(**LONG))


def killed(command: list[str], state: Path, at: int) -> None:
    """Run a command, and kill -9 it once it has saved its state so many times."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    seen: set[int] = set()
    deadline = time.monotonic() + 120
    while len(seen) < at and process.poll() is None and time.monotonic() < deadline:
        if state.exists():
            seen.add(state.stat().st_mtime_ns)
        time.sleep(0.002)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_training_ends_with_the_very_weights(inputs, whole, tiny, tmp_path):
    command = [sys.executable, "-c", TRAIN, tiny, *inputs, tmp_path, json.dumps(LONG)]
    state = tmp_path / "shared.shared.state"
    for at in (3, 4):
        killed([str(part) for part in command], state, at)
        assert not (tmp_path / "shared.pt").exists()
    reached = torch.load(state, weights_only=True)["state"]["done"]
    assert 0 < reached < 48
    model = train_shared(inputs, tmp_path, recipe(**LONG))
    assert not state.exists()
    expected, found = (torch.load(path, weights_only=True)["weights"] for path in (whole, model))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    tables = [
        pd.read_csv(path.with_name(name), sep="\t").drop(columns=["seconds"], errors="ignore")
        for path in (whole, model)
        for name in ("shared_steps.tsv",)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_a_state_of_another_recipe_is_refused_with_a_sentence(inputs, tmp_path, caplog):
    folder = tmp_path / "run"
    folder.mkdir()
    StateFile(folder / "shared.shared.state", "otherrecipe").save({"done": 1})
    train_shared(inputs, folder, recipe())
    assert "is the state of another recipe, code or input: it is not used" in caplog.text
    assert not (folder / "shared.shared.state").exists()
    (folder / "shared.shared.state").write_bytes(b"half a fi")
    train_shared(inputs, folder, recipe())
    assert "shared.shared.state cannot be read" in caplog.text


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(inputs, tmp_path):
    from galaxalign.errors import GalaxAlignError

    stages = {"shared": {"learning_rate": {"tower": 1e18, "new": 1e18}, "epochs": 8}}
    with pytest.raises(GalaxAlignError, match=r"step \d+ of stage shared, with learning rates .*lower stages"):
        train_shared(inputs, tmp_path, recipe(stages=stages))
    state = tmp_path / "shared.shared.state"
    if state.exists():
        kept = torch.load(state, weights_only=True)["state"]["model"]
        assert all(torch.isfinite(value).all() for value in kept.values())
    assert not (tmp_path / "shared.pt").exists()


def test_patience_keeps_the_best_epoch_and_the_average_is_what_is_kept(whole):
    epochs = pd.read_csv(whole.with_name("shared.tsv"), sep="\t")
    assert epochs["validation_macro_f1"].notna().all()
    assert load_checkpoint(whole).recipe.patience == 11
