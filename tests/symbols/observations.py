"""A plain camera and a plain galaxy, so that a test names only what it is about."""

from dataclasses import replace

import numpy as np
import torch

from galaxalign.symbols.appearance import Appearance, Band, Observation
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.rendering import render

CAMERA = Observation(
    bands=(Band(name="r", wavelength=640.0, psf_fwhm=1.3, sky=0.0, gain=1e12),),
    pixel_scale=0.262,
    psf_beta=3.0,
    seeing_scatter=0.0,
    sky_correlation=0.0,
    background=0.0,
    stars=0.0,
    galaxies=0.0,
    limit=23.0,
)
LOOK = Appearance(
    radius=10.0,
    x=0.0,
    y=0.0,
    angle=0.0,
    phase=0.0,
    old=(16.0,),
    young=(16.0,),
    spheroid_radius=0.3,
    spheroid_index=2.5,
    disk_scale=0.3,
    bulge_index=2.0,
    texture=0.0,
    flocculence=0.0,
    reddening=2.0,
)
# Nanomaggies of magnitude 16.
FLUX = 10 ** (0.4 * 6.5)


def picture(geometry: Geometry, size: int = 112, camera: Observation = CAMERA, **look: object) -> np.ndarray:
    """One galaxy without patterns, (bands, size, size)."""
    generator = torch.Generator().manual_seed(0)
    return render([geometry], [replace(LOOK, **look)], camera, generator, size)[0].double().numpy()
