"""Every real file of the shared data: what is read from it, where its lines lie, and what does not leave it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pydicom
import pytest

from scanner_agent.errors import SourceError
from scanner_agent.mrs.axes import ppm_axis, spectrum, time_axis
from scanner_agent.records import ScanHeader, ShotKind
from scanner_agent.sources import MOVEMENT_NOTE, ScanSource, open_scan, write_nifti_mrs
from scanner_agent.sources.evidence import principal_fid

METABOLITE, WATER = ShotKind.METABOLITE, ShotKind.WATER_REFERENCE


@dataclass(frozen=True)
class Expected:
    """What one file gives."""

    shots: dict[ShotKind, tuple[int, int, int]]
    frequency_mhz: float
    width_hz: float
    te_s: float
    tr_s: float
    sequence: str = "PRESS"
    averages: int = 1
    averaged: bool = True
    phantom: bool | None = None
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: tuple[float, float, float] = (20.0, 20.0, 20.0)
    lines_ppm: tuple[float, ...] = ()
    water_ppm: float | None = None
    notes: tuple[str, ...] = field(default=())


def one(n_points: int) -> dict[ShotKind, tuple[int, int, int]]:
    return {METABOLITE: (1, 1, n_points)}


def water(n_points: int, n_shots: int = 1, n_coils: int = 1) -> dict[ShotKind, tuple[int, int, int]]:
    return {WATER: (n_shots, n_coils, n_points)}


SKYRA = {"frequency_mhz": 123.148908, "width_hz": 1199.904, "te_s": 0.03, "tr_s": 2.0, "size": (15.0, 25.0, 15.0),
         "position": (-21.552, 5.606, 58.374)}  # fmt: skip
MMR = {"frequency_mhz": 123.2597, "width_hz": 1199.904, "te_s": 0.03, "tr_s": 2.0, "phantom": True,
       "position": (-3.096, 7.945, 3.655)}  # fmt: skip
ACHIEVA = {"shots": {METABOLITE: (1, 1, 1024), WATER: (1, 1, 1024)}, "frequency_mhz": 63.896, "width_hz": 1000.0,
           "te_s": 0.0319136, "tr_s": 2.0, "averages": 128, "phantom": True, "size": (25.0, 15.0, 15.0),
           "notes": ("PRIME", "means over excitations")}  # fmt: skip
SEVEN = {"frequency_mhz": 297.219948, "width_hz": 1 / 8.33e-5, "te_s": 0.011, "tr_s": 5.0, "sequence": "STEAM",
         "averaged": False, "position": (-32.9007, 10.6634, 21.3559)}  # fmt: skip
FILES = {
    "siemens_3t_phantom/2016-11-11_metabolite.dcm": Expected(
        one(2048), **{**MMR, "position": (-3.096, 9.004, 2.363)}, averages=4, lines_ppm=(1.74, 1.152)
    ),
    "siemens_3t_phantom/2017-09-04_metabolite.dcm": Expected(one(2048), **MMR, averages=4, lines_ppm=(1.714, 1.125)),
    "siemens_3t_phantom/2018-07-06_metabolite.dcm": Expected(one(2048), **MMR, averages=4, lines_ppm=(1.739, 1.15)),
    "siemens_3t_phantom/2018-08-20_metabolite.dcm": Expected(one(2048), **MMR, averages=4, lines_ppm=(1.743, 1.154)),
    "siemens_3t_phantom/2018-11-19_metabolite.dcm": Expected(one(2048), **MMR, averages=4, lines_ppm=(1.766, 1.178)),
    "siemens_3t_phantom/2017-09-04_water.dcm": Expected(water(2048), **MMR, water_ppm=4.65),
    "siemens_3t_phantom/2018-07-06_water.dcm": Expected(water(2048), **MMR, water_ppm=4.639),
    "siemens_3t_phantom/2018-08-20_water.dcm": Expected(water(2048), **MMR, water_ppm=4.643),
    "siemens_3t_phantom/2018-11-19_water.dcm": Expected(water(2048), **MMR, water_ppm=4.663),
    "siemens_3t_invivo_press30/noecc.dcm": Expected(
        one(1024), **SKYRA, averages=128, lines_ppm=(1.81,), water_ppm=4.474, notes=("means over excitations",)
    ),
    "siemens_3t_invivo_press30/ecc.dcm": Expected(
        one(1024), **SKYRA, averages=128, lines_ppm=(1.964,), water_ppm=4.631
    ),
    "siemens_3t_invivo_press30/water_reference.dcm": Expected(water(1024), **SKYRA, water_ppm=4.493),
    "philips_1p5t/2018-04-04_phantom_press_short_te.dcm": Expected(
        **ACHIEVA, position=(-6.07, 2.323, 21.494), lines_ppm=(1.857,), water_ppm=4.654
    ),
    "philips_1p5t/2018-07-17_phantom_press_short_te.dcm": Expected(
        **ACHIEVA, position=(-6.07, -15.208, 3.963), lines_ppm=(1.823,), water_ppm=4.654
    ),
    "philips_3t_press55_dynamics/dynamics.dcm": Expected(
        {METABOLITE: (16, 1, 4096), WATER: (16, 1, 4096)},
        127.748966,
        6000.0,
        0.055,
        1.5,
        averages=8,
        averaged=False,
        position=(-20.058, 11.370, 7.066),
        lines_ppm=(1.99,),
        water_ppm=4.656,
        notes=("not in steady state",),
    ),
    "philips_3t_press35_invivo/press35_act.sdat": Expected(
        one(2048),
        127.750896,
        2000.0,
        0.035,
        2.0,
        averages=64,
        position=(0.0, -45.0334, 37.6622),
        size=(30.0, 30.0, 30.0),
        lines_ppm=(2.0,),
    ),
    "philips_3t_press35_invivo/press35_ref.sdat": Expected(
        water(2048),
        127.750896,
        2000.0,
        0.035,
        2.0,
        averages=64,
        position=(0.0, -45.0334, 37.6622),
        size=(30.0, 30.0, 30.0),
        water_ppm=4.65,
    ),
    "philips_3t_t1_and_voxel/press35_act.SDAT": Expected(
        one(2048),
        127.755472,
        2000.0,
        0.030,
        2.0,
        averages=48,
        position=(6.7345, -38.1805, 18.9785),
        size=(26.0, 26.0, 30.0),
        lines_ppm=(1.986,),
    ),
    "philips_3t_t1_and_voxel/press35_ref.SPAR": Expected(
        water(2048),
        127.755472,
        2000.0,
        0.030,
        2.0,
        averages=48,
        position=(6.7345, -38.1805, 18.9785),
        size=(26.0, 26.0, 30.0),
        water_ppm=4.65,
    ),
    "siemens_7t_steam_4ch_16shots/metab_raw.nii.gz": Expected(
        {METABOLITE: (16, 4, 4096)}, **SEVEN, lines_ppm=(1.988, 3.008), water_ppm=4.643
    ),
    "siemens_7t_steam_4ch_16shots/wref_raw.nii.gz": Expected(water(4096, 2, 4), **SEVEN, water_ppm=4.643),
    "siemens_7t_steam_4ch_16shots/quant_raw.nii.gz": Expected(water(4096, 2, 4), **SEVEN, water_ppm=4.635),
    "siemens_7t_steam_4ch_16shots/ecc.nii.gz": Expected(water(4096, 1, 4), **SEVEN, water_ppm=4.64),
    "siemens_7t_steam_32ch_water/water_reference.nii.gz": Expected(
        water(2048, 1, 32), **{**SEVEN, "width_hz": 1 / 1.666e-4}, water_ppm=4.64
    ),
    "siemens_svs_formats/svs_30.IMA": Expected(
        one(1024),
        123.234655,
        1199.904,
        0.03,
        2.0,
        averages=64,
        position=(-41.603, -21.569, -4.959),
        size=(20.0, 40.0, 20.0),
        water_ppm=4.633,
    ),
    "siemens_svs_formats/svs_30.rda": Expected(
        one(1024),
        123.234655,
        1199.904,
        0.03,
        2.0,
        averages=64,
        position=(-41.603, -21.569, -4.959),
        size=(20.0, 40.0, 20.0),
        water_ppm=4.633,
        notes=("833.4 us",),
    ),
    "siemens_3t_press_twix_34ch/press_te40_34ch.dat": Expected(
        {METABOLITE: (2, 34, 1024), WATER: (1, 34, 1024)},
        123.254849,
        1199.904,
        0.04,
        2.0,
        averaged=False,
        notes=("1 empty cell", "6 points before the echo", "Oversampling (x2)", "direction of the frequency axis"),
    ),
}


def heights(source: ScanSource, kind: ShotKind) -> tuple[np.ndarray, np.ndarray]:
    header = source.header
    fid = principal_fid(source.stacks[kind].data)
    times = time_axis(header.n_points, header.dwell_time_s)
    padded = np.zeros(4 * header.n_points, complex)
    padded[: header.n_points] = fid * np.exp(-np.pi * times)
    return (
        ppm_axis(padded.size, header.dwell_time_s, header.spectrometer_frequency_mhz),
        np.abs(spectrum(padded)),
    )


def peak_near(source: ScanSource, kind: ShotKind, ppm: float, within: float) -> float:
    axis, height = heights(source, kind)
    inside = np.abs(axis - ppm) < within
    return float(axis[inside][np.argmax(height[inside])])


@pytest.mark.parametrize("name", FILES)
def test_each_real_file(shared_data: Path, name: str) -> None:
    expected = FILES[name]
    source = open_scan(shared_data / "real" / name)
    header = source.header
    assert {kind: stack.data.shape for kind, stack in source.stacks.items()} == expected.shots
    assert header.spectrometer_frequency_mhz == pytest.approx(expected.frequency_mhz, abs=4e-4)
    assert 1 / header.dwell_time_s == pytest.approx(expected.width_hz, rel=1e-5)
    assert header.echo_time_s == pytest.approx(expected.te_s, abs=1e-6)
    assert header.repetition_time_s == pytest.approx(expected.tr_s)
    assert header.sequence == expected.sequence
    assert header.is_phantom is expected.phantom
    assert header.voxel_position_mm == pytest.approx(expected.position, abs=2e-3)
    assert header.voxel_size_mm == pytest.approx(expected.size, abs=1e-3)
    np.testing.assert_allclose(np.linalg.det(header.voxel_orientation), 1.0, atol=1e-4)
    assert header.shots_averaged is expected.averaged
    assert (MOVEMENT_NOTE in header.source_notes) is expected.averaged
    for note in expected.notes:
        assert any(note in said for said in header.source_notes), note
    shots = list(source.shots())
    assert [s.shot_kind for s in shots] == sorted(
        (s.shot_kind for s in shots), key=[ShotKind.NOISE, WATER, METABOLITE].index
    )
    kind = METABOLITE if METABOLITE in expected.shots else WATER
    assert header.n_shots_planned == (expected.shots[METABOLITE][0] if METABOLITE in expected.shots else None)
    assert {s.n_excitations for s in shots if s.shot_kind is kind} == {expected.averages}
    for ppm in expected.lines_ppm:
        assert peak_near(source, kind, ppm, 0.08) == pytest.approx(ppm, abs=0.012)
    if expected.water_ppm is not None:
        assert peak_near(source, kind, 4.65, 0.3) == pytest.approx(expected.water_ppm, abs=0.012)


def test_every_file_is_in_the_table(shared_data: Path) -> None:
    found = {p.relative_to(shared_data / "real").as_posix() for p in (shared_data / "real").rglob("*") if p.is_file()}
    halves = {Path(name).with_suffix("").as_posix() for name in FILES}
    left = {name for name in found - set(FILES) if Path(name).with_suffix("").as_posix() not in halves}
    # The T1 image is no spectrum, the cut twix is below, two SDAT/SPAR halves are named by the other half.
    assert left == {"philips_3t_t1_and_voxel/t1_skull_stripped.nii.gz", "siemens_3t_press_twix_34ch/truncated.dat"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("siemens_3t_press_twix_34ch/truncated.dat", "cut off or damaged"),
        ("philips_3t_t1_and_voxel/t1_skull_stripped.nii.gz", "not NIfTI-MRS"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(shared_data: Path, name: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        open_scan(shared_data / "real" / name)
    assert str(error.value).startswith(Path(name).name)
    assert "\n" not in str(error.value)


def test_ima_and_rda_of_one_spectrum_agree(shared_data: Path) -> None:
    ima, rda = (open_scan(shared_data / "real/siemens_svs_formats" / f"svs_30.{e}") for e in ("IMA", "rda"))
    first, second = next(ima.shots()).data, next(rda.shots()).data
    assert np.linalg.norm(first - second) < 1e-6 * np.linalg.norm(first)
    left_to_be_told_once = {"scan_id": "x", "source_notes": (), "coil_name": None, "transmit_reference": None,
                            "started_at": None, "voxel_size_mm": None, "voxel_orientation": None}  # fmt: skip
    one_way = msgspec.structs.replace(ima.header, **left_to_be_told_once)
    assert one_way == msgspec.structs.replace(rda.header, **left_to_be_told_once, dwell_time_s=ima.header.dwell_time_s)
    assert ima.header.dwell_time_s == pytest.approx(rda.header.dwell_time_s, rel=1e-12)
    np.testing.assert_allclose(ima.header.voxel_orientation, rda.header.voxel_orientation, atol=1e-5)


def test_means_are_turned_to_sums(shared_data: Path) -> None:
    raw = pydicom.dcmread(shared_data / "real/philips_3t_press55_dynamics/dynamics.dcm")[0x5600, 0x0020].value
    frames = np.frombuffer(raw, "<c8").reshape(32, 4096).conj()
    source = open_scan(shared_data / "real/philips_3t_press55_dynamics/dynamics.dcm")
    np.testing.assert_array_equal(source.stacks[METABOLITE].data[:, 0], 8 * frames[:16])
    np.testing.assert_array_equal(source.stacks[WATER].data[:, 0], frames[16:])
    # Means of 8 have the noise of sums over sqrt(8): the frames are scaled so that noise grows with the root of n.
    far = np.abs(ppm_axis(4096, source.header.dwell_time_s, source.header.spectrometer_frequency_mhz) - 4.65) > 15
    bands = [spectrum(source.stacks[kind].data[1:, 0])[:, far] for kind in (METABOLITE, WATER)]
    noise = [float(np.median(np.abs(np.diff(band.real, axis=1)))) for band in bands]
    assert noise[0] / noise[1] == pytest.approx(np.sqrt(8), rel=0.15)
    assert [d.is_dummy for d in source.stacks[WATER].details] == [True] + [False] * 15
    times = [d.acquired_at for d in source.stacks[METABOLITE].details]
    np.testing.assert_allclose(np.diff(times), 14.55, atol=0.01)


def test_eddy_current_correction_is_told(shared_data: Path) -> None:
    folder = shared_data / "real/siemens_3t_invivo_press30"
    told = [
        open_scan(folder / f"{name}.dcm").header.eddy_current_corrected for name in ("ecc", "noecc", "water_reference")
    ]
    assert told == [True, False, False]


def test_water_reference_is_matched(shared_data: Path) -> None:
    real = shared_data / "real"
    source = open_scan(
        real / "siemens_7t_steam_4ch_16shots/metab_raw.nii.gz",
        water=real / "siemens_7t_steam_4ch_16shots/quant_raw.nii.gz",
    )
    assert source.n_shots(WATER) == 2
    assert any("gain" in note for note in source.header.source_notes)
    for wrong, says in (
        ("siemens_7t_steam_32ch_water/water_reference.nii.gz", "32 coils"),
        ("philips_3t_press35_invivo/press35_ref.sdat", "1 coils"),
    ):
        with pytest.raises(SourceError, match=says):
            open_scan(real / "siemens_7t_steam_4ch_16shots/metab_raw.nii.gz", water=real / wrong)
    with pytest.raises(SourceError, match=r"water_reference\.dcm: the water reference was sampled at 1200 Hz"):
        open_scan(
            real / "philips_3t_press35_invivo/press35_act.sdat",
            water=real / "siemens_3t_invivo_press30/water_reference.dcm",
        )
    with pytest.raises(SourceError, match=r"lies .* mm from"):
        open_scan(
            real / "philips_3t_press35_invivo/press35_act.sdat", water=real / "philips_3t_t1_and_voxel/press35_ref.SDAT"
        )
    suppressed = real / "philips_3t_t1_and_voxel/press35_act.SDAT"
    with pytest.raises(SourceError, match="suppressed shots"):
        open_scan(suppressed, water=suppressed)
    with pytest.raises(SourceError, match="MHz"):
        open_scan(real / "siemens_3t_invivo_press30/noecc.dcm", water=real / "siemens_3t_phantom/2018-07-06_water.dcm")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".dcm", ".IMA"))])
def test_no_patient_field_leaves_a_dicom_file(shared_data: Path, name: str) -> None:
    dataset = pydicom.dcmread(shared_data / "real" / name)
    told = msgspec.json.encode(
        msgspec.structs.replace(open_scan(shared_data / "real" / name).header, scan_id="x")
    ).decode()
    keywords = ("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "InstitutionName",
                "InstitutionAddress",
                "ReferringPhysicianName", "StationName", "AccessionNumber", "StudyID", "DeviceSerialNumber",
                "StudyDescription", "SeriesDescription", "ProtocolName")  # fmt: skip
    for keyword in keywords:
        value = str(dataset.get(keyword) or "")
        assert len(value) < 3 or value not in told, keyword


def test_round_trip_through_nifti(shared_data: Path, tmp_path: Path) -> None:
    for name in ("philips_3t_press55_dynamics/dynamics.dcm", "siemens_3t_press_twix_34ch/press_te40_34ch.dat",
                 "siemens_svs_formats/svs_30.IMA", "siemens_7t_steam_4ch_16shots/wref_raw.nii.gz"):  # fmt: skip
        source = open_scan(shared_data / "real" / name)
        (path, *_) = write_nifti_mrs(tmp_path / "x.nii.gz", source.header, source.shots())
        back = open_scan(path, scan_id=source.header.scan_id)
        assert back.header == source.header
        for one_shot, other in zip(back.shots(), source.shots(), strict=True):
            np.testing.assert_array_equal(one_shot.data, other.data)
            assert (one_shot.shot_index, one_shot.shot_kind, one_shot.is_dummy, one_shot.n_excitations) == (
                other.shot_index, other.shot_kind, other.is_dummy, other.n_excitations)  # fmt: skip


def test_phantom_argument_overrides(shared_data: Path) -> None:
    path = shared_data / "real/siemens_3t_phantom/2018-07-06_metabolite.dcm"
    assert open_scan(path, phantom=False).header.is_phantom is False
    path = shared_data / "real/siemens_svs_formats/svs_30.rda"
    assert open_scan(path, phantom=True).header.is_phantom is True


def test_converters_are_silent_and_leave_nothing_behind(
    shared_data: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(Path().iterdir())
    for name in ("siemens_3t_press_twix_34ch/press_te40_34ch.dat", "siemens_svs_formats/svs_30.IMA",
                 "siemens_svs_formats/svs_30.rda", "philips_3t_press35_invivo/press35_act.sdat"):  # fmt: skip
        open_scan(shared_data / "real" / name)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert set(Path().iterdir()) == before


def read_or_refusal(path: Path) -> ScanHeader | str:
    try:
        return open_scan(path).header
    except SourceError as error:
        return str(error)


@pytest.mark.parametrize(
    "name",
    ["siemens_svs_formats/svs_30.IMA", "siemens_svs_formats/svs_30.rda", "siemens_3t_invivo_press30/noecc.dcm",
     "siemens_3t_press_twix_34ch/press_te40_34ch.dat", "philips_1p5t/2018-04-04_phantom_press_short_te.dcm",
     "philips_3t_press35_invivo/press35_act.sdat", "siemens_7t_steam_4ch_16shots/ecc.nii.gz"],
)  # fmt: skip
def test_cut_and_flipped_files_are_read_or_refused_clearly(shared_data: Path, tmp_path: Path, name: str) -> None:
    original = shared_data / "real" / name
    whole = original.read_bytes()
    for other in original.parent.glob(original.stem + ".*"):
        shutil.copyfile(other, tmp_path / other.name)
    rng = np.random.default_rng(11)
    target = tmp_path / original.name
    for trial in range(12):
        data = bytearray(whole)
        if trial % 2:
            for at in rng.integers(0, min(len(data), 60_000), size=40):
                data[at] = int(rng.integers(0, 256))
        else:
            del data[int(len(data) * rng.uniform(0.0, 1.0)) :]
        target.write_bytes(bytes(data))
        outcome = read_or_refusal(target)
        assert isinstance(outcome, ScanHeader) or (outcome.startswith(target.name) and "\n" not in outcome)
