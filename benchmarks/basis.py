"""Simulated basis sets against reference sets, GABA editing against pulse offset, what field and TE may differ, times.

    python benchmarks/basis.py [--fast] [--png]

`--fast`: no timing of the MEGA set and fewer offsets. `--png`: pictures into `out/`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import ROOT, SHARED_DATA, machine, table, write_json

from scanner_agent.basis import (
    COLLECTIONS,
    SHIPPED,
    BasisSet,
    EditPulse,
    LineList,
    MegaPress,
    Press,
    SpinGroup,
    SpinSystem,
    load_basis,
    simulate_basis,
)
from scanner_agent.basis.display import display_spectra
from scanner_agent.basis.edit_pulses import inversion_profile
from scanner_agent.basis.shipped import simulate_recipe
from scanner_agent.basis.simulation import simulate_lines
from scanner_agent.basis.spin_operators import hamiltonian_hz, spin_basis
from scanner_agent.mrs.axes import hz_from_ppm

REFERENCES = SHARED_DATA / "reference_basis"
BRAIN = COLLECTIONS["brain"]
LINEWIDTH_HZ = 5.0
SINGLETS = {"NAA", "NAAG", "Cr", "PCr", "GPC", "PCh", "sIns", "Gly"}

_J_GLU = {
    (1, 2): 7.33,
    (1, 3): 4.65,
    (2, 3): -14.76,
    (2, 4): 6.28,
    (2, 5): 8.7,
    (3, 4): 8.77,
    (3, 5): 6.73,
    (4, 5): -16.03,
}
_J_GLN = {
    (1, 2): 6.71,
    (1, 3): 5.91,
    (2, 3): -14.45,
    (2, 4): 6.18,
    (2, 5): 9.4,
    (3, 4): 9.34,
    (3, 5): 6.32,
    (4, 5): -15.61,
}
_J_GABA = {(i, j): 7.339 for i in (1, 2) for j in (3, 4)} | {
    (1, 2): -10.744, (3, 4): -10.82, (3, 5): 5.7, (3, 6): 8.02, (4, 5): 10.03, (4, 6): 6.53, (5, 6): -9.93,
}  # fmt: skip
OTHER_TABLE = {
    "Glu": SpinGroup((3.7483, 2.0404, 2.1215, 2.3398, 2.3521), _J_GLU),
    "Gln": SpinGroup((3.7614, 2.121, 2.137, 2.4358, 2.458), _J_GLN),
    "GABA": SpinGroup((2.2847, 2.2847, 1.8877, 1.8877, 3.003, 3.005), _J_GABA),
    "Asp": SpinGroup((3.8935, 2.7991, 2.6580), {(1, 2): 3.834, (1, 3): 8.711, (2, 3): -17.403}),
    "Asc": SpinGroup((4.492, 4.002, 3.743, 3.716), {(1, 2): 2.07, (2, 3): 6.0, (2, 4): 7.6, (3, 4): -11.5}),
}
"""What the MEGA reference's simulator holds for these: other measurements of the same molecules (de Graaf 2019, In Vivo
NMR Spectroscopy, 3rd ed., table 2.1, with newer shifts at 37 degrees C and pH 7)."""


def correlation(lines: LineList, reference: BasisSet, name: str, width_hz: float) -> float:
    """Correlation of real parts over 0.2-4.2 ppm at 5 Hz; `width_hz` is the width that the reference already has."""
    fid = lines.fid(reference.n_points, reference.dwell_time_s)
    ours = replace(reference, names=(name,), fids=fid[None, :], linewidth_hz=0.0, lines=None)
    theirs = replace(reference.subset([name]), linewidth_hz=width_hz)
    ppm, a = display_spectra(ours, LINEWIDTH_HZ)
    _, b = display_spectra(theirs, LINEWIDTH_HZ)
    inside = (ppm > 0.2) & (ppm < 4.2)
    return float(np.corrcoef(a[0].real[inside], b[0].real[inside])[0, 1])


def own_width_hz(lines: LineList, reference: BasisSet, name: str) -> float:
    """Width (Hz) at which the reference's lines agree best with ours: some sets give metabolites different ones."""
    return float(max(np.arange(0.0, 4.05, 0.25), key=lambda width: correlation(lines, reference, name, width)))


def lactate_displaced(reference: BasisSet, echo_s: float, first_echo_s: float) -> float:
    """Correlation for lactate if parts of the voxel, with a 180 that misses the CH, are allowed (least squares)."""
    f0 = reference.spectrometer_frequency_mhz
    group = BRAIN["Lac"].groups[0]
    offsets = np.array([hz_from_ppm(p, f0) for p in group.shifts_ppm])
    spins = spin_basis(4)
    energies, states = np.linalg.eigh(hamiltonian_hz(spins, offsets, group.couplings_hz))

    def free(density: np.ndarray, seconds: float) -> np.ndarray:
        u = (states * np.exp(-2j * np.pi * energies * seconds)) @ states.T
        return u @ density @ u.conj().T

    t = np.arange(reference.n_points) * reference.dwell_time_s
    parts = []
    for hit in ((15, 15), (7, 15), (15, 7), (7, 7)):  # bits of the spins that each 180 turns; the CH is the highest
        density = spins.raising.T.astype(complex) / 8.0
        for flips, seconds in zip(hit, (first_echo_s / 2, echo_s / 2), strict=True):
            order = np.arange(16) ^ flips
            density = free(density, seconds)[np.ix_(order, order)]
        density = np.where(spins.order == -1, free(density, (echo_s - first_echo_s) / 2), 0.0)
        amplitude = ((states.T @ density @ states) * (states.T @ spins.raising @ states).T).ravel()
        frequency = (energies[None, :] - energies[:, None]).ravel()
        kept = np.abs(amplitude) > 1e-9
        parts.append(np.exp(2j * np.pi * np.outer(t, frequency[kept])) @ amplitude[kept])
    shape = replace(reference, names=("a", "b", "c", "d"), fids=np.array(parts), linewidth_hz=0.0, lines=None)
    ppm, model = display_spectra(shape, LINEWIDTH_HZ)
    _, wanted = display_spectra(reference.subset(["Lac"]), LINEWIDTH_HZ)
    inside = (ppm > 0.2) & (ppm < 4.2)
    columns = model.real[:, inside].T
    weights = np.linalg.lstsq(columns, wanted[0].real[inside], rcond=None)[0]
    return float(np.corrcoef(columns @ weights, wanted[0].real[inside])[0, 1])


def against_press(file: str, sequence: Press) -> list[dict[str, object]]:
    """Correlation per metabolite with a PRESS reference set."""
    reference = load_basis(REFERENCES / file)["main"]
    rows = []
    for name in reference.names:
        lines = simulate_lines(BRAIN[name], sequence, "main", reference.spectrometer_frequency_mhz)
        width = own_width_hz(lines, reference, name)
        rows.append(
            {
                "metabolite": name,
                "nominal_width": correlation(lines, reference, name, reference.linewidth_hz),
                "own_width_hz": width,
                "own_width": correlation(lines, reference, name, width),
            }
        )
    return rows


def against_mega() -> list[dict[str, object]]:
    """Correlation per metabolite with the MEGA sets: our pulse, their top hat, and their shift table with it."""
    rows = []
    real = MegaPress(on_ppm=1.88, off_ppm=7.5)
    top_hat = replace(real, pulse=EditPulse(0.015, 60.0, "ideal"))
    for kind in ("on", "off"):
        reference = load_basis(REFERENCES / f"mega_te68_3t_{kind}.basis")[kind]
        f0, width = reference.spectrometer_frequency_mhz, reference.linewidth_hz
        for name in reference.names:
            row: dict[str, object] = {"kind": kind, "metabolite": name}
            for title, sequence in (("real_pulse", real), ("top_hat", top_hat)):
                row[title] = correlation(simulate_lines(BRAIN[name], sequence, kind, f0), reference, name, width)
            if name in OTHER_TABLE:
                other = SpinSystem(name, "", (OTHER_TABLE[name],), "")
                row["their_table"] = correlation(simulate_lines(other, top_hat, kind, f0), reference, name, width)
            rows.append(row)
    return rows


def editing(offsets_hz: np.ndarray, pulses: dict[str, EditPulse], f0: float = 123.2) -> dict[str, list[float]]:
    """Area of GABA's 2.8-3.2 ppm multiplet in ON - OFF over its two protons, halved, against the pulse's offset."""
    result = {}
    for title, pulse in pulses.items():
        values = []
        for offset in offsets_hz:
            sequence = MegaPress(on_ppm=1.9 + offset / f0, off_ppm=7.46 + offset / f0, pulse=pulse)
            area = []
            for kind in ("on", "off"):
                lines = simulate_lines(BRAIN["GABA"], sequence, kind, f0)
                inside = (lines.frequencies_hz < hz_from_ppm(2.8, f0)) & (lines.frequencies_hz > hz_from_ppm(3.2, f0))
                area.append(lines.amplitudes[inside].sum().real)
            values.append((area[0] - area[1]) / 2 / 2)
        result[title] = values
    return result


def wrong_field_and_time() -> list[list[object]]:
    """How a PRESS TE 35 set for 123.2 MHz stands to the right one when it serves another field or TE."""
    rows = []
    for what, sequence, f0 in (
        ("field +0.5 %", Press(0.035, 0.0165), 123.2 * 1.005),
        ("field +2 %", Press(0.035, 0.0165), 123.2 * 1.02),
        ("127.75 MHz (+3.7 %)", Press(0.035, 0.0165), 127.75),
        ("TE +0.5 ms", Press(0.0355, 0.0165), 123.2),
        ("TE +1.5 ms", Press(0.0365, 0.0165), 123.2),
        ("TE1 +2 ms", Press(0.035, 0.0185), 123.2),
        ("TE 30 / 11 instead", Press(0.030, 0.011), 123.2),
    ):
        right = simulate_basis(sequence, BRAIN, spectrometer_frequency_mhz=f0)["main"]
        used = load_basis("press_te35_3t")["main"].resampled(4096, 0.00025, f0)
        lowest = []
        gain = {}
        for name in right.names:
            line = LineList(
                used.lines[used.names.index(name)].frequencies_hz, used.lines[used.names.index(name)].amplitudes
            )
            lowest.append((correlation(line, right, name, 0.0), name))
            ppm, a = display_spectra(used.subset([name]), LINEWIDTH_HZ)
            _, b = display_spectra(right.subset([name]), LINEWIDTH_HZ)
            inside = (ppm > 0.2) & (ppm < 4.2)
            x, y = a[0].real[inside], b[0].real[inside]
            gain[name] = 100 * (x @ y / (x @ x) - 1)
        worst = sorted(lowest)[:3]
        rows.append(
            [what, ", ".join(f"{n} {c:.4f}" for c, n in worst), *(gain[n] for n in ("Glu", "Gln", "GABA", "Ins"))]
        )
    return rows


def times(fast: bool) -> list[list[object]]:
    """Seconds to simulate sets."""
    rows = []
    for name in ("press_te35_3t", "steam_te11_7t") + (() if fast else ("mega_te68_3t", "mega_te80_3t")):
        recipe = replace(SHIPPED[name], frequencies_mhz=SHIPPED[name].frequencies_mhz[:1])
        simulate_recipe(replace(recipe, sample="acetate_lactate_phantom"))
        begin = time.perf_counter()
        sets = simulate_recipe(recipe)
        taken = time.perf_counter() - begin
        begin = time.perf_counter()
        load_basis(name)
        rows.append([name, len(sets[0].names), len(sets), taken, time.perf_counter() - begin])
    return rows


PULSES = {
    "sinc-Gauss 15 ms, 87 Hz": EditPulse(),
    "Gauss 14 ms, 109 Hz": EditPulse(0.014, 109.0, "gaussian"),
    "sinc-Gauss 20 ms, 62 Hz": EditPulse(0.020, 62.0),
}


def main(fast: bool, png: bool) -> dict[str, object]:
    """Print all tables, write JSON, return the result."""
    print(machine())
    result: dict[str, object] = {}
    for file, sequence in (
        ("press_te35_3t_4000hz.basis", Press(0.035, 0.0165)),
        ("lcmodel_press_3t_1024.basis", Press(0.030, 0.010)),
    ):
        rows = against_press(file, sequence)
        result[file] = rows
        print(f"\n{file} against {sequence}")
        print(table(list(rows[0]), [list(row.values()) for row in rows]))
    siemens = load_basis(REFERENCES / "press_te35_3t_4000hz.basis")["main"]
    result["lactate_displaced"] = lactate_displaced(siemens, 0.035, 0.0165)
    print(f"\nlactate with parts of the voxel where a 180 misses the CH: {result['lactate_displaced']:.4f}")
    mega = against_mega()
    result["mega"] = mega
    print("\nMEGA sets")
    columns = ["kind", "metabolite", "real_pulse", "top_hat", "their_table"]
    print(table(columns, [[row.get(c, "") for c in columns] for row in mega]))
    offsets = np.arange(-20, 21, 10 if fast else 5)
    curves = editing(offsets, PULSES)
    result["editing"] = {"offset_hz": offsets.tolist(), **curves}
    print(
        "\nGABA at TE 68: edited area at 3.0 ppm, (ON - OFF) / 2 per proton, by the pulse's offset (Hz, to higher ppm)"
    )
    print(table(["pulse", *map(str, offsets)], [[name, *values] for name, values in curves.items()]))
    result["wrong"] = wrong_field_and_time()
    print("\npress_te35_3t (123.2 MHz) where something else was right: lowest correlations, error of amounts in %")
    print(table(["right was", "lowest", "Glu", "Gln", "GABA", "Ins"], result["wrong"]))
    result["times"] = times(fast)
    print("\nseconds")
    print(table(["set", "metabolites", "spectra", "simulate", "load"], result["times"]))
    write_json("basis", result)
    if png:
        pictures(ROOT / "out")
    return result


def pictures(folder: Path) -> None:
    """Edited GABA, editing efficiency and inversion profiles."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    sets = simulate_basis(MegaPress(), {"GABA": BRAIN["GABA"]}, spectrometer_frequency_mhz=123.2)
    for shift, kind in enumerate(("difference", "off", "on")):
        ppm, values = display_spectra(sets[kind], LINEWIDTH_HZ)
        left.plot(ppm, values[0].real + 0.1 * shift, label=kind)
    left.set(xlim=(3.6, 1.4), xlabel="ppm", title="GABA, MEGA-PRESS TE 68, 123.2 MHz, 5 Hz")
    left.legend()
    offsets = np.arange(-40.0, 41.0, 4.0)
    for title, values in editing(offsets, PULSES).items():
        middle.plot(offsets, values, ".-", label=title)
    middle.set(
        xlabel="editing pulse off by, Hz (to higher ppm)", title="edited area at 3.0 ppm, (ON - OFF)/2 per proton"
    )
    middle.set_ylim(0, 0.6)
    middle.legend()
    axis = np.linspace(-200, 200, 401)
    for title, pulse in PULSES.items():
        right.plot(axis, inversion_profile(pulse.waveform_hz(), pulse.duration_s, axis), label=title)
    right.set(xlabel="offset, Hz", title="Mz after the editing pulse")
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / "basis_editing.png", dpi=90)
    print(folder / "basis_editing.png")


if __name__ == "__main__":
    main("--fast" in sys.argv, "--png" in sys.argv)
