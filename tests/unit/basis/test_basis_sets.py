"""The set itself: resampling, formats, referencing, shipped sets, fitting to a scan, cache."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scanner_agent.basis import (
    COLLECTIONS,
    SHIPPED,
    BasisSet,
    LineList,
    Press,
    basis_for_scan,
    check_fits,
    load_basis,
    shipped_names,
    simulate_basis,
    simulate_cached,
)
from scanner_agent.basis.fsl_format import write_fsl_folder
from scanner_agent.basis.lcmodel_format import write_lcmodel_basis
from scanner_agent.basis.npz_format import write_npz
from scanner_agent.basis.shipped import simulate_recipe
from scanner_agent.errors import SourceError
from scanner_agent.mrs.axes import time_axis

F0 = 123.2
NAMES = ("NAA", "Cr", "GPC", "Glu", "Lac")


@pytest.fixture(scope="module")
def press() -> BasisSet:
    systems = {name: COLLECTIONS["brain"][name] for name in NAMES}
    return simulate_basis(Press(0.035, 0.0165), systems, spectrometer_frequency_mhz=F0, name="press35")["main"]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_lines_make_the_fid_exactly():
    line = LineList(np.array([100.0, -37.5]), np.array([2.0, 1.0 - 0.5j]))
    t = time_axis(1000, 0.0003)[:, None]
    expected = (line.amplitudes * np.exp((2j * np.pi * line.frequencies_hz - np.pi * 3.0) * t)).sum(axis=1)
    np.testing.assert_allclose(line.fid(1000, 0.0003, 3.0), expected, atol=1e-11)


def test_resampling_from_lines_is_exact_and_from_fids_close(press):
    n_points, dwell = 3000, 1 / 2400
    expected = np.stack([line.fid(n_points, dwell) for line in press.lines])
    np.testing.assert_allclose(press.resampled(n_points, dwell, F0).fids, expected, atol=1e-12)
    damped = replace(press.broadened(2.0), lines=None).resampled(2000, dwell, F0)
    wanted = expected[:, :2000] * np.exp(-np.pi * 2.0 * time_axis(2000, dwell))
    for name, got, want in zip(NAMES, damped.fids, wanted, strict=True):
        # The amide of NAA turns fastest and interpolates worst.
        assert relative(got, want) < (0.02 if name == "NAA" else 0.002), name


def test_resampling_past_the_end_of_stored_fids_gives_zeros(press):
    longer = replace(press.broadened(2.0), lines=None).resampled(8192, press.dwell_time_s, F0)
    assert np.all(longer.fids[:, 4096:] == 0)


def test_resampling_to_a_near_field_keeps_shifts(press):
    moved = press.resampled(4096, press.dwell_time_s, 124.0)
    peak = np.fft.fftfreq(16384, press.dwell_time_s)[np.argmax(np.abs(np.fft.fft(moved.fid("Cr"), 16384)))]
    assert 4.65 - peak / 124.0 == pytest.approx(3.027, abs=0.003)


def test_subset_and_names(press):
    part = press.subset(["Glu", "NAA"])
    assert part.names == ("Glu", "NAA")
    assert np.array_equal(part.fid("NAA"), press.fid("NAA"))
    assert part.content_hash() != press.content_hash()
    with pytest.raises(SourceError, match="has no Gln"):
        press.subset(["Gln"])


def test_a_set_that_does_not_fit_together_is_refused(press):
    with pytest.raises(SourceError, match="names for FIDs"):
        replace(press, names=("NAA",))
    with pytest.raises(SourceError, match="twice"):
        replace(press, names=("NAA", "NAA", "GPC", "Glu", "Lac"))
    with pytest.raises(SourceError, match="not finite"):
        replace(press, fids=press.fids * np.nan)


def test_inputs_stay_as_they_are(press):
    with pytest.raises(ValueError, match="read-only"):
        press.fids[0, 0] = 0


# --- formats -------------------------------------------------------------------------------------------------------


def test_npz_keeps_lines_bit_for_bit(press, tmp_path):
    write_npz([press], tmp_path / "set.npz")
    again = load_basis(tmp_path / "set.npz")["main"]
    assert again.content_hash() == press.content_hash()
    np.testing.assert_array_equal(again.fids, press.fids)
    assert again.provenance == press.provenance


def test_npz_keeps_fids_without_lines(press, tmp_path):
    write_npz([replace(press, lines=None)], tmp_path / "set.npz")
    assert relative(load_basis(tmp_path / "set.npz")["main"].fids, press.fids) < 1e-6


def test_lcmodel_round_trip(press, tmp_path):
    damped = press.broadened(1.0)
    write_lcmodel_basis(damped, tmp_path / "set.basis")
    again = load_basis(tmp_path / "set.basis")["main"]
    assert again.names == press.names
    assert again.spectrometer_frequency_mhz == pytest.approx(F0)
    assert again.echo_time_s == pytest.approx(0.035)
    assert again.sequence == "PRESS"
    assert again.linewidth_hz == pytest.approx(1.0, abs=0.02)
    assert "made whole" in again.provenance["first_point"]
    assert relative(again.fids, damped.fids) < 1e-4


def test_fsl_round_trip(press, tmp_path):
    damped = press.broadened(1.0)
    write_fsl_folder(damped, tmp_path / "press")
    again = load_basis(tmp_path / "press")["main"]
    order = [again.names.index(name) for name in press.names]
    assert again.linewidth_hz == 1.0
    assert again.echo_time_s is None
    assert again.provenance["first_point"] == "whole"
    assert relative(again.fids[order], damped.fids) < 1e-9


@pytest.mark.parametrize("offset_ppm", [0.03, -0.05, 0.35])
@pytest.mark.parametrize("conjugated", [False, True])
def test_offset_and_sign_are_told_from_the_singlets(press, tmp_path, offset_ppm, conjugated):
    damped = press.broadened(1.0)
    turned = damped.fids * np.exp(-2j * np.pi * offset_ppm * F0 * time_axis(4096, 0.00025))
    strange = replace(damped, fids=np.conj(turned) if conjugated else turned, lines=None)
    write_lcmodel_basis(strange, tmp_path / "set.basis")
    again = load_basis(tmp_path / "set.basis")["main"]
    assert ("conjugated" in again.provenance["reference"]) == conjugated
    # The peak is known to a quarter of a point of the spectrum, 0.06 Hz at the worst of 4096 x 4.
    shift_hz = np.angle(np.vdot(damped.fid("Cr")[1000:1400], again.fid("Cr")[1000:1400])) / (2 * np.pi * 0.3)
    assert abs(shift_hz) < 0.3


def test_singlets_that_contradict_each_other_are_refused(press, tmp_path):
    swapped = replace(press.broadened(1.0), names=("Cr", "GPC", "NAA", "Glu", "Lac"), lines=None)
    write_lcmodel_basis(swapped, tmp_path / "set.basis")
    with pytest.raises(SourceError, match="no common offset"):
        load_basis(tmp_path / "set.basis")


def test_on_and_off_of_a_folder_give_the_difference(tmp_path):
    sets = load_basis("mega_te68_3t")
    for kind in ("on", "off"):
        part = sets[kind].subset(["NAA", "Cr", "GPC", "GABA"]).broadened(1.0)
        write_lcmodel_basis(part, tmp_path / f"mega_{kind}.basis")
    again = load_basis(tmp_path)
    assert set(again) == {"on", "off", "difference"}
    expected = sets["difference"].subset(["GABA"]).broadened(1.0).fids
    assert relative(again["difference"].subset(["GABA"]).fids, expected) < 0.01


def test_amounts_of_a_phantom_are_divided_out(press, tmp_path):
    write_lcmodel_basis(press.broadened(1.0), tmp_path / "set.basis")
    text = (tmp_path / "set.basis").read_text()
    parts = text.split("METABO = 'Glu',")
    (tmp_path / "set.basis").write_text(parts[0] + "METABO = 'Glu'," + parts[1].replace("CONC = 1.", "CONC = 50.", 1))
    glu = load_basis(tmp_path / "set.basis")["main"].fid("Glu")
    assert relative(glu, press.broadened(1.0).fid("Glu") / 50.0) < 1e-4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.replace("BADELT", "BADLET"), "BADELT is missing"),
        (lambda t: t.replace("NDATAB = 4096", "NDATAB = 4000"), "NDATAB says 8000"),
        (lambda t: t.replace("HZPPPM = 123.2", "HZPPPM = 0.2"), "absurd"),
        (lambda t: t.replace(" 1.", " x.", 1) if " 1." in t else t, "not a number"),
        (lambda t: t.split("$BASIS\n")[0], "no \\$BASIS block"),
        (lambda t: t.replace("METABO = 'Cr'", "METABO = ''"), "without METABO"),
    ],
    ids=["dwell", "points", "field", "number", "empty", "nameless"],
)
def test_broken_lcmodel_files_are_refused_in_one_line(press, tmp_path, change, complaint):
    write_lcmodel_basis(press.broadened(1.0), tmp_path / "good.basis")
    text = (tmp_path / "good.basis").read_text()
    head, _, body = text.rpartition("$END")
    changed = change(text) if complaint != "not a number" else head + "$END" + body.replace("E", "z", 1)
    (tmp_path / "bad.basis").write_text(changed)
    with pytest.raises(SourceError, match=complaint) as caught:
        load_basis(tmp_path / "bad.basis")
    assert "\n" not in str(caught.value)
    assert "bad.basis" in str(caught.value)


def test_broken_fsl_folders_are_refused(press, tmp_path):
    write_fsl_folder(press.subset(["Cr", "NAA"]), tmp_path / "set")
    file = tmp_path / "set" / "Cr.json"
    good = json.loads(file.read_text())
    for bad, complaint in (
        ("{", "not JSON"),
        (json.dumps([1]), "no `basis` entry"),
        (json.dumps({"basis": {k: v for k, v in good["basis"].items() if k != "basis_dwell"}}), "lacks"),
        (json.dumps({"basis": good["basis"] | {"basis_re": ["x"]}}), "not a number"),
        (json.dumps({"basis": good["basis"] | {"basis_dwell": 0.5}}), "absurd"),
        (json.dumps({"basis": good["basis"] | {"basis_centre": 300.0}}), "differ from the others"),
    ):
        file.write_text(bad)
        with pytest.raises(SourceError, match=complaint):
            load_basis(tmp_path / "set")
    for file in (tmp_path / "set").iterdir():
        file.unlink()
    with pytest.raises(SourceError, match="holds no FSL-MRS basis files"):
        load_basis(tmp_path / "set")


def test_macromolecules_of_fsl_sets_are_left_to_the_fit(press, tmp_path):
    write_fsl_folder(press.subset(["Cr", "NAA", "Lac"]), tmp_path / "set")
    file = tmp_path / "set" / "Lac.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"MM": True}))
    basis = load_basis(tmp_path / "set")["main"]
    assert basis.names == ("Cr", "NAA")
    assert basis.provenance["left_out"] == "Lac"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk", b"no zip at all"])
def test_broken_npz_files_are_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.npz"):
        load_basis(tmp_path / "bad.npz")


def test_unknown_sets_are_refused(tmp_path):
    with pytest.raises(SourceError, match="neither a file nor one of"):
        load_basis("press_te31_9t")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceError, match="is not a basis set"):
        load_basis(tmp_path / "notes.txt")


# --- whether a set serves a scan ------------------------------------------------------------------------------------


def test_check_fits_names_what_differs(press):
    check_fits(press, spectrometer_frequency_mhz=123.25, echo_time_s=0.0355, sequence="PRESS")
    check_fits(press, spectrometer_frequency_mhz=123.2, echo_time_s=None)
    for wrong, complaint in (
        ({"spectrometer_frequency_mhz": 127.75}, "127.7 MHz|127.8 MHz"),
        ({"spectrometer_frequency_mhz": 297.2}, "297.2 MHz"),
        ({"nucleus": "31P"}, "is for 1H"),
        ({"echo_time_s": 0.030}, "TE 35.0 ms"),
        ({"sequence": "STEAM"}, "is for PRESS"),
    ):
        with pytest.raises(SourceError, match=complaint):
            check_fits(press, **({"spectrometer_frequency_mhz": 123.2} | wrong))


def test_loading_takes_the_nearest_field():
    assert load_basis("press_te35_3t")["main"].spectrometer_frequency_mhz == 123.2
    assert load_basis("press_te35_3t", 127.8)["main"].spectrometer_frequency_mhz == 127.75


def test_basis_for_scan_is_the_shipped_one_where_it_fits_and_a_new_one_where_not():
    shipped = load_basis("press_te30_3t")["main"]
    same = basis_for_scan("press_te30_3t", spectrometer_frequency_mhz=123.25, echo_time_s=0.0302)["main"]
    assert same.content_hash() == shipped.content_hash()
    other = basis_for_scan("press_te30_3t", spectrometer_frequency_mhz=128.5, echo_time_s=0.0325)["main"]
    assert other.spectrometer_frequency_mhz == 128.5
    assert other.echo_time_s == 0.0325
    check_fits(other, spectrometer_frequency_mhz=128.5, echo_time_s=0.0325, sequence="PRESS")
    with pytest.raises(SourceError, match="no shipped basis set"):
        basis_for_scan("nothing", spectrometer_frequency_mhz=123.2)


# --- shipped sets ----------------------------------------------------------------------------------------------------


def test_every_recipe_has_its_file_and_none_is_large():
    assert set(shipped_names()) == set(SHIPPED)
    from importlib import resources

    for item in resources.files("scanner_agent.basis").joinpath("data").iterdir():
        assert len(item.read_bytes()) < 2_000_000


# The larger MEGA set takes the same path and twice the time.
@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "mega_te80_3t"])
def test_a_shipped_set_is_what_its_command_makes(name):
    recipe = SHIPPED[name]
    if name.startswith("mega"):
        recipe = replace(recipe, frequencies_mhz=recipe.frequencies_mhz[:1])
    for made in simulate_recipe(recipe):
        kept = load_basis(name, made.spectrometer_frequency_mhz)[made.spectrum]
        assert kept.names == made.names
        assert kept.provenance == made.provenance
        assert "basis simulate" in kept.provenance["command"]
        # Not bit for bit: linear algebra libraries round differently, and may cut faint lines differently.
        for name_, a, b in zip(made.names, made.fids, kept.fids, strict=True):
            assert np.abs(a - b).max() < 2e-3, name_


def test_cached_simulation_is_the_same_and_survives_damage(tmp_path):
    systems = {"Cr": COLLECTIONS["brain"]["Cr"], "Lac": COLLECTIONS["brain"]["Lac"]}

    def make(te=0.03, **more):
        return simulate_cached(Press(te), systems, cache_directory=tmp_path, spectrometer_frequency_mhz=F0, **more)

    calls = []
    first = make(progress=lambda *a: calls.append(a))["main"]
    assert calls
    calls.clear()
    second = make(progress=lambda *a: calls.append(a))["main"]
    assert not calls
    assert second.content_hash() == first.content_hash()
    (file,) = (tmp_path / "basis").iterdir()
    file.write_bytes(file.read_bytes()[:200])
    assert make()["main"].content_hash() == first.content_hash()
    make(te=0.031)
    assert len(list((tmp_path / "basis").iterdir())) == 2


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    systems = {"Cr": COLLECTIONS["brain"]["Cr"]}
    sets = simulate_cached(Press(0.03), systems, cache_directory=blocked, spectrometer_frequency_mhz=F0)
    assert sets["main"].names == ("Cr",)
