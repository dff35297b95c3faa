"""A picture from back to front: background, body, head, hair, hat, glasses."""

from __future__ import annotations

import numpy as np

from bench.data.faces.features import paint_features
from bench.data.faces.geometry import (
    Array,
    Colour,
    Grid,
    Head,
    bump,
    clamped,
    cover,
    fill,
    grid,
    mixed,
    paint,
    scaled,
    tinted,
)
from bench.data.faces.headwear import (
    HAT_LINE,
    hair_colour,
    hair_style,
    hat,
    paint_back_hair,
    paint_glasses,
    paint_hair,
    paint_hat,
)
from bench.data.faces.parts import PARTS
from bench.data.faces.sampling import FACTORS, Face

SKIN: dict[str, Colour] = {
    "porcelain": (0.99, 0.87, 0.79),
    "light": (0.88, 0.67, 0.50),
    "tan": (0.70, 0.47, 0.31),
    "brown": (0.50, 0.31, 0.195),
    "deep brown": (0.29, 0.175, 0.12),
}
BACKGROUND: dict[str, Colour] = {
    "sand": (0.84, 0.73, 0.48),
    "silver": (0.82, 0.84, 0.87),
    "green": (0.25, 0.60, 0.40),
    "coral": (0.85, 0.38, 0.36),
    "violet": (0.53, 0.38, 0.70),
    "blue": (0.26, 0.50, 0.84),
}
SHIRT: dict[str, Colour] = {
    "red": (0.74, 0.10, 0.13),
    "yellow": (0.88, 0.66, 0.08),
    "green": (0.05, 0.42, 0.20),
    "blue": (0.10, 0.18, 0.60),
}


def draw_pixels(face: Face, resolution: int, parts: bool = False) -> Array:
    """Draw a face: float32 (3, R, R), 0 black and 1 full light (values may lie a little outside).

    With `parts` 10 planes follow: the share of each of PARTS in each pixel, which add up to 1.
    """
    pixels = grid(resolution)
    tall = hair_style(face) == "curly" or hat(face) == "beanie"
    head = Head(face, pixels, reach=1.36 if tall else 1.16)
    picture = np.empty((3 + len(PARTS) * parts, resolution, resolution), dtype=np.float32)
    skin = _skin(face)
    _paint_background(picture, face, pixels)
    paint_back_hair(picture, face, head, pixels)
    _paint_body(picture, face, head, pixels, skin)
    around_head = picture[:, head.window[0], head.window[1]]
    _paint_ears(around_head, face, head, skin)
    _paint_head(around_head, face, head, skin)
    paint_hair(around_head, face, head)
    paint_hat(around_head, face, head)
    paint_glasses(around_head, face, head)
    warmth = face.traits["warmth"]
    picture[:3] *= tinted((1.0 + 0.025 * warmth, 1.0, 1.0 - 0.035 * warmth))
    return picture


def _skin(face: Face) -> Colour:
    """Return the skin's colour: one of five tones, a little rosier or more golden, never lighter or darker."""
    red, green, blue = SKIN[FACTORS["skin"][face.factors["skin"]]]
    hue = face.traits["skin_hue"]
    return (red, green * (1.0 + 0.012 * hue), blue * (1.0 - 0.045 * hue))


def _paint_background(picture: Array, face: Face, pixels: Grid) -> None:
    t = face.traits
    colour = tinted(BACKGROUND[FACTORS["background"][face.factors["background"]]])
    dx, dy = pixels.x - t["glow_x"], pixels.y - t["glow_y"]
    glow = bump((dx * dx + dy * dy) * 0.42) * t["glow"]
    shade = (0.86 + (0.06 * t["light_x"] - 0.06 * pixels.x) * pixels.x) - (0.10 + 0.06 * pixels.y) * pixels.y
    fill(picture, colour * (shade + 0.70 * glow), "background")
    picture[:3] += 0.30 * glow


def _paint_body(picture: Array, face: Face, head: Head, pixels: Grid, skin: Colour) -> None:
    """Paint shirt and neck; the neck leans from the head to the body and ends in a round or a deep neckline."""
    t = face.traits
    window = pixels.window((0.0, 0.60), 1.1, 0.42)
    part = pixels.part(window)
    x, y, target = part.x, part.y, picture[:, window[0], window[1]]
    middle = 0.45 * head.centre[0]
    shirt = scaled(SHIRT[FACTORS["shirt"][face.factors["shirt"]]], t["shirt_shade"])
    light_x, light_y = t["light_x"], t["light_y"]
    under_x, under_y = (x - head.centre[0]) * (1.0 / head.radii[0]), (y - head.centre[1]) * (1.0 / head.radii[1])
    chin = np.sqrt(under_x * under_x + under_y * under_y)  # 1 at the head's outline: what is near it lies in its shadow
    side, down = (x - middle) * (1.0 / (0.97 * t["shoulders"])), (y - 1.24) * (1.0 / 0.60)
    body = cover((np.sqrt(side * side + down * down) - 1.0) * 0.72, pixels.pixel)
    shade = 0.84 + 0.34 * (side * light_x - down * light_y) - 0.30 * clamped(1.75 - chin) * clamped(1.75 - chin)
    shade += 0.035 * np.sin(x * 9.0 + y * 7.0 + t["hair_phase"])  # folds
    paint(target, body, tinted(shirt) * shade, "shirt")
    lean = clamped((y - head.centre[1]) * 1.3)
    half, depth = 0.185 * head.size, 0.09 + 0.11 * t["collar"]
    across = (x - (head.centre[0] + lean * (middle - head.centre[0]))) * (1.0 / half)
    low = np.maximum(y - 0.63, 0.0) * (1.0 / depth)
    distance = (np.sqrt(across * across + low * low) - 1.0) * min(half, depth)
    collar = cover(distance - 0.055, pixels.pixel) * (y > 0.62) * body
    paint(target, collar, tinted(scaled(shirt, 0.72)) * (shade + 0.1), "shirt")
    throat = 0.86 + (0.22 * light_x - 0.16 * across) * across - 0.36 * clamped(1.45 - chin, 0.0, 0.6)
    paint(target, cover(distance, pixels.pixel) * (y > head.centre[1]), tinted(skin) * throat, "skin")


def _paint_ears(pixels: Array, face: Face, head: Head, skin: Colour) -> None:
    a, b, _ = head.radii
    size = 0.12 * head.size * face.traits["ear_size"]
    colour = tinted(mixed(skin, (0.8, 0.3, 0.25), 0.08))
    for side in (-1.0, 1.0):
        centre = head.place((side * 0.99 * a, 0.06 * b, -0.02))
        window = head.grid.window(centre, 1.3 * size, 1.8 * size)
        x = (head.grid.x[:, window[1]] - centre[0]) * (1.0 / (0.85 * size))
        y = (head.grid.y[window[0], :] - centre[1]) * (1.0 / (1.35 * size))
        inner = x - 0.25 * side
        shade = 0.86 + 0.14 * x * face.traits["light_x"] - 0.26 * bump((inner * inner + y * y) * 2.6)
        ear = cover((np.sqrt(x * x + y * y) - 1.0) * size, head.grid.pixel)
        paint(pixels, ear, colour * shade, "skin", window)


def _paint_head(pixels: Array, face: Face, head: Head, skin: Colour) -> None:
    """Paint the skin, what is on it, and the light, then lay it over the picture."""
    surface = head.shell(1.0)
    light = head.light
    diffuse = surface.u * light[0] + surface.v * light[1] + surface.w * light[2]
    # Light from the side is made up for, so that a face's mean hardly changes and skin tones stay apart.
    strength = 0.40 * face.traits["strength"]
    shade = (0.96 - 0.88 * strength * head.frontal_light) + strength * diffuse
    shade *= 0.87 + 0.13 * surface.depth
    if hat(face) != "none":  # a hat's shadow on the forehead
        shade *= 1.0 - 0.26 * clamped(1.0 - (surface.v - HAT_LINE[hat(face)]) * 4.0)
    albedo = np.empty_like(pixels)
    fill(albedo, skin, "skin")
    paint_features(albedo, shade, face, head, surface, skin, hair_colour(face))
    albedo[:3] *= shade
    gloss = np.maximum(diffuse, 0.0)
    gloss = gloss * gloss
    gloss = gloss * gloss
    albedo[:3] += (0.10 * gloss) * gloss
    pixels += head.outline(1.0) * (albedo - pixels)  # all of its planes
