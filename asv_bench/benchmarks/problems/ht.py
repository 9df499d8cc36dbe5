"""Hand tracking: angles of joints move the bones of a hand, bones move the skin, which should lie on given points.

Šrajer, Kukelova, Fitzgibbon 2018 (see `gmm`), section 3.3, with known correspondences. The hand is made up: a wrist and
five fingers of four bones.
"""

from __future__ import annotations

import numpy as np

from .problem import Problem

FINGERS, BONES = 5, 4


def make(rng, vertices):
    count = 1 + FINGERS * BONES
    theta = rng.normal(size=26, scale=0.2)
    bases = np.zeros((count, 4, 4))
    for k in range(count):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        bases[k, :3, :3], bases[k, :3, 3], bases[k, 3, 3] = q, rng.normal(size=3, scale=0.3), 1.0
    inverses = np.linalg.inv(bases)
    positions = np.concatenate([rng.normal(size=(3, vertices)), np.ones((1, vertices))])
    weights = rng.random((count, vertices)) ** 8
    return theta, (bases, inverses, positions, weights / weights.sum(axis=0), rng.normal(size=(3, vertices)))


def rotation(xp, a, b, c):
    """About the x, y and z axes in turn."""
    ca, sa, cb, sb, cc, sc = xp.cos(a), xp.sin(a), xp.cos(b), xp.sin(b), xp.cos(c), xp.sin(c)
    rows = [
        [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc],
        [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc],
        [-sb, sa * cb, ca * cb],
    ]
    return xp.stack([xp.stack(row) for row in rows])


def turn(xp, base, angles):
    """A bone's frame in its parent's: turned, then placed."""
    return xp.concatenate([base[:, :3] @ rotation(xp, *angles), base[:, 3:]], axis=1)


def value(xp, theta, bases, inverses, positions, weights, points):
    zero = theta[0] * 0.0
    frames = [turn(xp, bases[0], (theta[0], theta[1], theta[2]))]
    for finger in range(FINGERS):
        at = 6 + 4 * finger
        bends = [(theta[at], zero, theta[at + 1]), (theta[at + 2], zero, zero), (theta[at + 3], zero, zero)]
        parent = frames[0]
        for bone in range(BONES):
            k = 1 + finger * BONES + bone
            parent = parent @ (turn(xp, bases[k], bends[bone - 1]) if bone else bases[k])
            frames.append(parent)
    skin = xp.matmul(xp.stack(frames), inverses)[:, :3, :]
    moved = xp.sum(xp.matmul(skin, positions) * weights[:, None, :], axis=0) + theta[3:6][:, None]
    errors = moved - points
    return 0.5 * xp.sum(errors * errors)


PROBLEM = Problem("ht", {"tiny": (10,), "small": (100,), "medium": (2000,), "large": (50_000,)}, make, value)
