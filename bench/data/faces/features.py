"""What is painted on a head: eyes, brows, nose, mouth and beard, all in coordinates that turn with it."""

from __future__ import annotations

import math

import numpy as np

from bench.data.faces.geometry import Array, Colour, Head, Surface, Window, bump, clamped, cover, mixed, paint, scaled
from bench.data.faces.sampling import FACTORS, Face

IRIS: dict[str, Colour] = {"brown": (0.33, 0.18, 0.08), "blue": (0.16, 0.42, 0.82), "green": (0.16, 0.56, 0.27)}
EYE_U, EYE_V, MOUTH_V = 0.37, 0.02, 0.50
EYE_WHITE: Colour = (0.97, 0.97, 0.95)
DARK: Colour = (0.10, 0.06, 0.06)
TEETH: Colour = (0.97, 0.96, 0.93)
THROAT: Colour = (0.33, 0.06, 0.07)
TONGUE: Colour = (0.78, 0.32, 0.33)


def paint_features(
    pixels: Array, shade: Array, face: Face, head: Head, surface: Surface, skin: Colour, hair: Colour
) -> None:
    """Paint a face's features over its skin colour; what only changes the light goes into `shade` (h, w)."""
    _blush(pixels, face, head, surface)
    _beard(pixels, face, head, surface, hair)
    _nose(pixels, shade, face, head, skin)
    _mouth(pixels, face, head, surface, skin)
    _eyes(pixels, shade, face, head, surface, skin)
    _brows(pixels, face, head, surface, mixed(scaled(hair, 0.8), skin, 0.10))


def _local(
    head: Head, surface: Surface, u: float, v: float, half_u: float, half_v: float
) -> tuple[Window, Array, Array]:
    """Return a window around the face's point (u, v) and the surface's coordinates in it, relative to that point."""
    a, b, _ = head.radii
    window = head.grid.window(head.on_face(u, v), half_u * a, half_v * b)
    return window, surface.u[window] - u, surface.v[window] - v


def _blush(pixels: Array, face: Face, head: Head, surface: Surface) -> None:
    window, u, dv = _local(head, surface, 0.0, 0.33, 0.86, 0.36)
    out = np.abs(u) - 0.50
    rosy = bump((out * out + dv * dv) * 9.0) * (0.20 * face.traits["blush"])
    pixels[1:3, window[0], window[1]] *= 1.0 - rosy


def _eyes(pixels: Array, shade: Array, face: Face, head: Head, surface: Surface, skin: Colour) -> None:
    """Paint both eyes at once: socket, lashes, white, iris, pupil, and the light's reflection."""
    t = face.traits
    window, u, dv = _local(head, surface, 0.0, EYE_V, 0.78, 0.36)
    du = u - np.copysign(np.float32(EYE_U), u)
    width, height = 0.205 * t["eye_size"], 0.150 * t["eye_size"] * t["eye_openness"]
    brow = dv + 0.05
    shade[window] *= 1.0 - 0.16 * bump(du * du * 8.0 + brow * brow * 14.0)
    x, y = du * (1.0 / width), dv * (1.0 / height)
    x2, lid = x * x, y + 0.16
    opening = cover((np.sqrt(x2 + y * y) - 1.0) * height, head.pixel)
    lash = cover((np.sqrt(x2 + lid * lid) - 1.10) * height, head.pixel) * (y < 0.35)
    paint(pixels, lash, mixed(DARK, skin, 0.12), "eyes", window)
    paint(pixels, opening, EYE_WHITE, "eyes", window)
    gaze_u, gaze_v = du - t["gaze_x"] * width, dv - t["gaze_y"] * height
    distance = np.sqrt(gaze_u * gaze_u + gaze_v * gaze_v * 1.2)
    radius = 0.128 * t["eye_size"]
    iris = IRIS[FACTORS["eyes"][face.factors["eyes"]]]
    paint(pixels, opening * cover(distance - radius, head.pixel), scaled(iris, 0.62), "eyes", window)
    paint(pixels, opening * cover(distance - radius * 0.80, head.pixel), iris, "eyes", window)
    paint(pixels, opening * cover(distance - radius * 0.46, head.pixel), DARK, "eyes", window)
    spark_u, spark_v = gaze_u - math.copysign(0.05, t["light_x"]), gaze_v + 0.05
    spark = cover(np.sqrt(spark_u * spark_u + spark_v * spark_v) - 0.032, head.pixel)
    paint(pixels, opening * spark, EYE_WHITE, "eyes", window)


def _brows(pixels: Array, face: Face, head: Head, surface: Surface, colour: Colour) -> None:
    t = face.traits
    window, u, dv = _local(head, surface, 0.0, EYE_V - 0.27 - t["brow_height"], 0.74, 0.24)
    out = np.abs(u) - 0.39
    line = dv - out * t["brow_tilt"] - 0.9 * out * out
    thickness = 0.050 * t["brow_weight"] * (1.0 - 1.2 * out)
    paint(pixels, cover(np.maximum(np.abs(line) - thickness, np.abs(out) - 0.215), head.pixel), colour, "brows", window)


def _nose(pixels: Array, shade: Array, face: Face, head: Head, skin: Colour) -> None:
    size = face.traits["nose_size"]
    _, b, d = head.radii
    tip = head.place((0.0, 0.20 * b, 1.10 * d))
    root = head.place((0.0, -0.06 * b, 1.0 * d))
    radius = 0.095 * size * head.size
    window = head.grid.window(((tip[0] + root[0]) / 2, (tip[1] + root[1]) / 2), 2.2 * radius, 2.9 * radius)
    x, y = head.grid.x[:, window[1]], head.grid.y[window[0], :]
    light_x, light_y = face.traits["light_x"], face.traits["light_y"]
    dx, dy = (x - tip[0]) * (1.0 / radius), (y - tip[1]) * (1.0 / radius)
    # The bridge: a ridge from the root to the tip, lit on the side of the light.
    length = root[1] - tip[1]
    along = clamped((y - tip[1]) * (1.0 / length))
    across = (x - tip[0] - along * (root[0] - tip[0])) * (1.0 / (radius * 0.62))
    ridge = bump(across * across) * (along > 0.0) * (1.0 - along) * (across * (0.75 * light_x) + 0.08)
    # The ball, and its shadow below.
    ball = bump((dx * dx + dy * dy) * 0.8) * (dx * (0.75 * light_x) - dy * (0.40 + 0.5 * light_y) + 0.12)
    below = dy - 0.95
    shadow = bump(dx * dx * 0.9 + below * below * 4.0) * 0.22
    shade[window] += (ridge + ball - shadow).astype(np.float32)
    hole_x, hole_y = np.abs(dx) - 0.42, dy - 0.62
    nostrils = (np.sqrt(hole_x * hole_x + hole_y * hole_y * 2.5) - 0.20) * radius
    paint(pixels, cover(nostrils, head.grid.pixel) * 0.75, scaled(skin, 0.42), "skin", window)


def _mouth(pixels: Array, face: Face, head: Head, surface: Surface, skin: Colour) -> None:
    t = face.traits
    kind = FACTORS["mouth"][face.factors["mouth"]]
    lip = mixed(skin, (0.72, 0.20, 0.22), 0.50)
    window, du, dv = _local(head, surface, 0.0, MOUTH_V, 0.55, 0.42)
    width = t["mouth_width"] * {"neutral": 0.25, "smile": 0.36, "open": 0.30, "frown": 0.31}[kind]
    x = du * (1.0 / width)
    inside = np.maximum(1.0 - x * x, 0.0)
    if kind == "open":
        height = 0.20 * t["mouth_opening"]
        top, bottom = -0.065 + 0.02 * inside, -0.065 + height * np.sqrt(inside) + 0.03 * inside
        _between(pixels, dv, top - 0.055 * inside, bottom + 0.060 * inside, lip, head, window)
        _between(pixels, dv, top, bottom, THROAT, head, window)
        _between(pixels, dv, top, np.minimum(top + 0.085, bottom), TEETH, head, window)
        tongue = du * du * 40.0 + (dv - height + 0.06) * (dv - height + 0.06) * 150.0
        paint(pixels, bump(tongue) * (dv < bottom) * (dv > top + 0.085), TONGUE, "mouth", window)
        return
    bend = {"neutral": 0.0, "smile": 0.19, "frown": -0.165}[kind]
    middle = 0.5 * bend - bend * x * x
    _between(pixels, dv, middle - 0.060 * np.sqrt(inside), middle + 0.090 * np.sqrt(inside), lip, head, window)
    seam = np.maximum(np.abs(dv - middle) - 0.032, np.abs(x) * width - width)
    paint(pixels, cover(seam, head.pixel), scaled(lip, 0.42), "mouth", window)


def _between(pixels: Array, v: Array, top: Array, bottom: Array, colour: Colour, head: Head, window: Window) -> None:
    """Paint what of a mouth lies below `top` and above `bottom`; no more of it than there is between them."""
    covered = cover(np.maximum(top - v, v - bottom), head.pixel)
    paint(pixels, np.minimum(covered, (bottom - top) * (1.0 / head.pixel)), colour, "mouth", window)


def _beard(pixels: Array, face: Face, head: Head, surface: Surface, hair: Colour) -> None:
    kind = FACTORS["beard"][face.factors["beard"]]
    if kind == "none":
        return
    colour = scaled(hair, 0.86)
    if kind == "full":
        window, u, v = _local(head, surface, 0.0, 0.55, 1.15, 0.75)
        v = v + 0.55
        u2 = u * u
        edge = np.minimum(v - 0.37 + 0.10 * u2 - 0.62 * u2 * u2, 0.0) * -1.0
        distance = np.where(edge > 0, edge, -0.2)
        paint(pixels, cover(distance, 0.07 + head.pixel), colour, "beard", window)
        return
    window, u, v = _local(head, surface, 0.0, 0.36, 0.50, 0.24)
    lobe = 0.068 - 0.30 * u * u
    paint(
        pixels,
        cover(np.maximum(np.abs(v - 0.55 * u * u) - lobe, np.abs(u) - 0.34), head.pixel),
        colour,
        "beard",
        window,
    )
    if kind == "goatee":
        window, u, v = _local(head, surface, 0.0, 0.76, 0.50, 0.40)
        distance = (np.sqrt(u * u * 12.0 + v * v * 24.0) - 1.0) * 0.22
        sides = np.maximum(np.abs(np.abs(u) - 0.32) - 0.055, np.abs(v + 0.22) - 0.18)
        paint(pixels, cover(np.minimum(distance, sides), head.pixel), colour, "beard", window)
