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

from galaxalign.align.backbones import build_backbone
from galaxalign.align.history import History
from galaxalign.align.inputs import read_inputs
from galaxalign.align.model import TriModalModel
from galaxalign.align.state import StateFile
from galaxalign.align.training import StageTrainer
from galaxalign.errors import GalaxAlignError
from tests.align.small import recipe, source, train_shared, train_symbol
from tests.conftest import ROOT

LONG = {
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
from tests.align.small import recipe, train_shared, train_symbol
training.INTERVAL = 0.0
open_clip.add_model_config(Path(sys.argv[1]))
inputs, folder, chosen = (Path(sys.argv[2]), Path(sys.argv[3])), Path(sys.argv[4]), recipe(**json.loads(sys.argv[5]))
if sys.argv[6:]:
    train_symbol(inputs, folder, chosen, Path(sys.argv[6]))
else:
    train_shared(inputs, folder, chosen)
"""


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


@pytest.mark.parametrize("stage", ["shared", "symbol"])
def test_killed_training_ends_with_the_very_weights(stage, inputs, tiny, tmp_path):
    """Of either stage."""
    settings = LONG | {"classifier": "symbol", "stages": {"shared": {"epochs": 1}} | {stage: {"epochs": 12}}}
    chosen, folder = recipe(**settings), tmp_path / "killed"
    first = [train_shared(inputs, tmp_path / "first", chosen)] if stage == "symbol" else []
    train_stage = train_symbol if first else train_shared
    whole = train_stage(inputs, tmp_path / "whole", chosen, *first)
    command = [sys.executable, "-c", TRAIN, tiny, *inputs, folder, json.dumps(settings), *first]
    state = folder / f"{whole.stem}.{stage}.state"
    for at in (3, 4):
        killed([str(part) for part in command], state, at)
        assert not (folder / whole.name).exists()
    reached = torch.load(state, weights_only=True)["state"]["done"]
    assert 0 < reached < 48
    model = train_stage(inputs, folder, chosen, *first)
    assert not state.exists()
    expected, found = (torch.load(path, weights_only=True)["weights"] for path in (whole, model))
    assert set(expected) == set(found)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    tables = [
        pd.read_csv(path.with_name(f"{path.stem}_steps.tsv"), sep="\t").drop(columns="seconds")
        for path in (whole, model)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_a_state_of_another_recipe_is_refused_with_a_sentence(inputs, tmp_path, caplog):
    folder = tmp_path / "run"
    folder.mkdir()
    StateFile(folder / "shared.shared.state", "otherrecipe").save({"done": 1})
    train_shared(inputs, folder, recipe())
    assert "is the state of another recipe, code or input: it is not used" in caplog.text
    assert not list(folder.glob("*.state*"))
    (folder / "shared.shared.state").write_bytes(b"half a fi")
    train_shared(inputs, folder, recipe())
    assert "shared.shared.state cannot be read" in caplog.text


@pytest.mark.parametrize(("last", "good"), [(8, 8), (7, 4), (3, 0)])
def test_a_loss_that_is_not_finite_keeps_the_last_good_state(last, good, inputs, tmp_path, monkeypatch):
    """That of the last epoch, of four steps, after which the weights still gave a finite loss."""
    import galaxalign.align.training as training

    def exploding(step, steps, warmup):
        return 1.0 if step < last else 1e30

    monkeypatch.setattr(training, "learning_rate_share", exploding)
    kept = "; the last good state is in" if good else "learning_rate$"
    stages = {"shared": {"epochs": 8}}
    with pytest.raises(GalaxAlignError, match=rf"step {last + 2} of stage shared, with learning rates .*{kept}"):
        train_shared(inputs, tmp_path, recipe(stages=stages, batch_size=4))
    assert not (tmp_path / "shared.pt").exists()
    states = list(tmp_path.glob("*.state*"))
    assert [path.name for path in states] == ["shared.shared.state"] * bool(good)
    for path in states:
        state = torch.load(path, weights_only=True)["state"]
        assert state["done"] == good
        assert all(value.abs().max() < 1e3 for value in state["model"].values())


def trainer_of(inputs, **changes) -> StageTrainer:
    """A trainer of stage 1 that has not begun."""
    chosen = recipe(**changes)
    torch.manual_seed(0)
    model = TriModalModel(build_backbone(chosen.backbone, with_text=True), temperature=0.07, dropout=0.0)
    material = read_inputs(source(inputs), chosen).material
    return StageTrainer(model, name="shared", recipe=chosen, material=material, history=History(), state=None)


def weights_after_each_epoch(trainer: StageTrainer) -> list[dict[str, torch.Tensor]]:
    """Train to the end; the weights as they were judged after each epoch."""
    judged: list[dict[str, torch.Tensor]] = []
    end = trainer._end_epoch

    def note(*arguments) -> None:
        average = trainer.average
        if average is not None:
            average.exchange(trainer.model)
        judged.append({name: value.clone() for name, value in trainer.model.state_dict().items()})
        if average is not None:
            average.exchange(trainer.model)
        end(*arguments)

    trainer._end_epoch = note
    trainer.run()
    return judged


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_with_patience_the_best_epoch_is_kept_and_training_stops_early(inputs, average, monkeypatch):
    import galaxalign.align.training as training

    scores = iter([0.2, 0.6, 0.5, 0.6, 0.1, 0.9, 0.9, 0.9])
    monkeypatch.setattr(training, "validate", lambda *_: {"validation_macro_f1": next(scores)})
    trainer = trainer_of(inputs, patience=3, optimizer={"average": average}, stages={"shared": {"epochs": 8}})
    judged = weights_after_each_epoch(trainer)
    # Epoch 2 is best, equalled but not beaten in the three after it.
    assert len(judged) == 5
    kept = trainer.model.state_dict()
    assert all(torch.equal(kept[name], judged[1][name]) for name in kept)
    assert not torch.equal(kept["image.conv1.weight"], judged[4]["image.conv1.weight"])


def test_without_patience_the_last_average_is_kept(inputs):
    trainer = trainer_of(inputs, optimizer={"average": 0.9}, stages={"shared": {"epochs": 2}})
    judged = weights_after_each_epoch(trainer)
    kept = trainer.model.state_dict()
    assert all(torch.equal(kept[name], judged[-1][name]) for name in kept)
    assert not torch.equal(kept["image.conv1.weight"], trainer.average.weights["image.conv1.weight"])
