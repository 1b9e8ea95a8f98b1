"""Tiles that are damaged, that lie, or that hold too little of a galaxy: each flagged, with its reason."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from galaxalign.data.cuts import Cut
from galaxalign.data.flags import BadImage
from galaxalign.data.pictures import make_picture
from tests.data.sky_tiles import (
    ARCSEC,
    GRZ,
    index_of,
    offset,
    read_section,
    sip_header,
    tile_header,
    write_tile,
)
from tests.data.synthetic_images import RECIPE, noise


def header_of(values, header):
    """The bytes of the header of an image of these values, BSCALE and BZERO as they are given."""
    whole = fits.PrimaryHDU(values).header
    whole.update(header)
    return whole.tostring().encode()


def damaged(content, generator):
    """The bytes of a tile with a few of its first blocks' changed, lost or added."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        place = int(generator.integers(0, min(len(content), 4 * 2880)))
        match generator.integers(0, 5):
            case 0:
                content[place] = generator.integers(0, 256)
            case 1:
                content[place] = generator.choice(list(b"0123456789-.E"))
            case 2:
                del content[place : place + int(generator.integers(1, 200))]
            case 3:
                del content[place:]
            case _:
                content[place:place] = generator.bytes(int(generator.integers(1, 90)))
        content = content or bytearray(b"x")
    return bytes(content)


@pytest.mark.parametrize("kind", ["plain", "sip", "rice", "gzip"])
def test_tiles_damaged_at_random_are_flagged(tmp_path, kind):
    header = sip_header(60, 60) if kind == "sip" else tile_header(150.0, 2.0, 60, 60)
    flux = noise(60, 60)
    if kind in ("rice", "gzip"):
        flux = (1000 * flux).astype("i2") if kind == "gzip" else flux
        image = fits.CompImageHDU(flux, header, compression_type={"rice": "RICE_1", "gzip": "GZIP_2"}[kind])
    else:
        image = fits.PrimaryHDU(flux, header)
    path = tmp_path / ("t.fits.fz" if kind in ("rice", "gzip") else "t.fits")
    image.writeto(path)
    whole, generator, flags = path.read_bytes(), np.random.default_rng(5), []
    for _ in range(100):
        path.write_bytes(damaged(whole, generator))
        try:
            read_section(path, Cut(ra=150.0, dec=2.0, arcsec=8.0))
            flags.append("")
        except BadImage as bad:
            flags.append(bad.flag)
    assert {"", "unreadable", "truncated"} <= set(flags)


def test_cubes_that_lie_about_their_depth(tmp_path):
    write_tile(tmp_path / "t.fits", 150.0, 2.0)
    header = fits.getheader(tmp_path / "t.fits")
    for depth, flag in ((2, "missing_band"), (10**6, "shape"), (0, "unreadable")):
        header["NAXIS"] = 3
        header.set("NAXIS3", depth, after="NAXIS2")
        (tmp_path / "deep.fits").write_bytes(header.tostring().encode() + bytes(4 * 200 * 200))
        with pytest.raises(BadImage) as caught:
            read_section(tmp_path / "deep.fits", Cut(ra=150.0, dec=2.0, arcsec=5.0))
        assert caught.value.flag in (flag, "shape"), depth


def flag_of(path, cut):
    return make_picture(f"{path}#{cut}", RECIPE, 0.2).flag


def test_flags_of_cutouts(tmp_path):
    for band in GRZ:
        write_tile(tmp_path / f"t_{band}.fits", 150.0, 2.0)
    tile = tmp_path / "t_{band}.fits"
    edge = 100 * ARCSEC
    inside = offset(150.0, 2.0, edge - 4.5, 0.0)
    assert flag_of(tile, Cut(ra=150.0, dec=2.0, arcsec=10.0)) == ""
    assert flag_of(tile, Cut(ra=inside[0], dec=inside[1], arcsec=10.0)) == ""
    over = offset(150.0, 2.0, edge - 1.0, 0.0)
    strict = replace(RECIPE, quality=replace(RECIPE.quality, max_edge=0.2))
    picture = make_picture(f"{tile}#{Cut(ra=over[0], dec=over[1], arcsec=10.0)}", strict, 0.2)
    assert picture.flag == "edge"
    assert "39.5 % of it lie beyond an edge, 20 % are allowed" in picture.reason
    assert picture.pixels.any(), "what the tile holds is shown"
    assert flag_of(tile, Cut(ra=150.1, dec=2.0, arcsec=10.0)) == "outside"
    assert flag_of(tile, Cut(ra=330.0, dec=-2.0, arcsec=10.0)) == "outside"
    assert flag_of(tile, Cut(ra=150.0, dec=2.0, arcsec=1e7)) == "too_large"
    (tmp_path / "t_r.fits").unlink()
    assert flag_of(tile, Cut(ra=150.0, dec=2.0, arcsec=10.0)) == "missing_band"


def test_bad_tiles_are_named(tmp_path):
    whole = write_tile(tmp_path / "whole.fits", 150.0, 2.0).read_bytes()
    cut = Cut(ra=150.0, dec=2.0, arcsec=10.0)
    files = {
        "cut.fits": (whole[: len(whole) // 3], "truncated"),
        "header.fits": (whole[:1000], "truncated"),
        "blocks.fits": (whole[:2000] + b" " * 880, "truncated"),
        "empty.fits": (b"", "empty_file"),
        "page.fits": (b"<html>503</html>", "unreadable"),
        "packed.fits.gz": (whole, "unreadable"),
    }
    for name, (content, flag) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadImage) as caught:
            read_section(tmp_path / name, cut)
        assert caught.value.flag == flag, name
        assert name in caught.value.reason
    with pytest.raises(BadImage, match="there is no such file"):
        read_section(tmp_path / "nowhere.fits", cut)
    fits.PrimaryHDU(noise(20, 20)).writeto(tmp_path / "no_sky.fits")
    with pytest.raises(BadImage, match="no celestial WCS"):
        read_section(tmp_path / "no_sky.fits", cut)


@pytest.mark.parametrize(
    ("packing", "keyword", "value"),
    [
        ("", "BSCALE", "'half'"),
        ("", "BZERO", "''"),
        ("HCOMPRESS_1", "", ""),
        ("RICE_1", "TFIELDS", "2147483647"),
        ("gzip", "", ""),
    ],
)
def test_tiles_that_readers_cannot_be_trusted_with(tmp_path, packing, keyword, value):
    header, path = tile_header(150.0, 2.0, 60, 60), tmp_path / "t_g.fits"
    values = (1000 * noise(60, 60)).astype("i2")
    if packing.endswith("_1"):
        fits.CompImageHDU(values, header, compression_type=packing, tile_shape=(20, 60)).writeto(path)
    else:
        header["BSCALE"], header["BZERO"] = 0.5, 10.0
        path.write_bytes(header_of(values, header) + values.astype(">i2").tobytes() + bytes(-values.nbytes % 2880))
    cut = Cut(ra=150.0, dec=2.0, arcsec=4.0)
    content = path.read_bytes()
    if not packing:
        assert np.isfinite(read_section(path, cut).planes).all()
    if keyword:
        place = content.index(f"{keyword:<8}=".encode())
        content = content[:place] + f"{keyword:<8}= {value:>20}".ljust(80).encode() + content[place + 80 :]
    path.write_bytes(gzip.compress(content) if packing == "gzip" else content)
    assert flag_of(path, cut) == "unreadable"
    write_tile(tmp_path / "good_g.fits", 150.0, 2.0)
    problems = index_of(tmp_path).set_index("tile")["problem"]
    # What is wrong with the numbers alone shows when they are read.
    assert bool(problems[str(tmp_path / "t_{band}.fits")]) == bool(packing)
