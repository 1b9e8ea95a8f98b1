rule towers:
    """Build the towers that a run asks for, before a picture is read: what does not fit is told at once."""
    input:
        weights=lambda wildcards: weights_of_backbone(
            asked_towers(wildcards)["backbone"]
        ),
    output:
        facts="<results>/towers/{towers}.json",
    log:
        "<logs>/towers/{towers}.log",
    benchmark:
        "<benchmarks>/towers/{towers}.tsv"
    # First of all that could begin.
    priority: 100
    resources:
        mem="8GB",
        runtime="30m",
    params:
        asked=lambda wildcards: asked_towers(wildcards),
        weights=lambda wildcards, input: mark_of_brought(input.get("weights")),
        code=code("align.facts"),
    script:
        "../scripts/align_towers.py"


rule align_shared:
    """Stage 1: one visual tower sees galaxies and symbols."""
    input:
        images=rules.images.output.images,
        symbols=rules.symbols.output.symbols,
        look=look_of,
        start=start_of,
        weights=weights_of,
        # Made again they are the same towers.
        towers=ancient(towers_of_run),
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
