"""What the README shows is what the workflow is."""

import re

from tests.conftest import ROOT
from tests.workflow.conftest import snakemake


def test_rule_graph_of_the_readme_is_that_of_the_workflow(workflow):
    done = snakemake(workflow("graph"), "--rulegraph", "mermaid-js")
    names = dict(re.findall(r"^\tid(\d+)\[(\w+)\]", done.stdout, re.MULTILINE))
    edges = {(names[a], names[b]) for a, b in re.findall(r"^\tid(\d+) --> id(\d+)", done.stdout, re.MULTILINE)}
    block = (ROOT / "README.md").read_text().partition("```mermaid")[2].partition("```")[0]
    shown = set(re.findall(r"^    (\w+) --> (\w+)$", block, re.MULTILINE))
    assert edges
    assert shown == edges, "update the graph in README.md: snakemake --rulegraph mermaid-js"
