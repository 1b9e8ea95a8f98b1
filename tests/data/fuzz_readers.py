"""Damaged images by the thousand: `python -m tests.data.fuzz_readers --inputs 10000`.

Whole files of every format are made, and real ones taken where there are some; each input is one of them with flipped
bits, a cut, bytes put in or taken out, a header that lies, or the ending of another format.  Whatever comes, the
reader must return a picture or a flag: no exception, no warning, no hang, no memory beyond what the largest cutout
takes.  The input of a number is the same in every run, so that what failed can be looked at.

`--only tile` damages survey tiles and the words that say what is cut from them.
"""

import argparse
import gzip
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from bz2 import compress as bzip2
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import reproject  # noqa: F401  imported before the work is shared, as it takes seconds under load
from astropy.io import fits
from PIL import Image

from galaxalign.data.fits_layout import Layout
from galaxalign.data.flags import MEANINGS
from galaxalign.data.pictures import ImageRecipe, Picture, make_picture
from galaxalign.data.quality import Quality
from tests.conftest import ROOT
from tests.data.synthetic_images import RECIPE, noise, wcs_header

# Seconds for one input, and bytes beyond what the process had.
PATIENCE, MEMORY = 20.0, 2 * 2**30
ENDINGS = (".fits", ".fits.gz", ".fits.bz2", ".fits.fz", ".jpg", ".png", ".tif", ".webp", ".h5")
QUALITY = Quality(max_edge=0.2, max_saturated=0.1, min_signal=5, max_offset=0.15)
PLAIN = replace(RECIPE, quality=QUALITY)
LAYOUTS = [
    Layout(image="first", band_axis=0, mask="none", mask_bits=(), inverse_variance="none"),
    Layout(image="first", band_axis=1, mask="none", mask_bits=(), inverse_variance="none"),
    Layout(image="bands", band_axis=0, mask="none", mask_bits=(), inverse_variance="none"),
    Layout(image=0, band_axis=0, mask="MASKBITS", mask_bits=(1,), inverse_variance="INVVAR"),
]
# What a lying header says.
LIES = (
    *("0", "-1", "1", "2", "3", "7", "999", "65535", "2147483647", "4294967296", "9223372036854775807", "1E30"),
    *("T", "F", "'x'", "''", "nan", "1.5", "-32", "8", "64", "'RA---TAN'", "'RICE_1'", "'GZIP_1'", "'HCOMPRESS_1'"),
)
CARDS = (
    *("NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "NAXIS4", "BITPIX", "BSCALE", "BZERO", "BLANK", "PCOUNT", "GCOUNT"),
    *("EXTEND", "BANDS", "EXTNAME", "FILTER", "CTYPE1", "CTYPE2", "CD1_1", "CD1_2", "CRVAL1", "CRPIX1", "CDELT1"),
    *("TFIELDS", "TFORM1", "TTYPE1", "THEAP", "ZIMAGE", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZBITPIX", "ZTILE1"),
    *("ZTILE2", "ZCMPTYPE", "ZQUANTIZ", "ZDITHER0", "ZVAL1", "ZSCALE", "ZBLANK", "XTENSION", "SIMPLE", "GROUPS"),
    *("CD2_1", "CD2_2", "CRVAL2", "CRPIX2", "CDELT2", "CUNIT1", "RADESYS", "EQUINOX", "LONPOLE", "A_ORDER", "A_2_0"),
    *("PV1_1", "PV2_1", "BUNIT", "WCSAXES"),
)
# Numbers in the words of a cutout.
NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e-308",
    "0",
    "-0.0",
    "360",
    "-90",
    "90.0000001",
    "1e5",
    "-1",
    "",
    "x",
)
# Where tiles lie, and 20 arcsec of them.
SKY = (150.0, 2.0, 20.0)


def whole_files() -> dict[str, bytes]:
    """Small good files of every format, by name."""
    files: dict[str, bytes] = {}
    upright = wcs_header(east=(-1, 0), north=(0, 1))
    cube = noise(3, 24, 24)

    def keep(name: str, *units: object) -> None:
        stream = io.BytesIO()
        fits.HDUList(list(units)).writeto(stream)
        files[name] = stream.getvalue()

    named = upright.copy()
    named["BANDS"] = "grz"
    keep("cube.fits", fits.PrimaryHDU(cube, named))
    keep("last_axis.fits", fits.PrimaryHDU(np.moveaxis(cube, 0, 2).copy(), fits.Header([("BANDS", "grz")])))
    keep("doubles.fits", fits.PrimaryHDU(cube.astype(np.float64)))
    integers = fits.PrimaryHDU((cube * 1e4).astype(np.int16))
    integers.header["BSCALE"], integers.header["BZERO"], integers.header["BLANK"] = 1e-4, 0.5, 7
    keep("integers.fits", integers)
    mask, weight = np.zeros((24, 24), np.int16), np.ones((3, 24, 24), np.float32)
    keep(
        "masks.fits",
        fits.PrimaryHDU(cube, named),
        fits.ImageHDU(weight, name="INVVAR"),
        fits.ImageHDU(mask, name="MASKBITS"),
    )
    planes = []
    for place, (band, plane) in enumerate(zip("GRZ", cube, strict=True)):
        header = upright.copy()
        header["CRPIX1"] = 8 + 0.3 * place
        planes.append(fits.ImageHDU(plane, header, name=band))
    keep("bands.fits", fits.PrimaryHDU(), *planes)
    for kind in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"):
        values = np.abs(cube[0] * 1e3).astype(np.int32) if kind == "PLIO_1" else cube[0]
        keep(f"{kind}.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(values, upright, compression_type=kind))
    files["cube.fits.gz"] = gzip.compress(files["cube.fits"])
    files["cube.fits.bz2"] = bzip2(files["cube.fits"])
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 4), np.uint8)
    pictures = {
        "a.jpg": ("JPEG", pixels[..., :3], {}),
        "progressive.jpg": ("JPEG", pixels[..., :3], {"progressive": True}),
        "cmyk.jpg": ("JPEG", Image.fromarray(pixels, "CMYK"), {}),
        "grey.jpg": ("JPEG", pixels[..., 0], {}),
        "a.png": ("PNG", pixels[..., :3], {}),
        "alpha.png": ("PNG", pixels, {}),
        "palette.png": ("PNG", Image.fromarray(pixels[..., :3]).quantize(32), {"transparency": 3}),
        "deep.png": ("PNG", pixels[..., 0].astype(np.uint16) * 257, {}),
        "a.tif": ("TIFF", pixels[..., :3], {}),
        "packed.tif": ("TIFF", pixels[..., :3], {"compression": "tiff_lzw"}),
        "deep.tif": ("TIFF", pixels[..., 0].astype(np.uint16) * 257, {}),
        "a.webp": ("WEBP", pixels[..., :3], {}),
        "lossless.webp": ("WEBP", pixels, {"lossless": True}),
    }
    for name, (kind, content, options) in pictures.items():
        stream = io.BytesIO()
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        if name == "a.jpg":
            exif = Image.Exif()
            exif[274] = 6
            options = {"exif": exif}
        image.save(stream, kind, **options)
        files[name] = stream.getvalue()
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["images"] = pixels[None, ..., :3].repeat(4, axis=0)
    files["a.h5"] = stream.getvalue()
    return files


def tiles() -> dict[str, bytes]:
    """Small good tiles, by name; with ``{band}`` in it, the file of one band."""
    files: dict[str, bytes] = {}
    upright = wcs_header(east=(-1, 0), north=(0, 1))
    upright["CRPIX1"] = upright["CRPIX2"] = 60.5
    distorted, turned = upright.copy(), wcs_header(east=(-0.8, 0.6), north=(0.6, 0.8))
    distorted.update({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5})
    turned["CRPIX1"] = turned["CRPIX2"] = 60.5
    rows, columns = np.mgrid[:120, :120] - 59.5
    galaxy = np.exp(-(rows**2 + columns**2) / 50).astype(np.float32)
    plane, cube = noise(120, 120) + galaxy, noise(3, 120, 120) + galaxy

    def keep(name: str, *units: object) -> None:
        stream = io.BytesIO()
        fits.HDUList(list(units)).writeto(stream)
        files[name] = stream.getvalue()

    keep("tile_cube.fits", fits.PrimaryHDU(cube, upright))
    keep("tile_sip.fits", fits.PrimaryHDU(cube, distorted))
    integers = fits.PrimaryHDU((cube * 1e4).astype(np.int16), upright)
    integers.header["BSCALE"], integers.header["BZERO"], integers.header["BLANK"] = 1e-4, 0.5, 7
    keep("tile_integers.fits", integers)
    for kind in ("RICE_1", "GZIP_2"):
        keep(f"tile_{kind}.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(cube, upright, compression_type=kind))
    files["tile_packed.fits.gz"] = gzip.compress(files["tile_cube.fits"])
    named = [fits.ImageHDU(plane, upright, name=band) for band in "GRZ"]
    keep("tile_bands.fits", fits.PrimaryHDU(), *named)
    mask, weight = np.zeros((120, 120), np.int16), np.ones((3, 120, 120), np.float32)
    masks = [fits.ImageHDU(weight, name="INVVAR"), fits.ImageHDU(mask, name="MASKBITS")]
    keep("tile_masks.fits", fits.PrimaryHDU(cube, upright), *masks)
    for name, header in (("same", upright), ("turned", turned), ("sip", distorted)):
        keep(f"tile_{name}_{{band}}.fits", fits.PrimaryHDU(plane, header))
    keep("tile_rice_{band}.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(plane, upright))
    return files


def real_files(folder: Path) -> dict[str, bytes]:
    """A few real ones, of less than a megabyte."""
    found = [*sorted(folder.glob("fits/*/*.fits*")), *sorted(folder.glob("g*/images/*"))[::200]]
    return {path.name: path.read_bytes() for path in found if path.stat().st_size < 2**20}


def damaged(files: dict[str, bytes], number: int) -> tuple[str, bytes, ImageRecipe]:
    """The input of a number: its ending, its bytes, and how it is read."""
    generator = np.random.default_rng([7, number])
    name = list(files)[int(generator.integers(len(files)))]
    content = bytearray(files[name])
    # Half of the tiles are whole but for what their headers say.
    lying = name.startswith("tile_") and generator.uniform() < 0.5
    for _ in range(int(generator.integers(1, 4))):
        if lying:
            _lie(content, generator, [card for card in CARDS if f"{card:8}=".encode() in content] or CARDS)
        else:
            content = _damage(content, generator)
    ending = name[name.index(".") :]
    if generator.uniform() < 0.08:
        ending = ENDINGS[int(generator.integers(len(ENDINGS)))]
    layout = LAYOUTS[int(generator.integers(len(LAYOUTS)))]
    if generator.uniform() < 0.5:
        layout = LAYOUTS[2 if name.endswith("bands.fits") else 3 if name.endswith("masks.fits") else 0]
    if name.startswith("tile_"):
        ending = f"{'_{band}' * ('{band}' in name)}{ending}#{_cut(generator)}"
    return ending, bytes(content), replace(PLAIN, fits=layout, crop=float(generator.choice([1.0, 0.3])))


def _cut(generator: np.random.Generator) -> str:
    """The words of a cutout: near the middle of the tiles or beyond their edge, some of them damaged."""
    ra, dec, arcsec = SKY
    away = generator.choice([0.0, 5.0, 20.0]) / 3600 * generator.normal(size=2)
    words = [repr(float(word)) for word in (ra + away[0], dec + away[1], arcsec * generator.uniform(0.2, 2))]
    if generator.uniform() < 0.2:
        words[int(generator.integers(3))] = NUMBERS[int(generator.integers(len(NUMBERS)))]
    text = f"cut={','.join(words)}"
    if generator.uniform() < 0.05:
        place = int(generator.integers(len(text)))
        text = text[:place] + chr(int(generator.integers(33, 127))) * int(generator.integers(3)) + text[place + 1 :]
    return text


def _damage(content: bytearray, generator: np.random.Generator) -> bytearray:
    if len(content) < 2:
        return content
    kind = generator.integers(8)
    # Half of all damage strikes the first bytes, where headers are.
    reach = len(content) if generator.uniform() < 0.5 else min(len(content), 600)
    place = int(generator.integers(reach))
    if kind == 0:
        for spot in generator.integers(reach, size=int(generator.integers(1, 9))):
            content[spot] ^= 1 << int(generator.integers(8))
    elif kind == 1:
        del content[place:]
    elif kind == 2:
        del content[place : place + int(generator.integers(1, 3000))]
    elif kind == 3:
        content[place:place] = generator.bytes(int(generator.integers(1, 3000)))
    elif kind == 4:
        span = int(generator.integers(1, 64))
        content[place : place + span] = bytes([int(generator.choice([0, 255, 127, 128]))]) * span
    else:
        _lie(content, generator)
    return content


def _lie(content: bytearray, generator: np.random.Generator, cards: Sequence[str] = CARDS) -> None:
    """Change the value of a card that is there, or put one in the place of another."""
    card = cards[int(generator.integers(len(cards)))]
    lie = LIES[int(generator.integers(len(LIES)))]
    line = f"{card:8}= {lie:>20}".ljust(80).encode()
    places = [spot for spot in range(0, len(content) - 80, 80) if content[spot : spot + 9] == line[:9]]
    if not places and content[:6] == b"SIMPLE":
        places = [80 * int(generator.integers(1, 12))]
    if places:
        spot = places[int(generator.integers(len(places)))]
        content[spot : spot + 80] = line


def read_damaged(folder: Path, files: dict[str, bytes], number: int) -> str:
    """The flag of an input; raises whatever the reader should not have."""
    ending, content, recipe = damaged(files, number)
    file, _, words = f"{folder}/input{number}{ending}".partition("#")
    # The file of the first or of another band, among whole ones.
    paths = {band: Path(file.replace("{band}", band)) for band in ("grz" if "{band}" in file else "g")}
    spoilt = "gr"[number % 2] if len(paths) > 1 else "g"
    for band, path in paths.items():
        path.write_bytes(content if band == spoilt else files.get("tile_same_{band}.fits", content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            source = f"{file}#{words or '1'}" if words or ending == ".h5" else file
            picture = make_picture(source, recipe, 0.2)
    finally:
        for path in paths.values():
            path.unlink()
    return check(picture)


def check(picture: Picture) -> str:
    """The flag of a picture; `AssertionError` where it is not as promised."""
    assert picture.pixels.shape == (16, 16, 3)
    assert picture.pixels.dtype == np.uint8
    assert bool(picture.flag) == bool(picture.reason)
    assert picture.flag in ("", *MEANINGS)
    return picture.flag


def _work(folder, files, numbers, current, results):
    soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    for number in numbers:
        current.value = number
        start = time.monotonic()
        try:
            said = read_damaged(folder, files, number) or "good"
        except BaseException as error:  # whatever it is, it is what is looked for
            said = f"FAILED {type(error).__name__}: {error}"[:300]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        results.put((number, said, time.monotonic() - start, peak))
    results.put(None)


def fuzz(inputs: int, first: int = 0, only: str = "") -> tuple[Counter[str], list[str], float, float]:
    """Counts of flags, failures, the longest seconds for an input, and the greatest resident MiB."""
    real = Path(os.environ.get("GALAXALIGN_REAL_DATA", ROOT / "../shared/data"))
    files = whole_files() | tiles() | (real_files(real) if real.is_dir() else {})
    files = {name: content for name, content in files.items() if only in name}
    counts: Counter[str] = Counter()
    failures, slowest, peak = [], 0.0, 0.0
    context = multiprocessing.get_context("fork")
    number = first
    with tempfile.TemporaryDirectory() as folder:
        while number < first + inputs:
            current, results = context.Value("q", number), context.Queue()
            numbers = range(number, first + inputs)
            worker = context.Process(target=_work, args=(Path(folder), files, numbers, current, results))
            worker.start()
            while True:
                try:
                    result = results.get(timeout=PATIENCE)
                except Exception:
                    failures.append(f"input {current.value}: {'no end' if worker.is_alive() else 'the process died'}")
                    number = current.value + 1
                    break
                if result is None:
                    number = first + inputs
                    break
                place, said, seconds, resident = result
                slowest, peak = max(slowest, seconds), max(peak, resident)
                counts[said.partition(" ")[0]] += 1
                if said.startswith("FAILED"):
                    failures.append(f"input {place}: {said}")
            worker.kill()
            worker.join()
    return counts, failures, slowest, peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", default="", help="part of the names of the whole files that are damaged")
    chosen = parser.parse_args()
    counts, failures, slowest, peak = fuzz(chosen.inputs, chosen.first, chosen.only)
    for flag, count in counts.most_common():
        print(f"{count:7d} {flag}")
    print(f"slowest input {slowest:.2f} s, most memory {peak:.0f} MiB, {len(failures)} failures")
    print("\n".join(failures[:50]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
