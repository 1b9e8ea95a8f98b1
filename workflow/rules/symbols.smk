rule symbols:
    """Draw the symbols of a data set's class sheet and their variants."""
    input:
        sheet=sheet_of,
        tree=tree_of,
    output:
        symbols="<results>/{dataset}/symbols.h5",
        drawings=directory("<results>/{dataset}/symbols"),
    log:
        "<logs>/symbols/{dataset}.log",
    benchmark:
        "<benchmarks>/symbols/{dataset}.tsv"
    resources:
        mem="2GB",
        runtime="30m",
    params:
        symbols=config["symbols"],
        size=lambda wildcards: dataset_of(wildcards)["data"]["size"],
        files=lambda wildcards: [
            content_mark(Path(file)) for file in classes_of(wildcards)
        ],
        code=code("symbols.store"),
    script:
        "../scripts/symbols_draw.py"


rule look:
    """Measure what the survey's pictures look like, without a label, so that rendered galaxies match it."""
    input:
        images=rules.images.output.images,
    output:
        look="<results>/{dataset}/look.json",
    log:
        "<logs>/look/{dataset}.log",
    benchmark:
        "<benchmarks>/look/{dataset}.tsv"
    resources:
        mem="2GB",
        runtime="30m",
    params:
        code=code("symbols.matching"),
    script:
        "../scripts/symbols_look.py"
