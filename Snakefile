import hashlib
import json
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

from galaxalign.checking import check, check_judged, is_model_of_run
from galaxalign.data.patterns import find_tiles
from galaxalign.data.sources import CUTOUTS, DOWNLOADED, FAILURES, TILES, input_files
from galaxalign.errors import GalaxAlignError
from galaxalign.provenance import code, content_mark
from galaxalign.settings import (
    colour_bands,
    dataset_settings,
    first_stage,
    labelled,
    read_config,
    recipe_settings,
    swept_runs,
    towers_of,
    unlabelled_runs,
)

min_version("9.19")


configfile: "config/config.yaml"


try:
    # What Snakemake merged cannot tell any more whether a key stood twice.
    read_config([*workflow.overwrite_configfiles])
    config = check(config, Path("workflow/schemas/config.schema.yaml"))
except GalaxAlignError as error:
    raise WorkflowError(str(error))


report: "workflow/report/workflow.rst"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


# `snakemake --lint` wants one; none is made that has what the jobs need.
container: "docker://python:3.12-slim"


if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    raise WorkflowError(
        "no container has what the jobs need: leave out --sdm apptainer, the jobs run where make run does"
    )


wildcard_constraints:
    dataset="|".join(config["datasets"]),
    run="|".join(config["runs"]),
    shard="[0-9]+",


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/symbols.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/search.smk"


rule all:
    default_target: True
    input:
        figures_of_all,
        tables_of_all,
    localrule: True
