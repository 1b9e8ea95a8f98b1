"""What the SLURM profile asks of a cluster, by a dry-run."""

import re

from tests.workflow.conftest import snakemake

ON_GPU = {
    "align_shared",
    "align_symbol",
    "embeddings",
    "embeddings_for_predictions",
    "embeddings_for_search",
}


def test_training_and_embedding_alone_ask_for_a_gpu(workflow):
    folder = workflow("cluster")
    done = snakemake(folder, "-n", "--workflow-profile", "profiles/slurm", "all", "predictions", "similar")
    assert done.returncode == 0, done.stdout[-3000:]
    asked = dict(re.findall(r"^rule (\w+):.*?^ +resources: (.*?)$", done.stdout, re.MULTILINE | re.DOTALL))
    assert ON_GPU | {"images", "metrics", "simulated_survey"} <= set(asked)
    for rule, resources in asked.items():
        assert ("gpu=1" in resources) == (rule in ON_GPU), rule
        assert f"slurm_partition={'gpu' if rule in ON_GPU else 'cpu'}" in resources, rule
        assert "slurm_account=galaxies" in resources


def test_containers_are_refused_as_none_has_what_the_jobs_need(workflow):
    done = snakemake(workflow("container"), "-n", "--sdm", "apptainer")
    assert done.returncode != 0
    assert "no container has what the jobs need: leave out --sdm apptainer" in done.stdout
