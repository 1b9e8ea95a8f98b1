"""What sweeps and files of weights add to the workflow, by dry-runs."""

import re

import pytest

from tests.workflow.conftest import snakemake, write_overlay

SWEEP = {
    "runs": ["image_only", "galaxalign"],
    "over": "image_only",
    "labels_per_class": [10, "all"],
    "seeds": [0, 1],
    "changes": {},
}


@pytest.mark.parametrize(("sweeps", "members"), [([SWEEP], 8), ([], 0)])
def test_members_are_trained_and_compared_only_where_there_is_a_sweep(workflow, tmp_path, sweeps, members):
    overlay = write_overlay(tmp_path / "overlay.yaml", {"sweeps": sweeps})
    done = snakemake(workflow("sweep"), "-n", "--configfile", "config/config.yaml", str(overlay))
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)}
    # The three active runs, and only they have metrics of their own.
    assert jobs["align_symbol"] == jobs["embeddings"] == 3 + members
    assert jobs["metrics"] == 3
    assert jobs.get("sweep", 0) == jobs.get("figure_few_labels", 0) == bool(members)


def test_a_file_of_weights_is_what_stage_1_is_made_from(workflow, tmp_path):
    weights = tmp_path / "tower.pt"
    weights.touch()
    backbone = {"name": "timm/test_efficientnet", "pretrained": str(weights), "size": 32}
    overlay = write_overlay(tmp_path / "overlay.yaml", {"runs": {"mine": {"backbone": backbone}}})
    target = "results/simulated/mine/shared.pt"
    done = snakemake(workflow("weights"), "-n", target, "--configfile", "config/config.yaml", str(overlay))
    assert done.returncode == 0, done.stdout[-3000:]
    for rule in ("align_shared", "towers"):
        (inputs,) = re.findall(rf"^rule {rule}:\n +input: (.*)$", done.stdout, re.MULTILINE)
        assert str(weights) in inputs
