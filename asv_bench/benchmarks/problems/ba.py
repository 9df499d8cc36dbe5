"""Bundle adjustment: squared errors of reprojection, with radial distortion.

Šrajer, Kukelova, Fitzgibbon 2018 (see `gmm`), section 3.2: cameras of 11 numbers (rotation, centre, focal length,
principal point, two of distortion), points, and weights of the observations. There, the Jacobian of the errors is asked
for; here the gradient of half their sum of squares.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .problem import Problem


def make(rng, n, m, p):
    cameras = np.concatenate(
        [
            rng.normal(size=(n, 3), scale=0.3),
            rng.normal(size=(n, 3), scale=0.1),
            rng.uniform(0.8, 1.2, (n, 1)),
            rng.normal(size=(n, 4), scale=0.05),
        ],
        axis=1,
    )
    points = np.array([0.0, 0.0, 6.0]) + rng.normal(size=(m, 3))
    weights, features = rng.random(p), rng.normal(size=(p, 2))
    return [cameras, points, weights], (np.arange(p) % n, rng.integers(m, size=p), features)


def value(xp, parameters, camera, point, features):
    cameras, points, weights = parameters
    c = cameras[camera]
    moved = points[point] - c[:, 3:6]
    rotation = c[:, :3]
    theta = xp.sqrt(xp.sum(rotation * rotation, axis=1, keepdims=True))
    cosine, sine = xp.cos(theta), xp.sin(theta)
    axis = rotation / theta
    a0, a1, a2 = axis[:, 0], axis[:, 1], axis[:, 2]
    m0, m1, m2 = moved[:, 0], moved[:, 1], moved[:, 2]
    cross = xp.stack([a1 * m2 - a2 * m1, a2 * m0 - a0 * m2, a0 * m1 - a1 * m0], axis=1)
    along = xp.sum(axis * moved, axis=1, keepdims=True) * (1.0 - cosine)
    turned = moved * cosine + cross * sine + axis * along
    flat = turned[:, :2] / turned[:, 2:]
    square = xp.sum(flat * flat, axis=1, keepdims=True)
    distorted = flat * (1.0 + c[:, 9:10] * square + c[:, 10:11] * (square * square))
    projected = distorted * c[:, 6:7] + c[:, 7:9]
    errors = (projected - features) * weights[:, None]
    slack = 1.0 - weights * weights
    return 0.5 * xp.sum(errors * errors) + 0.5 * xp.sum(slack * slack)


@njit(error_model="numpy", fastmath=True)
def gradients(cameras, points, weights, camera, point, features, turns, cameras_bar, points_bar, weights_bar):
    """Value; a camera's angle, its sine and cosine are computed once."""
    cameras_bar[:] = 0.0
    points_bar[:] = 0.0
    n = cameras.shape[0]
    for k in range(n):
        r = cameras[k]
        theta = np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
        turns[k, 0], turns[k, 1], turns[k, 2] = theta, np.cos(theta), np.sin(theta)
        turns[k, 3], turns[k, 4], turns[k, 5] = r[0] / theta, r[1] / theta, r[2] / theta
        turns[k, 6:] = 0.0
    total = 0.0
    for i in range(camera.shape[0]):
        k, j = camera[i], point[i]
        c, turn = cameras[k], turns[k]
        cosine, sine, a0, a1, a2 = turn[1], turn[2], turn[3], turn[4], turn[5]
        m0, m1, m2 = points[j, 0] - c[3], points[j, 1] - c[4], points[j, 2] - c[5]
        x0, x1, x2 = a1 * m2 - a2 * m1, a2 * m0 - a0 * m2, a0 * m1 - a1 * m0
        dot = a0 * m0 + a1 * m1 + a2 * m2
        along = dot * (1.0 - cosine)
        t0 = m0 * cosine + x0 * sine + a0 * along
        t1 = m1 * cosine + x1 * sine + a1 * along
        t2 = m2 * cosine + x2 * sine + a2 * along
        inverse = 1.0 / t2
        f0, f1 = t0 * inverse, t1 * inverse
        square = f0 * f0 + f1 * f1
        factor = 1.0 + c[9] * square + c[10] * square * square
        d0, d1 = f0 * factor, f1 * factor
        w = weights[i]
        r0, r1 = d0 * c[6] + c[7] - features[i, 0], d1 * c[6] + c[8] - features[i, 1]
        e0, e1 = r0 * w, r1 * w
        slack = 1.0 - w * w
        total += e0 * e0 + e1 * e1 + slack * slack
        weights_bar[i] = e0 * r0 + e1 * r1 - 2.0 * slack * w
        p0, p1 = e0 * w, e1 * w
        bar = cameras_bar[k]
        bar[6] += p0 * d0 + p1 * d1
        bar[7] += p0
        bar[8] += p1
        p0 *= c[6]
        p1 *= c[6]
        factor_bar = p0 * f0 + p1 * f1
        bar[9] += factor_bar * square
        bar[10] += factor_bar * square * square
        square_bar = factor_bar * (c[9] + 2.0 * c[10] * square)
        f0_bar = p0 * factor + 2.0 * square_bar * f0
        f1_bar = p1 * factor + 2.0 * square_bar * f1
        t0_bar, t1_bar = f0_bar * inverse, f1_bar * inverse
        t2_bar = -(t0_bar * f0 + t1_bar * f1)
        along_bar = t0_bar * a0 + t1_bar * a1 + t2_bar * a2
        dot_bar = along_bar * (1.0 - cosine)
        cosine_bar = t0_bar * m0 + t1_bar * m1 + t2_bar * m2 - along_bar * dot
        sine_bar = t0_bar * x0 + t1_bar * x1 + t2_bar * x2
        y0, y1, y2 = t0_bar * sine, t1_bar * sine, t2_bar * sine
        m0_bar = t0_bar * cosine + a0 * dot_bar + a2 * y1 - a1 * y2
        m1_bar = t1_bar * cosine + a1 * dot_bar + a0 * y2 - a2 * y0
        m2_bar = t2_bar * cosine + a2 * dot_bar + a1 * y0 - a0 * y1
        turn[6] += t0_bar * along + m0 * dot_bar + y2 * m1 - y1 * m2
        turn[7] += t1_bar * along + m1 * dot_bar + y0 * m2 - y2 * m0
        turn[8] += t2_bar * along + m2 * dot_bar + y1 * m0 - y0 * m1
        turn[9] += sine_bar * cosine - cosine_bar * sine
        points_bar[j, 0] += m0_bar
        points_bar[j, 1] += m1_bar
        points_bar[j, 2] += m2_bar
        bar[3] -= m0_bar
        bar[4] -= m1_bar
        bar[5] -= m2_bar
    for k in range(n):
        turn, bar = turns[k], cameras_bar[k]
        inverse = 1.0 / turn[0]
        radial = turn[9] - inverse * (turn[6] * turn[3] + turn[7] * turn[4] + turn[8] * turn[5])
        for j in range(3):
            bar[j] = turn[6 + j] * inverse + radial * turn[3 + j]
    return 0.5 * total


def floor(parameters, camera, point, features):
    bars = [np.empty_like(p) for p in parameters]
    turns = np.empty((len(parameters[0]), 10))

    def step():
        return gradients(*parameters, camera, point, features, turns, *bars), bars

    return step


PROBLEM = Problem(
    "ba",
    {"tiny": (2, 10, 20), "small": (10, 200, 1000), "medium": (50, 2000, 20_000), "large": (200, 20_000, 200_000)},
    make,
    value,
    floor=floor,
)
