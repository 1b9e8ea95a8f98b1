"""What a survey sees of a shape: how large and bright a galaxy is, and through what telescope and sky.

A `Geometry` says what a galaxy is; an `Appearance` where, how large and in which colours it is seen; an
`Observation` through what camera.  None of them knows the name of a survey or of a band.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """How one galaxy is seen.

    Attributes
    ----------
    radius : arcsec, the outer radius that a Geometry's lengths are in units of.
    x, y : arcsec from the centre of the frame, to the right and up on the picture.
    angle : degrees from x to the major axis, anticlockwise on the picture.
    phase : degrees by which bar and arms are turned in the plane of the disk before it is inclined.
    old, young : magnitudes (AB) in each band, were the galaxy made of old or of young stars alone; the
        spheroid, bulge and bar are old, the arms young, the disk in between and younger outwards.
    spheroid_radius, spheroid_index : half-light radius (outer radii) and Sersic index of a smooth body.
    disk_scale : scale length of the disk, outer radii.
    bulge_index : Sersic index of the bulge.
    texture : how patchy arms and disk are: standard deviation of the logarithm of their brightness.
    flocculence : how far the arms break up into pieces, 0 to 1.
    reddening : optical depth of the dust lane at 550 nm, where the Geometry has one of strength 1.
    """

    radius: float
    x: float
    y: float
    angle: float
    phase: float
    old: tuple[float, ...]
    young: tuple[float, ...]
    spheroid_radius: float
    spheroid_index: float
    disk_scale: float
    bulge_index: float
    texture: float
    flocculence: float
    reddening: float


@dataclass(frozen=True, kw_only=True)
class Band:
    """One passband of a survey.

    Attributes
    ----------
    name : as in a header.
    wavelength : nm, its middle; sets the colours of stars, of distant galaxies and of dust.
    psf_fwhm : arcsec.
    sky : standard deviation of the sky in a pixel, nanomaggies.
    gain : detected photons per nanomaggy.
    """

    name: str
    wavelength: float
    psf_fwhm: float
    sky: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A camera, the air above it and the sky behind.

    Attributes
    ----------
    bands : in the order of the cubes.
    pixel_scale : arcsec.
    psf_beta : exponent of the Moffat profile.
    seeing_scatter : standard deviation of the logarithm of the PSF's width and of the sky's noise from frame to frame.
    sky_correlation : of the noise of neighbouring pixels.
    background : standard deviation of what sky subtraction leaves, in units of the noise of a pixel.
    stars, galaxies : in the foreground and background, per square arcmin, down to `limit`.
    limit : magnitude at 640 nm of the faintest of them.
    """

    bands: tuple[Band, ...]
    pixel_scale: float
    psf_beta: float
    seeing_scatter: float
    sky_correlation: float
    background: float
    stars: float
    galaxies: float
    limit: float
