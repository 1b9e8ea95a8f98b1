def dataset_of(wildcards):
    """Settings of a data set, completed from the section `data`."""
    return dataset_settings(config, wildcards.dataset)


def picture_settings_of(wildcards):
    """What of a data set's settings decides how an image becomes a picture."""
    elsewhere = {"split", "max_blank", "max_rejected", "shard_size"}
    settings = dataset_of(wildcards)["data"]
    return {key: value for key, value in settings.items() if key not in elsewhere}


def shards_of(pattern):
    """The shards of a data set, files of a pattern; none where its galaxies fit into one file.

    How many there are is known once the manifest is there, hence the checkpoint.
    """

    def shards(wildcards):
        from galaxalign.data.rows import shard_names

        manifest = checkpoints.manifest.get(dataset=wildcards.dataset).output.manifest
        size = dataset_of(wildcards)["data"]["shard_size"]
        return collect(
            pattern, dataset=wildcards.dataset, shard=shard_names(Path(manifest), size)
        )

    return shards


def sheet_of(wildcards):
    """Class sheet of a data set."""
    return (
        f"config/morphology/{config['datasets'][wildcards.dataset]['morphology']}.yaml"
    )


def tree_of(wildcards):
    """The decision tree that a data set's class sheet names."""
    sheet = yaml.safe_load(Path(sheet_of(wildcards)).read_text())
    return f"config/morphology/trees/{sheet['tree']}.yaml" if "tree" in sheet else []


def recipe_of(wildcards):
    """Complete recipe of a run."""
    return recipe_settings(config, wildcards.run)


def first_stage_of(wildcards):
    """What of a recipe decides stage 1."""
    return first_stage(recipe_of(wildcards))


def start_of(wildcards):
    """The model of another run that a run starts from."""
    start = recipe_of(wildcards)["start"]
    return [] if start == "none" else f"<results>/{wildcards.dataset}/{start}/model.pt"


def weights_of(wildcards):
    """The file with the weights of a run's backbone, where it is one of the user's."""
    return weights_of_backbone(recipe_of(wildcards)["backbone"])


def weights_of_backbone(backbone):
    """The same, by the settings of the backbone."""
    path = Path(backbone["pretrained"])
    return str(path) if path.is_file() else []


def towers_of_run(wildcards):
    """What tells that the towers of a run can be built."""
    return f"<results>/towers/{towers_of(recipe_of(wildcards))['name']}.json"


def asked_towers(wildcards):
    """The towers of a name, as the runs that train them ask for them."""
    asked = (towers_of(recipe_settings(config, run)) for run in config["runs"])
    return next(towers for towers in asked if towers["name"] == wildcards.towers)


def look_of_run(dataset, run):
    """What the survey looks like, for a run with rendered galaxies that match it."""
    living = recipe_settings(config, run)["living"]
    used = living["share"] and living["matched"]
    return f"<results>/{dataset}/look.json" if used else []


def look_of(wildcards):
    """What the survey looks like, where the run needs it."""
    return look_of_run(wildcards.dataset, wildcards.run)


def look_of_active(wildcards):
    """What the survey looks like, where any active run needs it."""
    looks = (look_of_run(wildcards.dataset, run) for run in config["active"]["runs"])
    return next(filter(None, looks), [])


def inputs_of(wildcards):
    """The catalogue or the HDF5 files that a data set is read from."""
    return input_files(
        dataset_of(wildcards)["source"], f"<results>/{wildcards.dataset}/raw"
    )


def marks_of(wildcards):
    """What tells the user's files that a data set's galaxies and classes are read from, from others in their place."""
    files = [*inputs_of(wildcards), *classes_of(wildcards)]
    return [content_mark(Path(file)) for file in files]


def mark_of_brought(path):
    """What tells a model or weights that the user brought from others in their place; "" of what a run makes."""
    if not path:
        return ""
    # Of what it makes Snakemake knows.
    made = is_model_of_run(path, datasets=config["datasets"], runs=config["runs"])
    return "" if made else content_mark(Path(path))


def classes_of(wildcards):
    """The files that say what the classes of a data set are."""
    return [sheet_of(wildcards), *filter(None, [tree_of(wildcards)])]


def pictures_of(wildcards):
    """Where the images of a data set lie, so far as the workflow made or fetched them, or they are HDF5 files."""
    source = dataset_of(wildcards)["source"]
    if "simulated" in source:
        return [f"<results>/{wildcards.dataset}/raw/images"]
    if "legacy_survey" in source:
        return [f"<results>/{wildcards.dataset}/raw/{CUTOUTS}"]
    return [] if {"catalogue", "tiles"} & set(source) else inputs_of(wildcards)


def tile_files_of(wildcards):
    """Digest of the names of a data set's tiles, so that another tile is noticed."""
    pattern = dataset_of(wildcards)["source"]["tiles"]["tiles"]
    names = json.dumps(find_tiles(pattern, bands_of(wildcards)))
    return hashlib.sha256(names.encode()).hexdigest()[:12]


def fingerprints_of(wildcards):
    """The fingerprints of a data set's pictures, where those of the same sky must stay in one split."""
    asked = dataset_of(wildcards)["data"]["split"]["duplicates"]
    return f"<results>/{wildcards.dataset}/fingerprints.parquet" if asked else []


def bands_of(wildcards):
    """Bands that a data set's colours are made of."""
    return colour_bands(dataset_of(wildcards)["data"])


def compared_runs():
    """The members of all sweeps, and the active runs that they are drawn against."""
    return [*swept_runs(config), *unlabelled_runs(config)]


def judged_datasets():
    """Active data sets with labels to be judged by."""
    return [name for name in config["active"]["datasets"] if labelled(config, name)]


def figures_of_all(wildcards):
    """Every figure of every active data set; of one without labels those that need none."""
    try:
        check_judged(config)
    except GalaxAlignError as error:
        raise WorkflowError(str(error))
    names = ["galaxies", "rejects", "living_symbols", "learning_curves"]
    judged = [
        *("labels", "leaks", "confusion", "comparison", "embedding_map", "retrieval"),
        *(["few_labels"] if config["sweeps"] else []),
    ]
    figure = "<results>/figures/{dataset}/{name}.png"
    return [
        "<results>/figures/symbols.png",
        *collect(figure, dataset=config["active"]["datasets"], name=names),
        *collect(figure, dataset=judged_datasets(), name=judged),
    ]


def tables_of_all(wildcards):
    """The summary, where there is a data set to be judged by."""
    return ["<results>/tables/summary.tsv"] if judged_datasets() else []
