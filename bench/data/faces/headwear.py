"""What is worn on a head: hair, hats and glasses."""

from __future__ import annotations

import numpy as np

from bench.data.faces.features import EYE_U, EYE_V
from bench.data.faces.geometry import (
    Array,
    Colour,
    Grid,
    Head,
    Place,
    Surface,
    clamped,
    cover,
    mixed,
    paint,
    scaled,
    tinted,
)
from bench.data.faces.sampling import FACTORS, Face

HAIR: dict[str, Colour] = {
    "black": (0.11, 0.10, 0.11),
    "brown": (0.38, 0.22, 0.12),
    "blond": (0.90, 0.74, 0.38),
    "red": (0.76, 0.30, 0.09),
    "grey": (0.64, 0.64, 0.67),
}
HATS: tuple[Colour, ...] = (
    (0.80, 0.12, 0.14),
    (0.08, 0.48, 0.24),
    (0.12, 0.26, 0.74),
    (0.93, 0.72, 0.10),
    (0.45, 0.18, 0.55),
)
HAT_LINE = {"cap": -0.46, "beanie": -0.40}
HAT_SIZE = 1.13
FRAME: Colour = (0.07, 0.06, 0.07)


def hair_colour(face: Face) -> Colour:
    """Return the colour of a face's hair, brows and beard."""
    return scaled(HAIR[FACTORS["hair_colour"][face.factors["hair_colour"]]], face.traits["hair_shade"])


def hair_style(face: Face) -> str:
    return FACTORS["hair_style"][face.factors["hair_style"]]


def hat(face: Face) -> str:
    return FACTORS["hat"][face.factors["hat"]]


def paint_back_hair(pixels: Array, face: Face, head: Head, picture: Grid) -> None:
    """Paint the hair that hangs behind the neck, before neck and shirt hide its lower part."""
    if hair_style(face) != "long":
        return
    t = face.traits
    a, b, _ = head.radii
    window = picture.window(head.centre, 1.65 * a, 1.85 * b)
    x, y = head.unrolled(picture.part(window))
    bottom = b * (1.10 + 0.30 * t["hair_length"])
    half = a * (1.10 + 0.14 * t["hair_volume"])
    side = x * (1.0 / half) * (1.0 - 0.10 * clamped(y * (1.0 / b), -1.0, 1.0))
    rise = np.minimum(y + 0.2 * b, 0.0) * (1.0 / (0.90 * b))
    tips = np.maximum(y - bottom + 0.35 * b, 0.0) * (1.0 / (0.35 * b))
    distance = (np.sqrt(side * side + rise * rise + tips * tips * tips) - 1.0) * half
    strands = 0.74 + 0.10 * np.sin(x * (11.0 / a) + t["hair_phase"]) - 0.14 * clamped(y * (1.0 / b))
    lit = clamped(1.0 + x * (0.35 * t["light_x"]), 0.6, 1.3)
    paint(pixels, cover(distance, picture.pixel), tinted(hair_colour(face)) * (strands * lit), "hair", window)


def paint_hair(pixels: Array, face: Face, head: Head) -> None:
    """Paint the hair on top and in front of the head."""
    style, t = hair_style(face), face.traits
    if style == "bald":
        return
    if style == "curly":
        _paint_curls(pixels, face, head)
        return
    size = {"short": 1.045, "parted": 1.10, "long": 1.09}[style] + 0.04 * t["hair_volume"]
    if hat(face) != "none":
        size = min(size, 1.08)
    shell = head.shell(size)
    u2 = shell.u * shell.u
    if style == "short":
        line = -0.52 + t["hairline"] + 0.62 * u2 * u2
    elif style == "parted":
        swept = shell.u * (1.0 if t["parting"] > 0 else -1.0)
        line = -0.50 + t["hairline"] + 0.34 * swept - 0.25 * swept * swept + 0.75 * u2 * u2
    else:
        off = shell.u - 0.25 * t["parting"]
        line = -0.66 + t["hairline"] + 0.85 * off * off + 1.6 * u2 * u2 * u2
    inside = cover(shell.v - line, head.pixel) * head.outline(size)
    freedom = 17.0 if style == "short" else 12.0
    strands = np.sin((shell.u + 0.35 * shell.v * shell.u) * freedom + t["hair_phase"])
    paint(pixels, inside, tinted(hair_colour(face)) * (_shine(face, head, shell) + 0.07 * strands), "hair")


def _paint_curls(pixels: Array, face: Face, head: Head) -> None:
    t = face.traits
    x, y = head.unrolled(head.grid)
    a, b, _ = head.radii
    frequency = 7.0 / a
    curl = np.sin(x * frequency + t["hair_phase"]) * np.sin(y * frequency + 2.0 * t["hair_phase"])
    size: Array = 1.20 + 0.10 * t["hair_volume"] + 0.055 * curl
    if hat(face) != "none":  # a hat presses the hair above its rim
        rim = b * HAT_LINE[hat(face)]
        size = 1.08 + (size - 1.08) * clamped((y - rim + 0.12) * 5.0)
    shell = head.shell(size)
    u2 = shell.u * shell.u
    line = -0.62 + t["hairline"] + 0.05 * curl + 0.95 * u2 + 0.55 * u2 * u2
    hanging = cover(y - b * (0.35 + 0.20 * t["hair_length"]) - 0.03 * curl, head.grid.pixel)
    inside = np.maximum(cover(shell.v - line, head.pixel), head.radius > 1.0) * hanging * head.outline(size)
    paint(pixels, inside, tinted(hair_colour(face)) * (_shine(face, head, shell) + 0.16 * curl), "hair")


def _shine(face: Face, head: Head, shell: Surface) -> Array:
    """Return the light on hair: soft from the side, with a band where it bends towards the light."""
    light = head.light
    diffuse = shell.u * light[0] + shell.v * light[1] + shell.w * light[2]
    band = np.maximum(diffuse, 0.0)
    band = band * band
    shade: Array = 0.66 + 0.34 * diffuse + 0.22 * band * band
    return shade


def paint_hat(pixels: Array, face: Face, head: Head) -> None:
    """Paint a cap with its visor or a knitted hat with its brim."""
    kind, t = hat(face), face.traits
    if kind == "none":
        return
    place = t["hat_colour"] * len(HATS)
    colour = scaled(HATS[min(int(place), len(HATS) - 1)], t["hat_shade"])
    if kind == "cap":
        _paint_cap(pixels, face, head, colour)
    else:
        _paint_beanie(pixels, face, head, colour)


def _paint_cap(pixels: Array, face: Face, head: Head, colour: Colour) -> None:
    light = head.light
    a, b, d = head.radii
    shell = head.shell(HAT_SIZE)
    line = HAT_LINE["cap"] + 0.22 * shell.u * shell.u
    diffuse = shell.u * light[0] + shell.v * light[1] + shell.w * light[2]
    panels = 1.0 - 0.16 * (np.abs(np.abs(shell.u) - 0.02 - 0.52 * shell.w) < 0.03)
    dome = cover(shell.v - line, head.pixel) * head.outline(HAT_SIZE)
    x, z = head.plane((HAT_LINE["cap"] - 0.03) * b, 0.95 * d, 0.95)
    side, reach = x * (1.0 / (0.92 * a)), (z - 0.45 * x * x) * (1.0 / (0.66 * a))
    distance = (np.sqrt(side * side + reach * reach) - 1.0) * (0.5 * a)
    visor = cover(distance, head.grid.pixel * 0.9)
    paint(pixels, visor, tinted(colour) * (0.55 + 0.48 * clamped(reach, -0.5, 1.0)), "hat")
    paint(pixels, dome, tinted(colour) * ((0.62 + 0.46 * diffuse) * panels), "hat")


def _paint_beanie(pixels: Array, face: Face, head: Head, colour: Colour) -> None:
    light, t = head.light, face.traits
    y = head.unrolled(head.grid)[1]
    size: Array = HAT_SIZE + (0.04 + 0.14 * t["hat_height"]) * clamped(-y * (1.4 / head.radii[1]) - 0.4)
    shell = head.shell(size)
    diffuse = shell.u * light[0] + shell.v * light[1] + shell.w * light[2]
    line = HAT_LINE["beanie"] + 0.10 * shell.u * shell.u
    ribs = np.sin(shell.u * (15.0 - 3.0 * shell.u * shell.u))
    knitted = (0.60 + 0.42 * diffuse) * (1.0 + 0.13 * ribs)
    paint(pixels, cover(shell.v - line, head.pixel) * head.outline(size), tinted(colour) * (knitted), "hat")
    brim = cover(np.maximum(shell.v - line, line - 0.30 - shell.v), head.pixel) * head.outline(size * 1.02)
    paint(pixels, brim, tinted(mixed(colour, (1.0, 1.0, 1.0), 0.22)) * (knitted * 1.05), "hat")


def paint_glasses(pixels: Array, face: Face, head: Head) -> None:
    """Paint spectacles or sunglasses, in front of everything."""
    kind, t = FACTORS["glasses"][face.factors["glasses"]], face.traits
    if kind == "none":
        return
    a, b, d = head.radii
    x, y = head.plane(EYE_V * b, 1.02 * d, 0.0)
    dark = kind == "sunglasses"
    radius = (0.325 if dark else 0.315) * a * t["frame"]
    out, up = np.abs(x) - EYE_U * a - 0.01, y - 0.012
    if dark:  # wider than high, flat on top
        distance = np.sqrt(out * out * 0.80 + up * up * np.where(up < 0, 1.6, 1.0)) - radius
    else:
        distance = np.sqrt(out * out + up * up) - radius
    lens = cover(distance, head.grid.pixel)
    gleam = clamped(1.0 - np.abs(out - y * 0.8 - 0.1 * (t["glare"] - 0.5)) * 14.0)
    if dark:
        paint(pixels, lens, (0.05, 0.05, 0.07), "glasses")
        paint(pixels, lens * clamped(0.35 - up * 5.0) * 0.35, (0.45, 0.48, 0.58), "glasses")
    else:
        paint(pixels, lens * (0.16 + 0.25 * gleam), (0.92, 0.97, 1.0), "glasses")
    width = 0.020 if dark else 0.026
    rim = np.abs(distance) - width
    bridge = np.maximum(np.abs(y + 0.03) - width * 0.9, np.abs(x) - 0.06)
    paint(pixels, cover(np.minimum(rim, bridge), head.grid.pixel), FRAME, "glasses")
    for side in (-1.0, 1.0):
        hinge = head.place((side * (EYE_U * a + radius + 0.01), (EYE_V - 0.05) * b, 0.90 * d))
        ear = head.place((side * 1.0 * a, (EYE_V - 0.06) * b, 0.15 * d))
        if (ear[0] - hinge[0]) * side > 0.0:  # the far side's arm is behind the head
            paint(pixels, cover(_segment(head, hinge, ear) - 0.020, head.grid.pixel), FRAME, "glasses")


def _segment(head: Head, start: Place, end: Place) -> Array:
    """Return the distance to a line between two places in the picture."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = head.grid.x - start[0], head.grid.y - start[1]
    along = clamped((x * dx + y * dy) * (1.0 / (dx * dx + dy * dy + 1e-9)))
    distance: Array = np.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2)
    return distance
