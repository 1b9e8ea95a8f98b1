"""Look at an image before a survey is read: `python -m galaxalign.data show FILE`.

Draws one image by every function from flux to colour, with the numbers that each has in the configuration, and each of
its bands alone; says what flag the image would get, and which limits its flux would need.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from galaxalign.checking import check
from galaxalign.data.crop import crop_centre
from galaxalign.data.fits_layout import Layout
from galaxalign.data.flags import MEANINGS, BadImage
from galaxalign.data.pictures import ImageRecipe, Picture, make_picture
from galaxalign.data.readers import Flux, read_image
from galaxalign.data.resizing import resize
from galaxalign.data.rgb import COLOURS, STRETCHES, Stretch, to_rgb
from galaxalign.errors import GalaxAlignError
from galaxalign.figures.stretches import stretch_sheet
from galaxalign.figures.style import DPI
from galaxalign.settings import CONFIG, SCHEMA, dataset_settings, read_config

# Kinds of files that the sheet can be.
ENDS = (".png", ".pdf", ".svg", ".jpg")
# Side of a picture on the sheet, pixels.
SIDE = 280


def mix_bands(bands: Sequence[str]) -> dict[str, dict[str, float]]:
    """Weights of any number of bands, blue first, in blue, green and red: shares that sum to 1 in each colour.

    Bands stand at even steps between blue and red; a colour takes what lies near it in a line of tents.

    >>> mix_bands(["g", "i"])
    {'blue': {'g': 1.0}, 'green': {'g': 0.5, 'i': 0.5}, 'red': {'i': 1.0}}
    """
    places = np.linspace(0, 2, len(bands)) if len(bands) > 1 else np.zeros(1)
    mixed = {}
    for middle, colour in enumerate(reversed(COLOURS)):
        near = np.ones(1) if len(bands) == 1 else np.maximum(0, 1 - np.abs(places - middle))
        if not near.any():
            near = (np.abs(places - middle) == np.abs(places - middle).min()).astype(float)
        shares = near / near.sum()
        mixed[colour] = {band: round(float(share), 4) for band, share in zip(bands, shares, strict=True) if share > 0}
    return mixed


def read_settings(overlays: Sequence[Path], bands: Sequence[str], crop: float | None) -> dict[str, Any]:
    """How the first active data set is read, with what the command line changes of it."""
    config = check(read_config(overlays), SCHEMA, sources=False)
    data: dict[str, Any] = dataset_settings(config, config["active"]["datasets"][0])["data"]
    if crop is not None:
        if not 0 < crop <= 1:
            raise GalaxAlignError(f"--crop is {crop:g}: give a share of the side, above 0 and at most 1")
        data["crop"] = crop
    if bands:
        data["bands"], data["stretch"]["colours"] = list(bands), mix_bands(bands)
    return data


def show_image(source: str, settings: Mapping[str, Any], output: Path) -> list[str]:
    """Draw the sheet of an image; what is to be said of it, a line each.

    Raises
    ------
    GalaxAlignError
        The image cannot be read, or the sheet is to be of no kind that is known or where nothing can be written.
    """
    if output.suffix.lower() not in ENDS:
        raise GalaxAlignError(f"--output is {output}: name a file that ends in one of {', '.join(ENDS)}")
    recipe = replace(ImageRecipe.from_dict(settings), size=SIDE)
    layout: Layout = recipe.fits
    try:
        image = read_image(source, cube_bands=recipe.bands, bands=recipe.stretch.bands, layout=layout)
    except BadImage as bad:
        cure = "; name its bands, blue first: --bands ..." if bad.flag == "missing_band" else ""
        raise GalaxAlignError(f"{bad}{cure}") from bad
    pictures: list[tuple[Stretch, Picture]] = []
    if isinstance(image, Flux):
        for name in STRETCHES:
            stretch = Stretch.from_dict({**settings["stretch"], "name": name})
            pictures.append((stretch, make_picture(source, replace(recipe, stretch=stretch), settings["max_blank"])))
        planes = [_plane(image, band, recipe) for band in image.bands]
        said = [_limits(image, band, recipe) for band in image.bands]
    else:
        made = make_picture(source, recipe, settings["max_blank"])
        planes, said = [(f"a picture of {image.shape[1]} x {image.shape[0]}, used as it is", made.pixels)], []
    figure = stretch_sheet(source=source, pictures=pictures, planes=planes, chosen=recipe.stretch.name)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, dpi=DPI)
    except OSError as error:
        raise GalaxAlignError(
            f"--output is {output}, which cannot be written ({error.strerror}): name a file in a folder that can"
        ) from error
    judged = make_picture(source, ImageRecipe.from_dict(settings), settings["max_blank"])
    flag = f"{judged.flag}, {MEANINGS[judged.flag]}: {judged.reason}" if judged.flag else f"none, {source}"
    return [f"flag: {flag}", *said, f"drawn in {output}"]


def _plane(image: Flux, band: str, recipe: ImageRecipe) -> tuple[str, Any]:
    """One band in grey, between its own percentiles, on the part that is kept."""
    plane = image.values[[image.bands.index(band)]]
    grey = Stretch.from_dict(
        {
            "name": "percentile",
            "colours": {colour: {band: 1.0} for colour in COLOURS},
            "percentile": {"low": 1, "high": 99.5, "softening": 0.1},
        }
    )
    kept = crop_centre(plane.transpose(1, 2, 0), recipe.crop).transpose(2, 0, 1)
    colours = recipe.stretch.colours
    weights = [f"{colours[colour][band]:g} in {colour}" for colour in reversed(COLOURS) if band in colours[colour]]
    return f"{band}: {', '.join(weights)}", resize(to_rgb(np.ascontiguousarray(kept), [band], grey), SIDE)[..., 0]


def _limits(image: Flux, band: str, recipe: ImageRecipe) -> str:
    plane = crop_centre(image.values[image.bands.index(band)], recipe.crop)
    known = plane[np.isfinite(plane) & (plane != 0)]
    if not known.size:
        return f"{band}: no data"
    low, middle, high, top = np.percentile(known, [1, 50, 99.5, 100])
    return f"{band}: 1 % below {low:.4g}, median {middle:.4g}, 0.5 % above {high:.4g}, greatest {top:.4g}"


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    chosen = _parser().parse_args(words)
    try:
        settings = read_settings(chosen.configfile, chosen.bands, chosen.crop)
        print("\n".join(show_image(chosen.file, settings, chosen.output)))
    except GalaxAlignError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m galaxalign.data", description="Look at images before they are read.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    what = "draw one image by every function from flux to colour"
    show = commands.add_parser("show", help=what, description=f"{what.capitalize()}.")
    show.add_argument("file", help="a locator: a file, NAME_{band}.fits for a file a band, or FILE.h5#ROW")
    show.add_argument("--output", type=Path, default=Path("stretches.png"), help="the sheet; default %(default)s")
    show.add_argument("--bands", nargs="+", default=[], help="bands, blue first, evenly mixed into the colours")
    show.add_argument("--crop", type=float, help="share of the side that is kept; default data.crop")
    show.add_argument("--configfile", type=Path, nargs="+", default=[], help=f"overlays over {CONFIG}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
