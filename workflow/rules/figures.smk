# One rule and one caption a figure. A caption is an input, so that a change of its words redraws its figure,
# in which it is kept, and nothing else.


rule figure_symbols:
    """Plate of all symbols."""
    input:
        caption="workflow/report/symbols.rst",
    output:
        png=report(
            "<results>/figures/symbols.png",
            caption="../report/symbols.rst",
            category="Symbols",
            labels={"data set": "all", "figure": "Symbols"},
        ),
        pdf="<results>/figures/symbols.pdf",
    log:
        "<logs>/figure_symbols.log",
    localrule: True
    params:
        code=code("figures.symbols"),
    script:
        "../scripts/figures_symbols.py"


rule figure_living_symbols:
    """Symbols beside rendered and observed galaxies."""
    input:
        symbols=rules.symbols.output.symbols,
        images=rules.images.output.images,
        look=look_of_active,
        caption="workflow/report/living_symbols.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/living_symbols.png",
            caption="../report/living_symbols.rst",
            category="Symbols",
            labels={"data set": "{dataset}", "figure": "Living symbols"},
        ),
        pdf="<results>/figures/{dataset}/living_symbols.pdf",
    log:
        "<logs>/figure_living_symbols/{dataset}.log",
    localrule: True
    params:
        seed=config["figures"]["seed"],
        code=code("figures.living"),
    script:
        "../scripts/figures_living_symbols.py"


rule figure_galaxies:
    """Galaxies of each class."""
    input:
        images=rules.images.output.images,
        caption="workflow/report/galaxies.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/galaxies.png",
            caption="../report/galaxies.rst",
            category="Data",
            labels={"data set": "{dataset}", "figure": "Galaxies by class"},
        ),
        pdf="<results>/figures/{dataset}/galaxies.pdf",
    log:
        "<logs>/figure_galaxies/{dataset}.log",
    localrule: True
    params:
        seed=config["figures"]["seed"],
        code=code("figures.galaxies"),
    script:
        "../scripts/figures_galaxies.py"


rule figure_rejects:
    """Images that could not be used."""
    input:
        images=rules.images.output.images,
        caption="workflow/report/rejects.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/rejects.png",
            caption="../report/rejects.rst",
            category="Data",
            labels={"data set": "{dataset}", "figure": "Rejected images"},
        ),
        pdf="<results>/figures/{dataset}/rejects.pdf",
    log:
        "<logs>/figure_rejects/{dataset}.log",
    localrule: True
    params:
        code=code("figures.galaxies"),
    script:
        "../scripts/figures_rejects.py"


rule figure_labels:
    """Galaxies of each class, and conflicts of their rules."""
    input:
        table=rules.labels.output.table,
        sheet=sheet_of,
        tree=tree_of,
        caption="workflow/report/labels.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/labels.png",
            caption="../report/labels.rst",
            category="Data",
            labels={"data set": "{dataset}", "figure": "Labels"},
        ),
        pdf="<results>/figures/{dataset}/labels.pdf",
    log:
        "<logs>/figure_labels/{dataset}.log",
    localrule: True
    params:
        code=code("figures.labels"),
    script:
        "../scripts/figures_labels.py"


rule figure_leaks:
    """Galaxies in different splits that are most alike."""
    input:
        table=rules.leaks.output.table,
        images=rules.images.output.images,
        caption="workflow/report/leaks.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/leaks.png",
            caption="../report/leaks.rst",
            category="Data",
            labels={"data set": "{dataset}", "figure": "Leaks"},
        ),
        pdf="<results>/figures/{dataset}/leaks.pdf",
    log:
        "<logs>/figure_leaks/{dataset}.log",
    localrule: True
    params:
        code=code("figures.leaks"),
    script:
        "../scripts/figures_leaks.py"


rule figure_learning_curves:
    """Loss and validation score of all runs by epoch."""
    input:
        shared=collect(
            "<results>/{{dataset}}/{run}/shared.tsv", run=config["active"]["runs"]
        ),
        symbol=collect(
            "<results>/{{dataset}}/{run}/model.tsv", run=config["active"]["runs"]
        ),
        caption="workflow/report/learning_curves.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/learning_curves.png",
            caption="../report/learning_curves.rst",
            category="Training",
            labels={"data set": "{dataset}", "figure": "Learning curves"},
        ),
        pdf="<results>/figures/{dataset}/learning_curves.pdf",
    log:
        "<logs>/figure_learning_curves/{dataset}.log",
    localrule: True
    params:
        runs=config["active"]["runs"],
        code=code("figures.learning"),
    script:
        "../scripts/figures_learning_curves.py"


rule figure_confusion:
    """Confusion matrices of all runs."""
    input:
        metrics=collect(
            "<results>/{{dataset}}/{run}/metrics.json", run=config["active"]["runs"]
        ),
        caption="workflow/report/confusion.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/confusion.png",
            caption="../report/confusion.rst",
            category="Classification",
            labels={"data set": "{dataset}", "figure": "Confusion matrices"},
        ),
        pdf="<results>/figures/{dataset}/confusion.pdf",
    log:
        "<logs>/figure_confusion/{dataset}.log",
    localrule: True
    params:
        runs=config["active"]["runs"],
        code=code("figures.confusion"),
    script:
        "../scripts/figures_confusion.py"


rule figure_comparison:
    """All runs side by side."""
    input:
        metrics=collect(
            "<results>/{{dataset}}/{run}/metrics.json", run=config["active"]["runs"]
        ),
        caption="workflow/report/comparison.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/comparison.png",
            caption="../report/comparison.rst",
            category="Classification",
            labels={"data set": "{dataset}", "figure": "Comparison of runs"},
        ),
        pdf="<results>/figures/{dataset}/comparison.pdf",
    log:
        "<logs>/figure_comparison/{dataset}.log",
    localrule: True
    params:
        runs=config["active"]["runs"],
        code=code("figures.comparison"),
    script:
        "../scripts/figures_comparison.py"


rule figure_few_labels:
    """Runs repeated with fewer labels and other seeds."""
    input:
        seeds=rules.sweep.output.seeds,
        caption="workflow/report/few_labels.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/few_labels.png",
            caption="../report/few_labels.rst",
            category="Classification",
            labels={"data set": "{dataset}", "figure": "Few labels"},
        ),
        pdf="<results>/figures/{dataset}/few_labels.pdf",
    log:
        "<logs>/figure_few_labels/{dataset}.log",
    localrule: True
    params:
        code=code("figures.few_labels"),
    script:
        "../scripts/figures_few_labels.py"


rule figure_embedding_map:
    """Galaxies, symbols and texts in the common space of one run."""
    input:
        embeddings=f"<results>/{{dataset}}/{config['figures']['run']}/embeddings.h5",
        caption="workflow/report/embedding_map.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/embedding_map.png",
            caption="../report/embedding_map.rst",
            category="Search",
            labels={"data set": "{dataset}", "figure": "Embedding map"},
        ),
        pdf="<results>/figures/{dataset}/embedding_map.pdf",
    log:
        "<logs>/figure_embedding_map/{dataset}.log",
    localrule: True
    params:
        galaxies=config["figures"]["map_galaxies"],
        seed=config["figures"]["seed"],
        code=code("figures.map"),
    script:
        "../scripts/figures_embedding_map.py"


rule figure_retrieval:
    """Nearest galaxies to galaxies, symbols and texts, right and wrong."""
    input:
        embeddings=f"<results>/{{dataset}}/{config['figures']['run']}/embeddings.h5",
        images=rules.images.output.images,
        caption="workflow/report/retrieval.rst",
    output:
        png=report(
            "<results>/figures/{dataset}/retrieval.png",
            caption="../report/retrieval.rst",
            category="Search",
            labels={"data set": "{dataset}", "figure": "Retrieval"},
        ),
        pdf="<results>/figures/{dataset}/retrieval.pdf",
    log:
        "<logs>/figure_retrieval/{dataset}.log",
    localrule: True
    params:
        split=config["evaluate"]["split"],
        seed=config["figures"]["seed"],
        code=code("figures.retrieval"),
    script:
        "../scripts/figures_retrieval.py"


rule figure_similar:
    """Nearest galaxies to the queries of `similar`."""
    input:
        table="<results>/similar/{dataset}/similar.tsv",
        images="<results>/similar/{dataset}/images.h5",
        caption="workflow/report/similar.rst",
    output:
        png=report(
            "<results>/similar/{dataset}/similar.png",
            caption="../report/similar.rst",
            category="Search",
            labels={"data set": "{dataset}", "figure": "Nearest galaxies"},
        ),
        pdf="<results>/similar/{dataset}/similar.pdf",
    log:
        "<logs>/figure_similar/{dataset}.log",
    localrule: True
    params:
        code=code("figures.retrieval"),
    script:
        "../scripts/figures_similar.py"


rule figures:
    """Every figure of the active data sets."""
    input:
        figures_of_all,
    localrule: True
