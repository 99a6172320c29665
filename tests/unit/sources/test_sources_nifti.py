"""NIfTI-MRS in and out."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import nibabel as nib
import numpy as np
import pytest
from nifti_mrs.nifti_mrs import NIFTI_MRS

from scanner_agent.errors import SourceError
from scanner_agent.records import ScanHeader, Shot, ShotKind
from scanner_agent.sources import MOVEMENT_NOTE, open_scan, write_nifti_mrs

F0 = 123.25
DWELL = 0.0005


def fid(ppm_heights: dict[float, float], n_points: int = 1024, width_hz: float = 5.0) -> np.ndarray:
    t = np.arange(n_points) * DWELL
    lines = [a * np.exp(2j * np.pi * (4.65 - p) * F0 * t) for p, a in ppm_heights.items()]
    return np.sum(lines, axis=0) * np.exp(-np.pi * width_hz * t)


BRAIN = {4.65: 3.0, 2.01: 1.0, 3.03: 0.7, 3.2: 0.6}


def write_raw(path: Path, data: np.ndarray, tags: tuple[str, ...] = (), **extra: Any) -> Path:
    """A NIfTI-MRS file as other programs write it: version 1, 32-bit floats."""
    image = nib.Nifti1Image(data.astype(np.complex64), np.diag([20.0, 25.0, 30.0, 1.0]))
    image.header.set_qform(image.affine, 1)
    image.header["pixdim"][4] = extra.pop("dwell", DWELL)
    image.header["intent_name"] = b"mrs_v0_8"
    image.header.set_xyzt_units("mm", "sec")
    content: dict[str, Any] = {"SpectrometerFrequency": [F0], "ResonantNucleus": ["1H"]}
    content |= {f"dim_{place}": tag for place, tag in enumerate(tags, start=5)} | extra
    content = {key: value for key, value in content.items() if value is not None}
    image.header.extensions.append(nib.nifti1.Nifti1Extension(44, json.dumps(content).encode()))
    nib.save(image, path)
    return path


def some_scan(**changes: Any) -> tuple[ScanHeader, list[Shot]]:
    header = ScanHeader(
        scan_id="s1", spectrometer_frequency_mhz=F0, dwell_time_s=1 / 1999.7, n_coils=3, n_points=512, sequence="PRESS",
        echo_time_s=0.035, repetition_time_s=2.0, n_shots_planned=64, receiver_gain=3.25, shim_linewidth_hz=7.1,
        voxel_position_mm=(1.1, -2.2, 3.3), voxel_size_mm=(20.0, 21.0, 22.0),
        voxel_orientation=((0.6, -0.8, 0.0), (0.8, 0.6, 0.0), (0.0, 0.0, 1.0)),
        scanner="Site A", software_version="1", coil_name="Head 32", started_at=1.5e9, is_phantom=False,
        visit_id="v1", reference_scan_id="w1", source_notes=("Made up.",), prescan_frequency_hz=-3.0,
    )  # fmt: skip
    header = msgspec.structs.replace(header, **changes)
    rng = np.random.default_rng(4)

    def shot(kind: ShotKind, index: int, **more: Any) -> Shot:
        data = (rng.normal(size=(2, header.n_coils, header.n_points)) * [[[1]], [[1]]]).astype(np.float32)
        return Shot(scan_id="s1", shot_kind=kind, shot_index=index, data=(data[0] + 1j * data[1]), **more)

    shots = [shot(ShotKind.NOISE, i) for i in range(2)]
    shots += [shot(ShotKind.WATER_REFERENCE, i, n_excitations=8) for i in range(2)]
    conditions = ("on", "off") if header.n_edit_conditions == 2 else (None, None)
    shots += [
        shot(ShotKind.METABOLITE, i, is_dummy=i == 0, n_excitations=2, acquired_at=1.5e9 + i, phase_cycle_index=i % 4,
             frequency_update_hz=0.25 * i, edit_condition=conditions[i % 2])
        for i in range(8)
    ]  # fmt: skip
    return header, shots


def assert_same(source: Any, header: ScanHeader, shots: list[Shot]) -> None:
    assert source.header == header
    back = list(source.shots())
    assert len(back) == len(shots)
    for one, other in zip(back, shots, strict=True):
        for name in Shot.__struct_fields__:
            if name == "data":
                assert one.data.dtype == np.complex64
                np.testing.assert_array_equal(one.data, other.data)
            else:
                assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_coils": 1, "coil_combined": True},
        {"n_coils": 1},
        {
            "n_edit_conditions": 2,
            "edit_pulse_ppm": (1.9, 7.46),
            "sequence": "MEGA-PRESS",
            "edit_pulse_bandwidth_hz": 60.0,
        },
        {"voxel_position_mm": None, "voxel_size_mm": None, "voxel_orientation": None},
        {"voxel_orientation": None},
    ],
)
def test_what_is_written_is_read_back_exactly(tmp_path: Path, changes: dict[str, Any], ending: str) -> None:
    header, shots = some_scan(**changes)
    written = write_nifti_mrs(tmp_path / f"x{ending}", header, reversed(shots))
    assert [p.name for p in written] == [f"x{ending}", f"x_water{ending}", f"x_noise{ending}"]
    assert_same(open_scan(written[0], scan_id="s1"), header, shots)
    for path in written:
        again = NIFTI_MRS(str(path))
        assert again.spectrometer_frequency == [F0]
        assert again.dwelltime == header.dwell_time_s


def test_shots_may_be_missing(tmp_path: Path) -> None:
    header, shots = some_scan(n_edit_conditions=2, edit_pulse_ppm=(1.9, 7.5))
    kept = [s for s in shots if not (s.shot_kind is ShotKind.METABOLITE and s.shot_index in (2, 5, 6))]
    (path, *_) = write_nifti_mrs(tmp_path / "x.nii.gz", header, kept)
    assert_same(open_scan(path, scan_id="s1"), header, kept)


def test_water_alone_is_written_and_read(tmp_path: Path) -> None:
    header, shots = some_scan(n_shots_planned=None)
    water = [s for s in shots if s.shot_kind is ShotKind.WATER_REFERENCE]
    written = write_nifti_mrs(tmp_path / "x.nii", header, water)
    assert len(written) == 1
    assert_same(open_scan(written[0], scan_id="s1"), header, water)


def test_the_data_are_those_of_the_standard_not_their_conjugate(tmp_path: Path) -> None:
    header, _ = some_scan(n_coils=1, coil_combined=True, n_points=1024, dwell_time_s=DWELL)
    data = fid(BRAIN)[None].astype(np.complex64)
    shot = Shot(scan_id="s1", shot_kind=ShotKind.METABOLITE, shot_index=0, data=data)
    (path,) = write_nifti_mrs(tmp_path / "x.nii.gz", header, [shot])
    np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj)[0, 0, 0, :], data[0])
    np.testing.assert_array_equal(NIFTI_MRS(str(path))[0, 0, 0, :].ravel(), data[0].conj())


def test_the_order_of_dimensions_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = {"DIM_COIL": 3, "DIM_DYN": 4, "DIM_EDIT": 2}
    base = rng.normal(size=(1024, 3, 4, 2)) + 1j * rng.normal(size=(1024, 3, 4, 2))
    base = (0.01 * base + fid(BRAIN)[:, None, None, None]).astype(np.complex64)
    for order in itertools.permutations(range(3)):
        tags = tuple(list(sizes)[i] for i in order)
        place = 5 + tags.index("DIM_EDIT")
        data = base.transpose(0, *(1 + i for i in order))[None, None, None]
        path = write_raw(
            tmp_path / "x.nii.gz", data, tags,
            EditPulse={"ON": {"PulseOffset": 1.9}, "OFF": {"PulseOffset": 7.5}},
            **{f"dim_{place}_header": {"EditCondition": ["ON", "OFF"]}},
        )  # fmt: skip
        source = open_scan(path)
        assert source.header.n_coils == 3
        assert source.header.n_edit_conditions == 2
        assert source.header.edit_pulse_ppm == (1.9, 7.5)
        assert source.header.n_shots_planned == 8
        for i, shot in enumerate(source.shots()):
            assert shot.edit_condition == ("on", "off")[i % 2]
            np.testing.assert_array_equal(shot.data, base[:, :, i // 2, i % 2].T)


def test_repeats_and_phase_cycles_are_shots(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(1024, 4, 3, 2)) + 1j * rng.normal(size=(1024, 4, 3, 2))  # phase cycle, measurement, dynamic
    path = write_raw(tmp_path / "x.nii", base[None, None, None], ("DIM_PHASE_CYCLE", "DIM_MEAS", "DIM_DYN"))
    source = open_scan(path)
    assert source.header.coil_combined
    shots = list(source.shots())
    assert [s.phase_cycle_index for s in shots] == [0, 1, 2, 3] * 6
    np.testing.assert_array_equal(shots[4].data[0], base[:, 0, 0, 1].astype(np.complex64))
    np.testing.assert_array_equal(shots[8].data[0], base[:, 0, 1, 0].astype(np.complex64))


def test_edit_conditions_told_along_the_dynamics_or_by_their_pulses(tmp_path: Path) -> None:
    data = np.broadcast_to(fid(BRAIN)[:, None], (1024, 4))[None, None, None]
    pulses = {"A": {"PulseOffset": 7.46}, "B": {"PulseOffset": 1.9}}
    path = write_raw(
        tmp_path / "x.nii", data, ("DIM_DYN",), EditPulse=pulses, SequenceName="svs_se",
        dim_5_header={"EditCondition": ["A", "A", "B", "B"]},
    )  # fmt: skip
    source = open_scan(path)
    assert [s.edit_condition for s in source.shots()] == ["off", "off", "on", "on"]
    assert source.header.edit_pulse_ppm == (1.9, 7.46)
    assert source.header.sequence == "MEGA-PRESS"


def test_unnamed_edit_conditions_are_told_by_naa_or_left_with_a_note(tmp_path: Path) -> None:
    off, on = fid(BRAIN), fid({**BRAIN, 2.01: 0.05})
    data = np.stack([off, on], axis=-1)[None, None, None, :, :]
    source = open_scan(write_raw(tmp_path / "x.nii", data, ("DIM_EDIT",)))
    assert [s.edit_condition for s in source.shots()] == ["off", "on"]
    assert any("NAA is saturated" in note for note in source.header.source_notes)
    same = np.stack([off, off], axis=-1)[None, None, None, :, :]
    source = open_scan(write_raw(tmp_path / "x.nii", same, ("DIM_EDIT",)))
    assert [s.edit_condition for s in source.shots()] == [None, None]
    assert any("NAA does not tell" in note for note in source.header.source_notes)


def test_hermes_keeps_its_four_conditions(tmp_path: Path) -> None:
    data = np.broadcast_to(fid(BRAIN)[:, None], (1024, 4))[None, None, None]
    source = open_scan(write_raw(tmp_path / "x.nii", data, ("DIM_EDIT",), dim_5_header={"EditCondition": list("ABCD")}))
    assert source.header.n_edit_conditions == 4


def test_one_shot_is_an_average_unless_told(tmp_path: Path) -> None:
    source = open_scan(write_raw(tmp_path / "x.nii", fid(BRAIN)[None, None, None]))
    assert source.header.shots_averaged
    assert MOVEMENT_NOTE in source.header.source_notes
    assert source.header.voxel_size_mm == (20.0, 25.0, 30.0)
    assert source.header.dwell_time_s == DWELL


def test_receiver_offset_is_taken_off(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.nii", fid({p - 0.5: a for p, a in BRAIN.items()})[None, None, None], RxOffset=0.5)
    shot = next(open_scan(path).shots())
    np.testing.assert_allclose(shot.data[0], fid(BRAIN), atol=1e-4)


def test_mirrored_data_are_refused_and_unclear_ones_noted(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="mirrored"):
        open_scan(write_raw(tmp_path / "x.nii", fid(BRAIN).conj()[None, None, None]))
    source = open_scan(write_raw(tmp_path / "x.nii", fid({4.65: 3.0})[None, None, None]))
    assert source.n_shots(ShotKind.METABOLITE) + source.n_shots(ShotKind.WATER_REFERENCE) == 1


def test_patient_fields_do_not_pass(tmp_path: Path) -> None:
    secret = {
        "PatientName": "Doe^Jane", "PatientID": "ID777", "PatientDoB": "19701231", "PatientSex": "F",
        "PatientWeight": 61.5,
        "InstitutionName": "Saint Elsewhere", "InstitutionAddress": "Nowhere 5", "DeviceSerialNumber": "SN4242",
        "OriginalFile": ["Doe_Jane.dat"], "ManufacturersModelName": "Model77", "ProtocolName": "Doe_Jane_press",
    }  # fmt: skip
    source = open_scan(write_raw(tmp_path / "x.nii", fid(BRAIN)[None, None, None], **secret))
    text = msgspec.json.encode(source.header).decode()
    for value in ("Doe", "Jane", "ID777", "1970", "61.5", "Elsewhere", "Nowhere", "SN4242", "Model77"):
        assert value not in text
    (path,) = write_nifti_mrs(tmp_path / "y.nii", source.header, source.shots())
    assert b"Doe" not in path.read_bytes()
    assert source.header.sequence == "PRESS"


ONE = fid(BRAIN)[None, None, None]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"ResonantNucleus": ["31P"]}, "31P"),
        ({"ResonantNucleus": None}, "ResonantNucleus"),
        ({"SpectrometerFrequency": None}, "SpectrometerFrequency"),
        ({"SpectrometerFrequency": [123.2e6]}, "impossible value"),
        ({"SpectrometerFrequency": [float("nan")]}, "frequency"),
        ({"dwell": 0.0}, "dwell time"),
        ({"dwell": 1.0}, "dwell time"),
        ({"SpectralWidth": 4000.0}, "disagree"),
        ({"EchoTime": 35.0}, "impossible value"),
        ({"data": np.full((1, 1, 1, 256), np.nan + 0j)}, "NaN"),
        ({"data": np.zeros((1, 1, 1, 256), complex)}, "zeros"),
        ({"data": np.full((1, 1, 1, 256), 1e30 + 0j)}, "absurdly"),
        ({"data": np.ones((1, 1, 1, 16), complex)}, "impossible value"),
        ({"data": np.ones((2, 2, 1, 256), complex)}, "voxels"),
        ({"data": np.ones((1, 1, 1, 256, 3), complex)}, "not named"),
        ({"data": np.ones((1, 1, 1, 256, 3), complex), "tags": ("DIM_INDIRECT_0",)}, "DIM_INDIRECT_0"),
        ({"data": np.ones((1, 1, 1, 256, 3), complex), "tags": ("DIM_ISIS",)}, "DIM_ISIS"),
        ({"data": np.ones((1, 1, 1, 256, 3, 2), complex), "tags": ("DIM_DYN", "DIM_DYN")}, "twice"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, what: dict[str, Any], says: str) -> None:
    what = dict(what)
    path = write_raw(tmp_path / "bad.nii", what.pop("data", ONE), what.pop("tags", ()), **what)
    with pytest.raises(SourceError) as error:
        open_scan(path)
    text = str(error.value)
    assert text.startswith("bad.nii: ")
    assert says in text
    assert "\n" not in text


def test_single_bad_shots_pass_with_a_note(tmp_path: Path) -> None:
    data = np.array(np.broadcast_to(fid(BRAIN)[:, None], (1024, 4)))
    data[5, 1] = np.nan
    data[:, 3] = 0
    source = open_scan(write_raw(tmp_path / "x.nii", data[None, None, None], ("DIM_DYN",)))
    assert source.n_shots(ShotKind.METABOLITE) == 4
    assert any("shots 1 hold NaN" in note for note in source.header.source_notes)
    assert any("shots 3 hold zeros" in note for note in source.header.source_notes)


def test_images_and_cut_files_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "t1.nii.gz")
    with pytest.raises(SourceError, match=r"^t1\.nii\.gz: is a NIfTI image but not NIfTI-MRS"):
        open_scan(tmp_path / "t1.nii.gz")
    header, shots = some_scan()
    (path, *_) = write_nifti_mrs(tmp_path / "x.nii.gz", header, shots)
    whole = path.read_bytes()
    for length in (20, 400, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError, match=r"^x\.nii\.gz: "):
            open_scan(path)


def test_writer_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    header, shots = some_scan()
    with pytest.raises(SourceError, match=r"\.nii"):
        write_nifti_mrs(tmp_path / "x.mat", header, shots)
    with pytest.raises(SourceError, match="no shots"):
        write_nifti_mrs(tmp_path / "x.nii", header, [])
    with pytest.raises(SourceError, match="shape"):
        write_nifti_mrs(tmp_path / "x.nii", msgspec.structs.replace(header, n_coils=4), shots)
    with pytest.raises(SourceError, match="cannot be written"):
        write_nifti_mrs(tmp_path / "none" / "x.nii", header, shots)
