"""Wave optics by Fourier transforms: a phase plate that makes a laser beam paint a picture.

A Gaussian beam goes through a plate, whose height at each point is free, and on through empty space (the angular
spectrum method: Goodman, "Introduction to Fourier optics", section 3.10). How much of its light falls onto the wanted
shape is differentiated with respect to every pixel of the plate.

Run:  python examples/wave_optics.py
"""

import numpy as np
import scipy.optimize
from shared import jax_error, pyplot, report, save, slope_error

import tapegrad as tg

WAVELENGTH, WIDTH, DISTANCE = 0.633e-3, 2.0, 300.0
"""In millimetres: of red light, of the plate, and to the screen."""

# --- the model: plain NumPy ------------------------------------------------------------------------------------------


def propagate(field):
    """The field on the screen, from the one behind the plate."""
    n = field.shape[0]
    frequency = np.fft.fftfreq(n, WIDTH / n)
    squared = frequency[:, None] ** 2 + frequency**2
    transfer = np.exp(-1j * np.pi * WAVELENGTH * DISTANCE * squared)
    return np.fft.ifft2(np.fft.fft2(field) * transfer)


def intensity(plate, beam):
    """What the screen shows."""
    field = propagate(beam * np.exp(1j * plate))
    return np.real(field) ** 2 + np.imag(field) ** 2


def loss(plate, beam, target):
    """How far the picture is from the wanted one: one minus the cosine of the angle between their amplitudes."""
    picture = intensity(plate, beam)
    overlap = np.sum(np.sqrt(picture + 1e-12) * target)
    return 1.0 - overlap / np.sqrt(np.sum(picture) * np.sum(target**2))


# --- beam, target, design, picture -----------------------------------------------------------------------------------


def gaussian_beam(n):
    axis = (np.arange(n) - 0.5 * n) * (WIDTH / n)
    return np.exp(-(axis[:, None] ** 2 + axis**2) / 0.6**2)


def heart(n):
    """A heart with soft edges: amplitudes of the wanted picture."""
    axis = np.linspace(-2.0, 2.0, n)
    x, y = axis, -axis[:, None] + 0.1
    inside = (x**2 + y**2 - 1.0) ** 3 - x**2 * y**3 < 0.0
    frequency = np.fft.fftfreq(n, 4.0 / n)
    soft = np.exp(-((2.0 * np.pi * 0.06) ** 2) * (frequency[:, None] ** 2 + frequency**2) / 2.0)
    return np.real(np.fft.ifft2(np.fft.fft2(inside) * soft))


def main(size=96, steps=80, picture=True):
    print("wave optics")
    beam, target = gaussian_beam(size), heart(size)
    start = 0.1 * np.random.default_rng(0).normal(size=(size, size))
    small = gaussian_beam(24), heart(24)
    report(slope_error(lambda p: loss(p, *small), start[:24, :24]), jax_error(loss, start[:24, :24], *small))

    def cost(flat):
        return loss(np.reshape(flat, beam.shape), beam, target)

    result = scipy.optimize.minimize(
        tg.value_and_grad(cost), start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps}
    )
    print(f"  loss {loss(start, beam, target):.3f} -> {result.fun:.3f} in {result.nit} steps, {start.size} unknowns")
    if picture:
        draw(beam, target, start, result.x.reshape(beam.shape))
    return result.fun


def draw(beam, target, before, after):
    plt = pyplot()
    figure, row = plt.subplots(1, 4, figsize=(8.4, 2.4))
    pictures = {
        "beam on the plate": (beam**2, "magma"),
        "height of the plate": (np.angle(np.exp(1j * after)), "twilight"),
        "light on the screen": (intensity(after, beam), "magma"),
        "wanted": (target**2, "magma"),
    }
    for axes, (title, (values, colors)) in zip(row, pictures.items(), strict=True):
        axes.imshow(values, cmap=colors)
        axes.set(title=title, xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set_visible(False)
    save(figure, "wave_optics.png")
    plt.close(figure)


if __name__ == "__main__":
    main()
