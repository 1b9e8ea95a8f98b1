rule metrics:
    """Every number of one run, with its interval."""
    input:
        embeddings=rules.embeddings.output.embeddings,
    output:
        metrics="<results>/{dataset}/{run}/metrics.json",
    log:
        "<logs>/metrics/{dataset}/{run}.log",
    benchmark:
        "<benchmarks>/metrics/{dataset}/{run}.tsv"
    resources:
        mem="4GB",
        runtime="1h",
    params:
        settings=config["evaluate"],
        code=code("evaluate.evaluation"),
    script:
        "../scripts/evaluate_run.py"


rule tables:
    """The numbers of all active runs in one table, and a summary."""
    input:
        metrics=collect(
            "<results>/{dataset}/{run}/metrics.json",
            dataset=judged_datasets(),
            run=config["active"]["runs"],
        ),
    output:
        metrics=report(
            "<results>/tables/metrics.tsv",
            caption="../report/metrics.rst",
            category="Tables",
            labels={"table": "Every number"},
        ),
        summary=report(
            "<results>/tables/summary.tsv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "Summary"},
        ),
    log:
        "<logs>/tables.log",
    localrule: True
    params:
        runs=config["active"]["runs"],
        code=code("evaluate.tables"),
    script:
        "../scripts/evaluate_tables.py"


rule sweep:
    """Runs repeated with fewer labels and other seeds: what each reaches, and its gain over another."""
    input:
        embeddings=collect(
            "<results>/{{dataset}}/{run}/embeddings.h5",
            run=[member["name"] for member in compared_runs()],
        ),
    output:
        table=report(
            "<results>/tables/{dataset}/few_labels.tsv",
            caption="../report/few_labels_table.rst",
            category="Tables",
            labels={"table": "Few labels, {dataset}"},
        ),
        seeds="<results>/tables/{dataset}/few_labels_seeds.tsv",
    log:
        "<logs>/sweep/{dataset}.log",
    benchmark:
        "<benchmarks>/sweep/{dataset}.tsv"
    resources:
        mem="4GB",
        runtime="1h",
    params:
        members=compared_runs(),
        settings=config["evaluate"],
        code=code("evaluate.sweeps"),
    script:
        "../scripts/evaluate_sweep.py"
