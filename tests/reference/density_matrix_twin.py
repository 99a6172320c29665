"""Plain twin of the basis simulation: explicit operators, `expm`, one point of the FID after the other."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

X = np.array([[0, 1], [1, 0]], dtype=complex) / 2
Y = np.array([[0, -1j], [1j, 0]], dtype=complex) / 2
Z = np.array([[1, 0], [0, -1]], dtype=complex) / 2


def operator(single, spin, n):
    """`single` acting on spin number `spin` of `n`."""
    whole = np.ones((1, 1), dtype=complex)
    for k in range(n):
        whole = np.kron(whole, single if k == spin else np.eye(2))
    return whole


def total(single, n):
    return sum(operator(single, k, n) for k in range(n))


def hamiltonian(offsets_hz, couplings):
    """2 pi (sum nu Iz + sum J I.I), rad/s."""
    n = len(offsets_hz)
    h = sum(nu * operator(Z, k, n) for k, nu in enumerate(offsets_hz))
    for (i, j), coupling in couplings.items():
        h = h + coupling * sum(operator(s, i - 1, n) @ operator(s, j - 1, n) for s in (X, Y, Z))
    return 2 * np.pi * h


def select(density, order):
    """Only the elements of one coherence order."""
    n = int(np.log2(len(density)))
    m = np.real(np.diag(total(Z, n)))
    return np.where(np.rint(m[:, None] - m[None, :]) == order, density, 0)


def free(density, h, seconds):
    u = expm(-1j * h * seconds)
    return u @ density @ u.conj().T


def pulse(density, n, flip_deg):
    u = expm(-1j * np.deg2rad(flip_deg) * total(X, n))
    return u @ density @ u.conj().T


def shaped(density, h, waveform_hz, duration_s, carrier_hz, start_s):
    """Piecewise-constant pulse in the frame of water, its field turning at `carrier_hz`; four sub-steps per step."""
    n = int(np.log2(len(density)))
    substeps = 4
    dt = duration_s / len(waveform_hz) / substeps
    fz = total(Z, n)
    for k in range(len(waveform_hz) * substeps):
        t = start_s + (k + 0.5) * dt
        turn = expm(-2j * np.pi * carrier_hz * t * fz)
        b1 = 2 * np.pi * waveform_hz[k // substeps] * turn @ total(X, n) @ turn.conj().T
        u = expm(-1j * (h + b1) * dt)
        density = u @ density @ u.conj().T
    return density


def fid(density, h, n_points, dwell_s):
    """Tr(rho(t) F+), scaled to one per proton that a loss-free sequence brings back."""
    n = int(np.log2(len(density)))
    plus = total(X, n) + 1j * total(Y, n)
    step = expm(-1j * h * dwell_s)
    values = []
    for _ in range(n_points):
        values.append(np.trace(density @ plus))
        density = step @ density @ step.conj().T
    return np.array(values) / 2 ** (n - 1)


def excited(n, order):
    """The part of Fx of one order."""
    return select(total(X, n), order) * 2
