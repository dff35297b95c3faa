"""Where things are: the picture's pixels, and a head's surface seen by parallel rays.

Lengths are in half picture widths, x to the right, y down, z towards the viewer. The head is an egg-shaped ellipsoid
that is cast exactly, so that everything painted on it turns with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, sin, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.faces.parts import PARTS
from bench.data.faces.sampling import Face

Array = npt.NDArray[np.floating[Any]]  # float32 throughout
Colour = tuple[float, float, float]
Vector = tuple[float, float, float]
Place = tuple[float, float]
Window = tuple[slice, slice]

EVERYWHERE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class Grid:
    """The centres of a picture's pixels, or of a part's: `x` (1, w), `y` (h, 1), and the width of a pixel."""

    x: Array
    y: Array
    pixel: float

    def window(self, centre: Place, half_width: float, half_height: float) -> Window:
        """Return the pixels around a place as slices of this grid; a window holds at least one pixel."""
        return (
            _span(centre[1], half_height, float(self.y[0, 0]), self.pixel, self.y.size),
            _span(centre[0], half_width, float(self.x[0, 0]), self.pixel, self.x.size),
        )

    def part(self, window: Window) -> Grid:
        """Return the grid of a window's pixels."""
        return Grid(self.x[:, window[1]], self.y[window[0], :], self.pixel)


@lru_cache(maxsize=4)
def grid(resolution: int) -> Grid:
    """Return the pixel grid of a picture that spans [-1, 1] both ways."""
    line = ((np.arange(resolution, dtype=np.float32) + 0.5) * 2.0 / resolution - 1.0).astype(np.float32)
    line.setflags(write=False)
    return Grid(line[None, :], line[:, None], 2.0 / resolution)


def cover(distance: Array, pixel: float) -> Array:
    """Return how much of each pixel lies inside a shape, from signed distances (negative inside): smooth edges."""
    return clamped(0.5 - distance * (1.0 / pixel))


def clamped(values: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """Return values cut off at both ends; a third of np.clip's time on the small arrays here."""
    limited: Array = np.minimum(np.maximum(values, low), high)
    return limited


def bump(squared: Array) -> Array:
    """Return a soft hill (1 - r²)², 0 outside r = 1, from squared radii; cheaper than a Gaussian and ends exactly."""
    hill: Array = np.maximum(1.0 - squared, 0.0)
    return hill * hill


def fill(pixels: Array, colour: Array | Colour, part: str) -> None:
    """Make all `pixels` of one colour, (3,) or (3, H, W), and of one part."""
    pixels[:3] = tinted(colour) if isinstance(colour, tuple) else colour
    shares = pixels[3:]
    shares[...] = 0.0
    if len(shares):
        shares[PARTS.index(part)] = 1.0


def paint(pixels: Array, covered: Array, colour: Array | Colour, part: str, window: Window = EVERYWHERE) -> None:
    """Lay `colour`, (3,) or (3, h, w), over the window of `pixels` where `covered` (h, w) says so.

    pixels   (3, H, W) colours; or (3 + 10, H, W): behind these the share of each part of a face in each pixel
    part     which of PARTS is laid over the others
    """
    area = pixels[:, window[0], window[1]]
    colours, shares = area[:3], area[3:]
    tint = tinted(colour) if isinstance(colour, tuple) else colour
    colours += covered * (tint - colours)
    if len(shares):
        shares -= covered * shares
        shares[PARTS.index(part)] += covered


def tinted(colour: Colour) -> Array:
    """Return a colour as (3, 1, 1), to be multiplied by a shade (h, w)."""
    return np.array(colour, dtype=np.float32)[:, None, None]


def scaled(colour: Colour, factor: float) -> Colour:
    """Return a colour made lighter or darker."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return `first` with `share` of `second` in it."""
    return (
        first[0] + share * (second[0] - first[0]),
        first[1] + share * (second[1] - first[1]),
        first[2] + share * (second[2] - first[2]),
    )


@dataclass(frozen=True)
class Surface:
    """A shell around the head: unit-sphere coordinates `u` (right), `v` (down), `w` (front), each (h, w).

    `depth` is 1 where the shell faces the viewer and 0 at its outline and outside.
    """

    u: Array
    v: Array
    w: Array
    depth: Array


class Head:
    """The head's ellipsoid in its pose.

    Scaling by the ellipsoid's radii makes it a unit sphere under parallel rays; (p_u, p_v, p_w) is the point of each
    pixel's ray nearest to the centre, `radius` its distance from there (1 on the outline).
    """

    def __init__(self, face: Face, picture: Grid, reach: float) -> None:
        """Cast the head over the part of the picture's grid that a shell `reach` times as large can touch."""
        t = face.traits
        size = t["scale"]
        self.radii: Vector = (0.455 * size * t["head_width"], 0.560 * size * t["head_height"], 0.49 * size)
        self.centre = (t["shift_x"] + 0.07 * t["yaw"], -0.09 + t["shift_y"])
        self.size = size
        self.window = picture.window(self.centre, reach * (self.radii[0] + 0.04), reach * self.radii[1] + 0.03)
        """The pixels of the picture that `grid` and all arrays of this head belong to."""
        self.grid = picture.part(self.window)
        self._roll = (cos(t["roll"]), sin(t["roll"]))
        self._yaw = (cos(t["yaw"]), sin(t["yaw"]))
        self._pitch = (cos(t["pitch"]), sin(t["pitch"]))
        self._taper = (t["taper"], t["jaw"])
        light = _unit((t["light_x"], -t["light_y"], 0.85))
        self.light = self._into_head(light)
        """The direction towards the light in the head's frame."""
        self.frontal_light = light[2]
        """How much of the light falls on what faces the viewer."""
        self._cast()

    def _cast(self) -> None:
        a, b, d = self.radii
        x, y = self.unrolled(self.grid)
        height = y * (1.0 / b)
        narrow, jaw = self._taper
        x = x / (1.0 - narrow * height + jaw * height * np.maximum(height, 0.0))
        towards = self._into_pose((0.0, 0.0, 1.0))
        forward = (towards[0] / a, towards[1] / b, towards[2] / d)
        length = sqrt(sum(value * value for value in forward))
        self.forward: Vector = (forward[0] / length, forward[1] / length, forward[2] / length)
        across = self._flattened(self._into_pose((1.0, 0.0, 0.0)))
        down = self._flattened(self._into_pose((0.0, 1.0, 0.0)))
        self.p = tuple(across[i] * x + down[i] * y for i in range(3))
        self.radius2: Array = self.p[0] * self.p[0] + self.p[1] * self.p[1] + self.p[2] * self.p[2]
        self.radius: Array = np.sqrt(self.radius2)
        self.pixel = self.grid.pixel / sqrt(a * b)
        """The width of a pixel in unit-sphere coordinates."""

    def _flattened(self, axis: Vector) -> Vector:
        """Scale a direction to the unit sphere and take away what lies along the rays."""
        scaled_axis = tuple(value / radius for value, radius in zip(axis, self.radii, strict=True))
        along = sum(value * other for value, other in zip(scaled_axis, self.forward, strict=True))
        u, v, w = (value - along * other for value, other in zip(scaled_axis, self.forward, strict=True))
        return (u, v, w)

    def unrolled(self, pixels: Grid) -> tuple[Array, Array]:
        """Return the pixels' places relative to the head's centre, in the head's upright frame."""
        x, y = pixels.x - self.centre[0], pixels.y - self.centre[1]
        c, s = self._roll
        return c * x + s * y, c * y - s * x

    def shell(self, size: float | Array) -> Surface:
        """Return the surface `size` times as large as the head."""
        depth = np.sqrt(np.maximum(size * size - self.radius2, 0.0))
        u, v, w = (p + f * depth for p, f in zip(self.p, self.forward, strict=True))
        return Surface(u, v, w, depth)

    def outline(self, size: float | Array) -> Array:
        """Return how much of each pixel lies within the outline of the shell of that size."""
        return cover(self.radius - size, self.pixel)

    def on_face(self, u: float, v: float) -> Place:
        """Return where in the picture the face's point (u, v) is."""
        w = sqrt(max(1.0 - u * u - v * v, 0.0))
        return self.place((u * self.radii[0], v * self.radii[1], w * self.radii[2]))

    def place(self, point: Vector) -> Place:
        """Return where in the picture a point of the head's frame (in lengths, not in radii) is."""
        x, y, _ = self._out_of_pose(point)
        narrow, jaw = self._taper
        height = y / self.radii[1]
        x *= 1.0 - narrow * height + jaw * height * max(height, 0.0)
        c, s = self._roll
        return c * x - s * y + self.centre[0], s * x + c * y + self.centre[1]

    def plane(self, height: float, distance: float, tilt: float) -> tuple[Array, Array]:
        """Return the pixels' coordinates on a plane that is fixed to the head.

        The plane goes through (0, height, distance) and is spanned by the head's x axis and the direction
        (0, cos tilt, sin tilt): tilt 0 is the plane of spectacles, near pi/2 the plane of a visor.
        """
        x, y = self.unrolled(self.grid)
        origin = self._out_of_pose((0.0, height, distance))
        across = self._out_of_pose((1.0, 0.0, 0.0))
        along = self._out_of_pose((0.0, cos(tilt), sin(tilt)))
        x, y = x - origin[0], y - origin[1]
        scale = 1.0 / (across[0] * along[1] - across[1] * along[0])
        return (along[1] * x - along[0] * y) * scale, (across[0] * y - across[1] * x) * scale

    def _out_of_pose(self, point: Vector) -> Vector:
        """Turn a point of the head's frame by pitch, then yaw (roll is done in the picture)."""
        x, y, z = point
        c, s = self._pitch
        y, z = c * y + s * z, c * z - s * y
        c, s = self._yaw
        return (c * x + s * z, y, c * z - s * x)

    def _into_pose(self, point: Vector) -> Vector:
        x, y, z = point
        c, s = self._yaw
        x, z = c * x - s * z, c * z + s * x
        c, s = self._pitch
        return (x, c * y - s * z, c * z + s * y)

    def _into_head(self, direction: Vector) -> Vector:
        c, s = self._roll
        x, y, z = direction
        return self._into_pose((c * x + s * y, c * y - s * x, z))


def _unit(vector: Vector) -> Vector:
    length = sqrt(sum(value * value for value in vector))
    return (vector[0] / length, vector[1] / length, vector[2] / length)


def _span(centre: float, half: float, origin: float, pixel: float, count: int) -> slice:
    first = min(max(int((centre - half - origin) / pixel), 0), count - 1)
    last = int((centre + half - origin) / pixel) + 2
    return slice(first, min(max(last, first + 1), count))
