"""Which plane of a cube is of which band."""

from collections.abc import Sequence

from galaxalign.data.flags import BadImage


def band_names(text: str, *, single: bool) -> tuple[str, ...]:
    """Names from a ``BANDS`` header: separated by commas or blanks, or else a letter each; one of a `single` plane."""
    words = text.replace(",", " ").split()
    return tuple(words) if len(words) > 1 or single else tuple("".join(words))


def find_planes(
    path: str, count: int, said: Sequence[str], cube_bands: Sequence[str], bands: Sequence[str]
) -> list[int]:
    """The planes of the wanted bands.

    Parameters
    ----------
    path
        Of the cube.
    count
        Its planes.
    said
        Their names in its ``BANDS`` header, or none.
    cube_bands
        Their names where it has no such header; one plane without a name can but be the one band that is wanted.
    bands
        Those wanted.

    Raises
    ------
    BadImage
        missing_band.
    """
    names = tuple(said) or (tuple(bands) if len(bands) == count == 1 else tuple(cube_bands))
    if len(names) != count:
        source = "its BANDS header" if said else "data.bands"
        planes = f"{count} plane{'s' * (count != 1)}"
        reason = f"{path} has {planes}, {source} names {len(names)} ({', '.join(names)})"
        raise BadImage("missing_band", reason)
    for band in bands:
        if band not in names:
            other = next((name for name in names if name.lower() == band.lower()), None)
            cure = f": write {other} in data.bands and data.stretch.colours" if other else ""
            raise BadImage("missing_band", f"{path} has {', '.join(names)}, not {band}{cure}")
    return [names.index(band) for band in bands]


def check_name(
    path: str, named: str, count: int, said: Sequence[str], cube_bands: Sequence[str], bands: Sequence[str]
) -> None:
    """Refuse the first image of a file where its extension is named like a band that is not wanted.

    Parameters
    ----------
    path, count, said, cube_bands, bands
        As of `find_planes`.
    named
        Its EXTNAME.

    Raises
    ------
    BadImage
        missing_band.
    """
    known, wanted = ({band.lower() for band in some} for some in (cube_bands, bands))
    word = named.strip().lower()
    if count == 1 and not said and word in known - wanted:
        reason = f"the first image of {path} is of band {word}, not {bands[0]}: say data.fits.image: bands"
        raise BadImage("missing_band", reason)
