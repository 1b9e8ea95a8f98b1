rule align_shared:
    """Stage 1: one visual tower sees galaxies and symbols."""
    input:
        images=rules.images.output.images,
        symbols=rules.symbols.output.symbols,
        look=look_of,
        start=start_of,
        weights=weights_of,
    output:
        model="<results>/{dataset}/{run}/shared.pt",
        history="<results>/{dataset}/{run}/shared.tsv",
        steps="<results>/{dataset}/{run}/shared_steps.tsv",
    log:
        "<logs>/align_shared/{dataset}/{run}.log",
    benchmark:
        "<benchmarks>/align_shared/{dataset}/{run}.tsv"
    threads: 8
    resources:
        gpu=1,
        mem="16GB",
        runtime="12h",
    params:
        recipe=first_stage_of,
        weights=lambda wildcards: mark_of_brought(weights_of(wildcards)),
        code=code("align.stages"),
    script:
        "../scripts/align_shared.py"


rule align_symbol:
    """Stage 2: symbols get a tower of their own."""
    input:
        images=rules.images.output.images,
        symbols=rules.symbols.output.symbols,
        look=look_of,
        start=start_of,
        shared=rules.align_shared.output.model,
    output:
        model="<results>/{dataset}/{run}/model.pt",
        history="<results>/{dataset}/{run}/model.tsv",
        steps="<results>/{dataset}/{run}/model_steps.tsv",
    log:
        "<logs>/align_symbol/{dataset}/{run}.log",
    benchmark:
        "<benchmarks>/align_symbol/{dataset}/{run}.tsv"
    threads: 8
    resources:
        gpu=1,
        mem="16GB",
        runtime="12h",
    params:
        recipe=recipe_of,
        code=code("align.stages"),
    script:
        "../scripts/align_symbol.py"
