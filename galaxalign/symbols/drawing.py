"""The schematic pen: a `Geometry` as a drawing, white on black like a galaxy on the sky.

SVG and raster paint the same shapes in the same order, so they show the same.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.shapes import Shape, rotation, shapes_of

# Half the frame that a shape fills.
FILL = 0.9
# Raster pixels a side for each final one.
SUPERSAMPLING = 3


def draw(geometry: Geometry, size: int, angle: float = 0.0, thickness: float = 1.0) -> NDArray[np.uint8]:
    """A drawing as pixels.

    Parameters
    ----------
    geometry : what to draw; scaled so that it fills the frame.
    size : pixels a side.
    angle : degrees by which the drawing is turned, anticlockwise as seen.
    thickness : factor on the width of every line.

    Returns
    -------
    (size, size) grey, row 0 at the top.
    """
    side = size * SUPERSAMPLING
    canvas = np.zeros((side, side), dtype=np.float32)
    for shape in _framed(geometry, angle, thickness):
        layer = Image.new("L", (side, side))
        pixels = (shape.points * [1.0, -1.0] + 1.0) * side / 2
        ImageDraw.Draw(layer).polygon([tuple(point) for point in pixels], fill=255)
        soft = layer.filter(ImageFilter.GaussianBlur(shape.blur * side / 2))
        cover = np.asarray(soft, dtype=np.float32) * (shape.opacity / 255)
        canvas = canvas * (1 - cover) + cover * shape.white
    means = canvas.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).mean(axis=(1, 3))
    return np.asarray(np.round(255 * means), dtype=np.uint8)


def to_svg(geometry: Geometry, angle: float = 0.0, thickness: float = 1.0) -> str:
    """The same drawing as vectors: SVG text with a frame of 200 by 200 units around the origin."""
    shapes = _framed(geometry, angle, thickness)
    blurs = sorted({round(100 * shape.blur, 2) for shape in shapes})
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-100 -100 200 200">',
        *(
            f'<filter id="blur{number}" x="-50%" y="-50%" width="200%" height="200%">'
            f'<feGaussianBlur stdDeviation="{blur}"/></filter>'
            for number, blur in enumerate(blurs)
        ),
        '<rect x="-100" y="-100" width="200" height="200" fill="black"/>',
    ]
    for shape in shapes:
        # SVG's y points down.
        corners = " ".join(f"{x:.2f},{y:.2f}" for x, y in shape.points * [100.0, -100.0])
        lines.append(
            f'<polygon points="{corners}" fill="{"white" if shape.white else "black"}" '
            f'fill-opacity="{shape.opacity:.2f}" filter="url(#blur{blurs.index(round(100 * shape.blur, 2))})"/>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _framed(geometry: Geometry, angle: float, thickness: float) -> list[Shape]:
    """The shapes of a geometry, turned, and scaled into a frame from -1 to 1."""
    shapes = shapes_of(geometry, thickness)
    corners = np.concatenate([shape.points for shape in shapes])
    # A galaxy stays in the middle of its frame; a pair, or one with a tail, has its middle elsewhere.
    off_centre = geometry.companion or geometry.tails
    centre = (corners.max(axis=0) + corners.min(axis=0)) / 2 if off_centre else np.zeros(2)
    scale = FILL / float(np.hypot(*(corners - centre).T).max())
    turn = rotation(angle)
    return [
        replace(shape, points=(shape.points - centre) @ turn.T * scale, blur=shape.blur * scale) for shape in shapes
    ]
