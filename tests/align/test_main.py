"""`python -m galaxalign.align` and `python -m benchmarks.few_labels` on a machine without Snakemake."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from galaxalign.align.checkpoint import load_checkpoint
from tests.conftest import ROOT

OVERLAY = {
    "datasets": {"noise": {"morphology": "galaxymnist", "source": {"galaxy10": {"path": "$NO_SUCH_FOLDER/a.h5"}}}},
    "recipe": {
        "backbone": {"name": "timm/test_efficientnet", "pretrained": "none", "size": 32},
        "batch_size": 8,
    },
    "runs": {
        "image_only": {"stages": {"shared": {"epochs": 1}}},
        "matched": {"living": {"share": 0.5}, "start": "image_only"},
    },
}
# Importing what is None fails, as importing what is not installed does.
ALONE = "import runpy, sys; sys.modules['snakemake'] = None; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
ONE = (sys.executable, "-c", ALONE)
# What `torchrun` is, at a port that is free.
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--")


@pytest.fixture
def folder(inputs, tmp_path) -> Path:
    """Where a user would start: the configuration, an overlay, and the stores of a data set."""
    for name in ("config", "workflow"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(OVERLAY))
    stores = tmp_path / "results/noise"
    stores.mkdir(parents=True)
    for path in inputs:
        (stores / path.name).symlink_to(path)
    return tmp_path


def align(
    folder: Path, *words: str, module: str = "galaxalign.align", start: tuple[str, ...] = ONE
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*start, module, *words, "--configfile", "mine.yaml"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_run_is_trained_without_snakemake_and_leaves_the_files_of_the_workflow(folder):
    done = align(folder, "--dataset", "noise", "--run", "image_only")
    assert done.returncode == 0, done.stderr
    promised = re.findall(r'"<results>/\{dataset\}/\{run\}/(\S+)"', (ROOT / "workflow/rules/align.smk").read_text())
    made = sorted(path.name for path in (folder / "results/noise/image_only").iterdir())
    assert made == sorted(promised)
    model = load_checkpoint(folder / "results/noise/image_only/model.pt")
    assert (model.stage, model.dataset, model.recipe.backbone.name) == ("symbol", "noise", "timm/test_efficientnet")
    assert list(load_checkpoint(folder / "results/noise/image_only/shared.pt").recipe.stages) == ["shared"]


def test_what_is_missing_is_named_with_the_command_that_makes_it(folder):
    (folder / "results/noise/symbols.h5").unlink()
    done = align(folder, "--dataset", "noise", "--run", "matched")
    assert done.returncode == 1
    assert (
        "snakemake --cores all results/noise/symbols.h5 results/noise/look.json results/noise/image_only/model.pt "
        "--configfile mine.yaml" in done.stderr
    )


def test_a_wrong_name_is_told_before_anything_is_read(folder):
    done = align(folder, "--dataset", "nose", "--run", "galaxalign")
    assert done.returncode == 1
    assert "did you mean 'noise'?" in done.stderr


def test_sweeps_are_run_without_snakemake_and_what_is_there_is_left(folder):
    sweep = {"runs": ["image_only"], "over": "none", "labels_per_class": [2, "all"], "seeds": [0], "changes": {}}
    active = {"datasets": ["noise"], "runs": ["image_only"]}
    evaluate = {"split": "validation", "bootstrap": 100}
    overlay = OVERLAY | {"sweeps": [sweep], "active": active, "evaluate": evaluate, "figures": {"run": "image_only"}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(overlay))
    for _ in range(2):
        done = align(folder, "--results", "results", module="benchmarks.few_labels")
        assert done.returncode == 0, done.stderr
    assert "galaxies to train on" not in done.stderr
    table = pd.read_csv(folder / "results/tables/noise/few_labels.tsv", sep="\t")
    assert table["trained_on"].tolist() == [8, 16]
    assert table["n"].tolist() == [4, 4]


def test_what_is_made_is_not_made_again_and_what_is_broken_off_goes_on(folder):
    """A stage 2 that is killed goes on where it was, and stage 1 stays as it is."""
    longer = OVERLAY | {"runs": {"galaxalign": {"stages": {"shared": {"epochs": 1}, "symbol": {"epochs": 60}}}}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(longer))
    words = ("--dataset", "noise", "--run", "galaxalign")
    run = folder / "results/noise/galaxalign"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "galaxalign.align", *words, "--configfile", "mine.yaml"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        while not (run / "model.symbol.state").exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        process.kill()
    assert not (run / "model.pt").exists()
    first = (run / "shared.pt").stat().st_mtime_ns
    said = align(folder, *words).stderr
    assert "stage 1 is not trained again" in said
    assert re.search(r"stage symbol goes on after step \d+", said)
    assert (run / "shared.pt").stat().st_mtime_ns == first
    assert "nothing is left to do" in align(folder, *words).stderr
    # Another recipe of stage 2 trains that stage alone.
    longer["runs"]["galaxalign"]["stages"]["symbol"]["epochs"] = 1
    (folder / "mine.yaml").write_text(yaml.safe_dump(longer))
    said = align(folder, *words).stderr
    assert "stage 1 is not trained again" in said
    assert "nothing is left to do" not in said
    assert len(pd.read_csv(run / "model.tsv", sep="\t")) == 1


def test_two_processes_of_torchrun_train_as_one_does_in_two_parts(folder):
    words, run = ("--dataset", "noise", "--run", "galaxalign"), folder / "results/noise/galaxalign"
    both = OVERLAY | {"runs": {"galaxalign": {"stages": {"shared": {"epochs": 1}, "symbol": {"epochs": 1}}}}}
    losses = []
    for start, accumulate in ((TWO, 1), (ONE, 2)):
        recipe = OVERLAY["recipe"] | {"accumulate": accumulate}
        (folder / "mine.yaml").write_text(yaml.safe_dump(both | {"recipe": recipe}))
        done = align(folder, *words, start=start)
        assert done.returncode == 0, done.stderr
        steps = [pd.read_csv(run / f"{name}_steps.tsv", sep="\t") for name in ("shared", "model")]
        losses.append(pd.concat(steps)["loss"].to_numpy())
        assert load_checkpoint(run / "model.pt").recipe.accumulate == accumulate
        assert not list(run.glob("*.state*"))
    assert {path.name for path in (folder / "results/logs/align").iterdir()} >= {
        "noise.galaxalign.0.log",
        "noise.galaxalign.1.log",
    }
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
