from galaxalign.data.sources import DOWNLOADED, input_files


rule simulated_survey:
    """Render a survey that does not exist, as FITS cutouts with a catalogue."""
    input:
        sheet=sheet_of,
        tree=tree_of,
    output:
        images=directory("<results>/{dataset}/raw/images"),
        catalog="<results>/{dataset}/raw/catalog.csv",
    log:
        "<logs>/simulated_survey/{dataset}.log",
    benchmark:
        "<benchmarks>/simulated_survey/{dataset}.tsv"
    threads: 1
    params:
        settings=lambda wildcards: dataset_of(wildcards)["source"]["simulated"],
        files=lambda wildcards: [
            content_mark(Path(file)) for file in classes_of(wildcards)
        ],
        code=code("data.survey"),
    script:
        "../scripts/data_survey.py"


rule download:
    """Fetch Galaxy10 DECaLS, verified, and continued where a transfer broke off."""
    output:
        file=f"<results>/{{dataset}}/raw/{DOWNLOADED}",
    log:
        "<logs>/download/{dataset}.log",
    resources:
        runtime="6h",
    params:
        settings=lambda wildcards: dataset_of(wildcards)["source"]["galaxy10"],
    script:
        "../scripts/data_download.py"


rule fingerprints:
    """Fingerprints of all pictures, by which the manifest finds those of the same sky."""
    input:
        files=inputs_of,
        pictures=pictures_of,
        sheet=sheet_of,
        tree=tree_of,
    output:
        fingerprints="<results>/{dataset}/fingerprints.parquet",
    log:
        "<logs>/fingerprints/{dataset}.log",
    benchmark:
        "<benchmarks>/fingerprints/{dataset}.tsv"
    threads: 4
    params:
        source=lambda wildcards: dataset_of(wildcards)["source"],
        settings=lambda wildcards: {
            key: value
            for key, value in dataset_of(wildcards)["data"].items()
            if key not in {"split", "max_rejected", "shard_size"}
        },
        files=marks_of,
        code=code("data.fingerprints"),
    script:
        "../scripts/data_fingerprints.py"


rule tiles:
    """Where every survey tile lies on the sky, from its header alone."""
    output:
        index=f"<results>/{{dataset}}/raw/{TILES}",
    log:
        "<logs>/tiles/{dataset}.log",
    params:
        pattern=lambda wildcards: dataset_of(wildcards)["source"]["tiles"]["tiles"],
        bands=bands_of,
        layout=lambda wildcards: dataset_of(wildcards)["data"]["fits"],
        files=tile_files_of,
        code=code("data.tiles"),
    script:
        "../scripts/data_tiles.py"


rule fetch:
    """Fetch a cutout of every galaxy from the service, those in the cache excepted."""
    input:
        catalogue=lambda wildcards: dataset_of(wildcards)["source"]["legacy_survey"][
            "path"
        ],
    output:
        cutouts=directory(f"<results>/{{dataset}}/raw/{CUTOUTS}"),
        failures=f"<results>/{{dataset}}/raw/{FAILURES}",
    log:
        "<logs>/fetch/{dataset}.log",
    resources:
        runtime="24h",
        # One data set at a time, so that the service is not asked faster than the configuration says.
        services=1,
    params:
        settings=lambda wildcards: dataset_of(wildcards)["source"]["legacy_survey"],
        max_rejected=lambda wildcards: dataset_of(wildcards)["data"]["max_rejected"],
    script:
        "../scripts/data_cutouts.py"


checkpoint manifest:
    """What is known of every galaxy before an image is read: label, sky group, split, missing files."""
    input:
        files=inputs_of,
        sheet=sheet_of,
        tree=tree_of,
        fingerprints=fingerprints_of,
    output:
        manifest="<results>/{dataset}/manifest.parquet",
    log:
        "<logs>/manifest/{dataset}.log",
    params:
        source=lambda wildcards: dataset_of(wildcards)["source"],
        split=lambda wildcards: dataset_of(wildcards)["data"]["split"],
        bands=bands_of,
        max_rejected=lambda wildcards: dataset_of(wildcards)["data"]["max_rejected"],
        files=marks_of,
        code=code("data.manifest"),
    script:
        "../scripts/data_manifest.py"


rule shard:
    """Read the images of some galaxies of a data set that has too many for one file; flag the bad ones."""
    input:
        manifest=rules.manifest.output.manifest,
        pictures=pictures_of,
    output:
        shard="<results>/{dataset}/shards/{shard}.h5",
    log:
        "<logs>/shard/{dataset}/{shard}.log",
    benchmark:
        "<benchmarks>/shard/{dataset}/{shard}.tsv"
    threads: 4
    params:
        settings=picture_settings_of,
        max_blank=lambda wildcards: dataset_of(wildcards)["data"]["max_blank"],
        shard_size=lambda wildcards: dataset_of(wildcards)["data"]["shard_size"],
        code=code("data.shards"),
    script:
        "../scripts/data_shard.py"


rule images:
    """Read every image, of whatever kind, into one store of pictures, or join its shards; flag the bad ones."""
    input:
        manifest=rules.manifest.output.manifest,
        shards=shards_of("<results>/{dataset}/shards/{shard}.h5"),
        pictures=pictures_of,
        sheet=sheet_of,
        tree=tree_of,
    output:
        images="<results>/{dataset}/images.h5",
        rejects="<results>/{dataset}/rejects.tsv",
    log:
        "<logs>/images/{dataset}.log",
    benchmark:
        "<benchmarks>/images/{dataset}.tsv"
    threads: 4
    params:
        settings=picture_settings_of,
        max_blank=lambda wildcards: dataset_of(wildcards)["data"]["max_blank"],
        max_rejected=lambda wildcards: dataset_of(wildcards)["data"]["max_rejected"],
        code=code("data.building"),
    script:
        "../scripts/data_images.py"


rule labels:
    """How many galaxies each class got, how many none, and where the rules of classes conflict."""
    input:
        manifest=rules.manifest.output.manifest,
        images=rules.images.output.images,
    output:
        table=report(
            "<results>/tables/{dataset}/labels.tsv",
            caption="../report/labels_table.rst",
            category="Tables",
            labels={"table": "Labels, {dataset}"},
        ),
    log:
        "<logs>/labels/{dataset}.log",
    params:
        code=code("data.labels"),
    script:
        "../scripts/data_labels.py"


rule leaks:
    """The pairs of galaxies in different splits that are most alike."""
    input:
        images=rules.images.output.images,
    output:
        table=report(
            "<results>/tables/{dataset}/leaks.tsv",
            caption="../report/leaks_table.rst",
            category="Tables",
            labels={"table": "Leaks, {dataset}"},
        ),
    log:
        "<logs>/leaks/{dataset}.log",
    benchmark:
        "<benchmarks>/leaks/{dataset}.tsv"
    params:
        split=lambda wildcards: {
            key: dataset_of(wildcards)["data"]["split"][key]
            for key in ("radius", "seed")
        },
        code=code("data.leaks"),
    script:
        "../scripts/data_leaks.py"
