"""Survey tiles: where each lies on the sky, and which of them each galaxy is best cut from."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from galaxalign.data.cuts import Cut
from galaxalign.data.fits_layout import Layout
from galaxalign.data.flags import BadImage
from galaxalign.data.grids import Grid, Numbers, pixel_sides, sides, starts, unit_vectors
from galaxalign.data.patterns import find_tiles
from galaxalign.data.sections import find_place
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress

logger = logging.getLogger(__name__)

_COLUMNS = ["tile", "band", "planes", "header", "ra", "dec", "radius", "problem"]


def write_tile_index(*, pattern: str, bands: Sequence[str], layout: Layout, index: Path) -> None:
    """Read the header of every tile once, and write where each lies: a parquet file with a row a file, or
    a band where a file has an extension a band.

    Columns: tile (locator), band, planes (of a cube, the names in its BANDS header), header (its WCS), ra, dec and
    radius of a circle that holds it (degrees), and problem, empty where the file will do.

    Parameters
    ----------
    pattern, bands
        As of `find_tiles`.
    layout
        How the files are laid out.
    index
        What is written.

    Raises
    ------
    GalaxAlignError
        No file fits the pattern, or none of them is a tile.
    """
    files = [
        (tile, band, path)
        for tile, paths in find_tiles(pattern, bands).items()
        for name, path in paths.items()
        for band in (bands if layout.image == "bands" and not name else [name])
    ]
    if not files:
        raise GalaxAlignError(f"no file fits the pattern {pattern!r} of `tiles`: correct it")
    rows = [
        (tile, band, *_read_place(Path(path), layout, band))
        for tile, band, path in progress(files, total=len(files), what="tiles", unit="headers")
    ]
    table = pd.DataFrame(rows, columns=_COLUMNS)
    bad = table[table["problem"] != ""]
    for problem in bad["problem"]:
        logger.warning("left out: %s", problem)
    if len(bad) == len(table):
        raise GalaxAlignError(f"none of the {len(bad)} files of {pattern!r} is a tile: {bad['problem'].iat[0]}")
    part = index.with_name(f".{index.name}.part")
    table.to_parquet(part, index=False)
    part.replace(index)
    logger.info("%d files of %d tiles, %d left out", len(table), table["tile"].nunique(), len(bad))


def _read_place(path: Path, layout: Layout, band: str) -> tuple[str, str, float, float, float, str]:
    """Names of the planes, header, circle and problem of a file."""
    try:
        place, grid, names = find_place(path, layout, band)
        return " ".join(names) if not band else "", place, *grid.circle(), ""
    except BadImage as bad:
        return "", "", np.nan, np.nan, np.nan, bad.reason


def fields_of_view(settings: Mapping[str, Any], sizes: Numbers) -> Numbers:
    """Side of each galaxy's cutout in arcsec; not a number where its size is not known.

    Parameters
    ----------
    settings
        The source's ``field``: ``arcsec`` for all, or ``times`` the size column, from ``smallest`` to ``largest``.
    sizes
        The size column, arcsec, shape (N,).
    """
    if "arcsec" in settings:
        return np.full(len(sizes), float(settings["arcsec"]))
    known = np.where(sizes > 0, sizes, np.nan)
    arcsec: Numbers = np.clip(settings["times"] * known, settings["smallest"], settings["largest"])
    return arcsec


@dataclass
class _Best:
    """The best tile found for each galaxy so far.

    Attributes
    ----------
    tile : number of the tile, -1 for none.
    complete : whether it has every band.
    share : of the cutout that it holds, in the worst band.
    depth : arcsec between the galaxy and the tile's nearest edge.
    """

    tile: NDArray[np.int64]
    complete: NDArray[np.bool_]
    share: Numbers
    depth: Numbers

    def offer(self, tile: int, rows: NDArray[np.intp], complete: bool, share: Numbers, depth: Numbers) -> None:
        """Take a tile for those galaxies that it suits better."""
        was = self.complete[rows], self.share[rows], self.depth[rows]
        better = np.where(was[0] != complete, complete, (share > was[1]) | ((share == was[1]) & (depth > was[2]))) & (
            share > 0
        )
        better |= (self.tile[rows] < 0) & (share > 0)
        taken = rows[better]
        self.tile[taken], self.complete[taken] = tile, complete
        self.share[taken], self.depth[taken] = share[better], depth[better]


def assign_tiles(galaxies: pd.DataFrame, arcsec: Numbers, index: pd.DataFrame, bands: Sequence[str]) -> pd.DataFrame:
    """The locator of each galaxy's cutout, or why it has none.

    A galaxy is cut from the tile that has every band and holds most of its cutout: of several that hold it whole,
    from the one in which it lies farthest from the edge. Tiles that lack a band are taken where no other is.

    Parameters
    ----------
    galaxies
        With columns ra and dec, degrees.
    arcsec
        Side of each cutout, shape (N,).
    index
        As `write_tile_index` wrote it.
    bands
        Bands that a tile must have, unless it is a cube.

    Returns
    -------
    Columns source, flag and reason: position or no_size where a galaxy lacks one, outside where no tile holds any of
    its cutout.
    """
    ra, dec = galaxies["ra"].to_numpy(np.float64), galaxies["dec"].to_numpy(np.float64)
    known = np.isfinite(ra) & np.isfinite(dec) & np.isfinite(arcsec)
    best = _Best(
        tile=np.full(len(ra), -1),
        complete=np.zeros(len(ra), np.bool_),
        share=np.zeros(len(ra)),
        depth=np.full(len(ra), -np.inf),
    )
    tiles = _tiles(index[index["problem"] == ""])
    for number, rows, files in progress(
        _candidates(tiles, ra, dec, arcsec, known), total=len(tiles), what="assignment", unit="tiles"
    ):
        share, depth = _overlap(files, ra[rows], dec[rows], arcsec[rows])
        best.offer(number, rows, set(bands) <= tiles[number].bands(bands), share, depth)
    names = [tile.locator for tile in tiles]
    found = []
    for number, *cutout in zip(best.tile.tolist(), ra.tolist(), dec.tolist(), arcsec.tolist(), strict=True):
        cut = Cut(ra=cutout[0], dec=cutout[1], arcsec=cutout[2])
        found.append((f"{names[number]}#{cut}", "", "") if number >= 0 else ("", *_why_not(cut)))
    return pd.DataFrame(found, columns=["source", "flag", "reason"], index=galaxies.index)


def _why_not(cut: Cut) -> tuple[str, str]:
    """Flag and reason of a galaxy that no tile was found for."""
    if not (np.isfinite(cut.ra) and np.isfinite(cut.dec)):
        return "position", f"ra is {cut.ra:g}, dec is {cut.dec:g}"
    if not np.isfinite(cut.arcsec):
        return "no_size", "its size is empty or 0"
    return "outside", f"no tile holds any of {cut.arcsec:g} arcsec around {cut.ra:.6f} {cut.dec:+.6f}"


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """A tile of the index: headers by band, names of a cube's planes, and the circles that hold them as unit vectors
    and degrees.
    """

    locator: str
    headers: dict[str, str]
    planes: str
    centre: Numbers
    radius: float

    def bands(self, wanted: Sequence[str]) -> set[str]:
        """Bands that it has; a cube that does not name its planes is taken to have those wanted."""
        if "" in self.headers:
            return set(self.planes.split() or wanted)
        return set(self.headers)


def _tiles(index: pd.DataFrame) -> list[_Tile]:
    tiles = []
    for locator, files in index.groupby("tile", sort=True):
        centres = unit_vectors(files["ra"].to_numpy(), files["dec"].to_numpy())
        apart = np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(centres - centres[0], axis=-1) / 2, 0, 1)))
        headers = dict(zip(files["band"], files["header"], strict=True))
        radius = float((apart + files["radius"].to_numpy()).max())
        planes = str(files["planes"].iloc[0])
        tiles.append(_Tile(locator=str(locator), headers=headers, planes=planes, centre=centres[0], radius=radius))
    return tiles


def _candidates(
    tiles: Sequence[_Tile], ra: Numbers, dec: Numbers, arcsec: Numbers, known: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.intp], dict[str, Grid]]]:
    """Tiles that may hold some of a cutout: number, rows of the galaxies, and grids by band."""
    there = np.flatnonzero(known)
    if not len(there):
        return
    tree = cKDTree(unit_vectors(ra[there], dec[there]))
    # Half the diagonal of the widest cutout.
    margin = float(arcsec[there].max()) / 3600 / np.sqrt(2)
    for number, tile in enumerate(tiles):
        angle = np.radians(min(180.0, tile.radius + margin))
        near = tree.query_ball_point(tile.centre, 2 * np.sin(angle / 2) + 1e-9, return_sorted=False)
        rows = there[np.sort(np.array(near, np.intp))]
        if len(rows):
            yield number, rows, _grids(tile)


def _grids(tile: _Tile) -> dict[str, Grid]:
    """Grids by band; bands on the same grid share it."""
    made: dict[str, Grid] = {}
    for text in tile.headers.values():
        if text not in made:
            made[text] = Grid.from_header(fits.Header.fromstring(text, sep="\n"))
    return {band: made[text] for band, text in tile.headers.items()}


def _overlap(files: Mapping[str, Grid], ra: Numbers, dec: Numbers, arcsec: Numbers) -> tuple[Numbers, Numbers]:
    """Share of each cutout that a tile holds, and depth of its centre in arcsec, both of the worst band."""
    share, depth = np.ones(len(ra)), np.full(len(ra), np.inf)
    for grid in {id(grid): grid for grid in files.values()}.values():
        x, y = grid.pixels(ra, dec)
        axes = grid.axes(ra, dec)
        side, pixel = sides(axes, arcsec), pixel_sides(axes)
        part = np.ones(len(ra))
        for place, length in ((x, grid.width), (y, grid.height)):
            first = starts(place, side)
            inside = np.minimum(first + side, length) - np.maximum(first, 0)
            part *= np.clip(inside, 0, None) / np.maximum(side, 1)
            depth = np.minimum(depth, np.nan_to_num(pixel * np.minimum(place, length - 1 - place), nan=-np.inf))
        share = np.minimum(share, np.where(side > 0, part, 0.0))
    return share, depth
