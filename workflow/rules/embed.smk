rule embeddings:
    """Galaxies, symbols and texts as a run's model sees them."""
    input:
        model=rules.align_symbol.output.model,
        images=rules.images.output.images,
        symbols=rules.symbols.output.symbols,
    output:
        embeddings="<results>/{dataset}/{run}/embeddings.h5",
    log:
        "<logs>/embeddings/{dataset}/{run}.log",
    benchmark:
        "<benchmarks>/embeddings/{dataset}/{run}.tsv"
    threads: 8
    resources:
        gpu=1,
        mem="8GB",
        runtime="8h",
    params:
        recipe=recipe_of,
        code=code("embed.embedding"),
    script:
        "../scripts/embed_galaxies.py"
