"""What a sweep adds to the workflow, by dry-runs."""

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
