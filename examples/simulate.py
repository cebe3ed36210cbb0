"""Simulated data of the examples: a tomography scan with its answer, and a year of weather.

Seeded: the same numbers with every run.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

SIDE = 128
"""Width of the detector and of the volume, in pixels."""
ROWS = 64
"""Rows of the detector, slices of the volume."""
ANGLES = 120
"""Exposures over half a turn."""
FLAT_FIELD = 20000
"""Photons that a pixel counts when nothing is in the beam."""

DAYS = 365
LATITUDES = np.arange(-90.0, 91.0, 5.0)
"""(37,) degrees north."""
LONGITUDES = np.arange(0.0, 360.0, 5.0)
"""(72,) degrees east."""


class Ellipsoid(NamedTuple):
    """A body: what it adds to the absorption; semi-axes, centre, and rotation about z in degrees."""

    absorption: float
    a: float
    b: float
    c: float
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    turn: float = 0.0


# A shell with fluid, and inclusions that show resolution, contrast and direction.
PHANTOM = (
    Ellipsoid(2.0, 0.72, 0.92, 0.95),
    Ellipsoid(-1.3, 0.66, 0.87, 0.90),
    Ellipsoid(-0.4, 0.16, 0.41, 0.60, -0.24, 0.05, 0.0, 18.0),
    Ellipsoid(-0.4, 0.11, 0.31, 0.50, 0.24, 0.05, 0.0, -18.0),
    Ellipsoid(0.5, 0.21, 0.25, 0.35, 0.0, 0.45, 0.1),
    Ellipsoid(0.9, 0.05, 0.05, 0.70, 0.0, -0.05, 0.0),
    Ellipsoid(0.9, 0.04, 0.04, 0.08, -0.10, -0.55, -0.3),
    Ellipsoid(0.9, 0.03, 0.03, 0.06, 0.00, -0.55, 0.0),
    Ellipsoid(0.9, 0.04, 0.04, 0.08, 0.10, -0.55, 0.3),
)


def phantom() -> npt.NDArray[np.float32]:
    """Compute the absorption of the phantom, (ROWS, SIDE, SIDE): z, y, x; per half width of the detector."""
    position = _centres(SIDE)
    volume = np.zeros((ROWS, SIDE, SIDE), np.float32)
    y, x = position[:, None], position[None, :]
    for body in PHANTOM:
        cos, sin = math.cos(math.radians(body.turn)), math.sin(math.radians(body.turn))
        u = (x - body.x) * cos + (y - body.y) * sin
        v = (y - body.y) * cos - (x - body.x) * sin
        disc = (u / body.a) ** 2 + (v / body.b) ** 2
        height = ((_centres(ROWS) - body.z) / body.c) ** 2
        volume += np.float32(body.absorption) * (disc[None] + height[:, None, None] <= 1)
    return volume


def exposures() -> npt.NDArray[np.uint16]:
    """Count the photons behind the phantom, (ANGLES, ROWS, SIDE): angle, z, detector; with shot noise."""
    theta = angles()[:, None, None]
    position = _centres(SIDE)[None, None, :]
    absorbed = np.zeros((ANGLES, ROWS, SIDE))
    for body in PHANTOM:
        # A plane cuts an ellipsoid in an ellipse, whose shadow is known in closed form.
        height = ((_centres(ROWS) - body.z) / body.c)[None, :, None] ** 2
        shrunk = np.clip(1 - height, 0, None)
        turned = theta - math.radians(body.turn)
        width2 = (body.a**2 * np.cos(turned) ** 2 + body.b**2 * np.sin(turned) ** 2) * shrunk
        offset = position - (body.x * np.cos(theta) + body.y * np.sin(theta))
        chord = np.sqrt(np.clip(width2 - offset**2, 0, None)) * 2 * body.a * body.b * shrunk
        absorbed += body.absorption * np.divide(chord, width2, out=np.zeros_like(chord), where=width2 > 0)
    photons = FLAT_FIELD * np.exp(-absorbed)
    counted = np.random.default_rng(20260101).normal(photons, np.sqrt(photons))
    return np.clip(np.rint(counted), 0, 65535).astype(np.uint16)


def angles() -> Floats:
    """Give the angles of the exposures in radians, (ANGLES,)."""
    return np.arange(ANGLES) * (math.pi / ANGLES)


def temperature() -> npt.NDArray[np.int16]:
    """Compute the air temperature of each day, (DAYS, 37, 72), in hundredths of a degree Celsius."""
    day = np.arange(DAYS)[:, None, None]
    north = np.radians(LATITUDES)[None, :, None]
    east = np.radians(LONGITUDES)[None, None, :]
    mean = 28.0 - 50.0 * np.sin(north) ** 2
    season = 22.0 * np.sin(north) * np.cos(2 * np.pi * (day - 200) / 365.25)
    waves = 3.0 * np.cos(north) * np.sin(5 * east - 2 * np.pi * day / 11) + 2.0 * np.sin(2 * east + north)
    noise = np.random.default_rng(20260102).normal(0.0, 0.6, (DAYS, LATITUDES.size, LONGITUDES.size))
    hundredths: npt.NDArray[np.int16] = np.rint(100 * (mean + season + waves + noise)).astype(np.int16)
    return hundredths


def rain() -> npt.NDArray[np.float32]:
    """Compute the rain of each day, (DAYS, 37, 72), in millimetres; most days are dry."""
    rng = np.random.default_rng(20260103)
    north = LATITUDES[None, :, None]
    wet = 0.25 + 0.45 * np.exp(-((north / 12.0) ** 2)) + 0.15 * np.exp(-(((abs(north) - 50.0) / 12.0) ** 2))
    shape = (DAYS, LATITUDES.size, LONGITUDES.size)
    fallen = rng.exponential(6.0, shape) * (rng.random(shape) < wet)
    return np.round(fallen, 1).astype(np.float32)


def _centres(n: int) -> Floats:
    """Give the centres of `n` pixels between -1 and 1."""
    return (np.arange(n) + 0.5) * (2 / n) - 1
