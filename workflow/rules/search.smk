rule shard_for_predictions:
    """The pictures of some galaxies of a data set that has too many for one file."""
    input:
        model=config["predictions"]["model"],
        manifest=rules.manifest.output.manifest,
        pictures=pictures_of,
    output:
        shard="<results>/predictions/{dataset}/shards/{shard}.h5",
    log:
        "<logs>/shard_for_predictions/{dataset}/{shard}.log",
    benchmark:
        "<benchmarks>/shard_for_predictions/{dataset}/{shard}.tsv"
    threads: 4
    params:
        settings=picture_settings_of,
        max_blank=lambda wildcards: dataset_of(wildcards)["data"]["max_blank"],
        shard_size=lambda wildcards: dataset_of(wildcards)["data"]["shard_size"],
        model=mark_of_brought(config["predictions"]["model"]),
        code=code("data.shards"),
    script:
        "../scripts/search_shard.py"


rule images_for_predictions:
    """The pictures of a data set, made as those that the model was trained on."""
    input:
        model=config["predictions"]["model"],
        manifest=rules.manifest.output.manifest,
        shards=shards_of("<results>/predictions/{dataset}/shards/{shard}.h5"),
        pictures=pictures_of,
        sheet=sheet_of,
    output:
        images="<results>/predictions/{dataset}/images.h5",
        rejects="<results>/predictions/{dataset}/rejects.tsv",
    log:
        "<logs>/images_for_predictions/{dataset}.log",
    benchmark:
        "<benchmarks>/images_for_predictions/{dataset}.tsv"
    threads: 4
    params:
        settings=picture_settings_of,
        max_blank=lambda wildcards: dataset_of(wildcards)["data"]["max_blank"],
        max_rejected=lambda wildcards: dataset_of(wildcards)["data"]["max_rejected"],
        model=mark_of_brought(config["predictions"]["model"]),
        code=code("data.building"),
    script:
        "../scripts/search_images.py"


rule embeddings_for_predictions:
    """The galaxies of a data set as a model sees them."""
    input:
        model=config["predictions"]["model"],
        images=rules.images_for_predictions.output.images,
    output:
        embeddings="<results>/predictions/{dataset}/embeddings.h5",
    log:
        "<logs>/embeddings_for_predictions/{dataset}.log",
    benchmark:
        "<benchmarks>/embeddings_for_predictions/{dataset}.tsv"
    threads: 8
    resources:
        gpu=1,
        mem="8GB",
        runtime="8h",
    params:
        model=mark_of_brought(config["predictions"]["model"]),
        code=code("embed.embedding"),
    script:
        "../scripts/search_embed.py"


rule predictions_of:
    """Probability of each class for every galaxy of a data set."""
    input:
        model=config["predictions"]["model"],
        images=rules.images_for_predictions.output.images,
        embeddings=rules.embeddings_for_predictions.output.embeddings,
    output:
        parquet="<results>/predictions/{dataset}/predictions.parquet",
        csv="<results>/predictions/{dataset}/predictions.csv",
    log:
        "<logs>/predictions_of/{dataset}.log",
    # The columns of 10^7 galaxies take 2 GB, a block of them 0.4 GB, the libraries and a small model 0.6 GB.
    resources:
        mem="8GB",
        runtime="4h",
    params:
        model=mark_of_brought(config["predictions"]["model"]),
        code=code("search.prediction"),
    script:
        "../scripts/search_predict.py"


rule predictions:
    """Apply a model to every data set of `predictions.datasets`."""
    input:
        collect(
            "<results>/predictions/{dataset}/predictions.parquet",
            dataset=config["predictions"]["datasets"],
        ),
    localrule: True


use rule shard_for_predictions as shard_for_search with:
    input:
        model=config["similar"]["model"],
        manifest=rules.manifest.output.manifest,
        pictures=pictures_of,
    output:
        shard="<results>/similar/{dataset}/shards/{shard}.h5",
    log:
        "<logs>/shard_for_search/{dataset}/{shard}.log",
    benchmark:
        "<benchmarks>/shard_for_search/{dataset}/{shard}.tsv"
    params:
        model=mark_of_brought(config["similar"]["model"]),


use rule images_for_predictions as images_for_search with:
    input:
        model=config["similar"]["model"],
        manifest=rules.manifest.output.manifest,
        shards=shards_of("<results>/similar/{dataset}/shards/{shard}.h5"),
        pictures=pictures_of,
        sheet=sheet_of,
    output:
        images="<results>/similar/{dataset}/images.h5",
        rejects="<results>/similar/{dataset}/rejects.tsv",
    log:
        "<logs>/images_for_search/{dataset}.log",
    benchmark:
        "<benchmarks>/images_for_search/{dataset}.tsv"
    params:
        model=mark_of_brought(config["similar"]["model"]),


use rule embeddings_for_predictions as embeddings_for_search with:
    input:
        model=config["similar"]["model"],
        images=rules.images_for_search.output.images,
    output:
        embeddings="<results>/similar/{dataset}/embeddings.h5",
    log:
        "<logs>/embeddings_for_search/{dataset}.log",
    benchmark:
        "<benchmarks>/embeddings_for_search/{dataset}.tsv"
    params:
        model=mark_of_brought(config["similar"]["model"]),


rule similar_table:
    """The nearest galaxies to each query."""
    input:
        model=config["similar"]["model"],
        images=rules.images_for_search.output.images,
        embeddings=rules.embeddings_for_search.output.embeddings,
    output:
        table=report(
            "<results>/similar/{dataset}/similar.tsv",
            caption="../report/similar.rst",
            category="Search",
            labels={"table": "Nearest galaxies"},
        ),
    log:
        "<logs>/similar_table/{dataset}.log",
    resources:
        mem="8GB",
        runtime="4h",
    params:
        queries=lambda wildcards: {
            key: config["similar"][key] for key in ("galaxies", "symbols", "texts")
        },
        nearest=config["similar"]["nearest"],
        model=mark_of_brought(config["similar"]["model"]),
        code=code("search.similarity"),
    script:
        "../scripts/search_similar.py"


rule similar:
    """Find the galaxies of `similar.dataset` that are nearest to its queries."""
    input:
        expand(
            "<results>/similar/{dataset}/similar.{kind}",
            dataset=config["similar"]["dataset"],
            kind=["tsv", "png", "pdf"],
        ),
    localrule: True
