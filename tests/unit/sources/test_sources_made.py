"""Vendor formats of which there is no real file to test with: files made here, field by field."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from spec2nii.GE.ge_hdr_fields import get_pfile_hdr_fields

from scanner_agent.errors import SourceError
from scanner_agent.records import ShotKind
from scanner_agent.sources import open_scan

METABOLITE, WATER, NOISE = ShotKind.METABOLITE, ShotKind.WATER_REFERENCE, ShotKind.NOISE
F0, WIDTH, N = 127.7, 5000.0, 1024


def fid(lines: dict[float, float], width_hz: float = WIDTH, n_points: int = N) -> np.ndarray:
    t = np.arange(n_points) / width_hz
    return sum(a * np.exp(2j * np.pi * (4.65 - p) * F0 * t) for p, a in lines.items()) * np.exp(-15 * t)


SUPPRESSED = fid({4.65: 200.0, 2.01: 900.0, 3.03: 700.0, 3.2: 600.0})
UNSUPPRESSED = fid({4.65: 300_000.0})


def write_pfile(path: Path, *, n_coils: int = 2, nex: float = 8.0, cut: int = 0, psd: bytes = b"PROBE-P") -> np.ndarray:
    """A GE p-file (revision 27) of PROBE-P: per coil a blank frame, 16/NEX unsuppressed, 128/NEX others."""

    class Header(ctypes.LittleEndianStructure):
        _pack_ = 1
        _layout_ = "ms"
        _fields_ = get_pfile_hdr_fields(np.float32(27.0))

    n_water, n_metabolite = int(16 / nex), int(128 / nex)
    header, offset = Header(), 219828
    fields: dict[str, object] = {
        "rhr_rh_rdbm_rev": 27.0, "rhr_rdb_hdr_off_data": offset, "rhr_rh_frame_size": N, "rhr_rh_point_size": 4,
        "rhr_rh_dab[0]_start_rcv": 0, "rhr_rh_dab[0]_stop_rcv": n_coils - 1, "rhr_spectral_width": WIDTH,
        "rhr_rh_ps_mps_freq": round(F0 * 1e7), "rhe_magstrength": 30000, "rhi_nex": nex, "rhi_user4": 128.0,
        "rhi_user8": 20.0, "rhi_user9": 30.0, "rhi_user10": 15.0,
        "rhi_user11": 4.0, "rhi_user12": -7.0, "rhi_user13": 11.0,
        "rhi_trhc_R": 1.0, "rhi_brhc_R": 1.0, "rhi_brhc_A": -1.0, "rhi_te": 35000, "rhi_tr": 2_000_000,
        "rhi_numecho": 1, "rhi_freq_dir": 1, "rhi_psdname": psd, "rhe_patname": b"Doe^Jane", "rhs_se_desc": b"ACC",
    }  # fmt: skip
    frames = [np.zeros(N)] + [UNSUPPRESSED] * n_water + [SUPPRESSED * nex] * n_metabolite
    coils = [np.stack(frames) * (1 + c) * np.exp(0.7j * c) for c in range(n_coils)]
    fields["rhr_rh_raw_pass_size"] = n_coils * len(frames) * N * 8
    for name, value in fields.items():
        setattr(header, name, value)
    numbers = np.stack([np.stack([coil.real, coil.imag], axis=-1) for coil in coils]).round().astype("<i4")
    whole = bytes(header).ljust(offset, b"\0") + numbers.tobytes()
    path.write_bytes(whole[: len(whole) - cut])
    return numbers[:, 1:, :, 0] + 1j * numbers[:, 1:, :, 1]


def test_ge_pfile(tmp_path: Path) -> None:
    frames = write_pfile(tmp_path / "P12345.7")
    source = open_scan(tmp_path / "P12345.7")
    header = source.header
    assert source.n_shots(WATER) == 2
    assert source.n_shots(METABOLITE) == 16
    assert {shot.n_excitations for shot in source.shots()} == {8}
    assert (header.sequence, header.echo_time_s, header.repetition_time_s) == ("PRESS", 0.035, 2.0)
    assert (header.n_coils, header.n_points, header.dwell_time_s) == (2, N, 1 / WIDTH)
    assert header.scanner == "GE"
    assert header.voxel_size_mm == pytest.approx((20.0, 30.0, 15.0))
    assert header.voxel_position_mm == pytest.approx((4.0, -7.0, 11.0))
    np.testing.assert_array_equal(source.stacks[METABOLITE].data[3], frames[:, 5].astype(np.complex64))
    np.testing.assert_array_equal(source.stacks[WATER].data[1], frames[:, 1].astype(np.complex64))
    assert "Doe" not in str(header)


def test_damaged_or_unknown_pfiles_are_refused(tmp_path: Path) -> None:
    write_pfile(tmp_path / "P1.7", cut=100_000)
    with pytest.raises(SourceError, match=r"^P1\.7: "):
        open_scan(tmp_path / "P1.7")
    write_pfile(tmp_path / "P2.7", psd=b"FGRE")
    with pytest.raises(SourceError, match=r"^P2\.7: it is damaged, or of a variant"):
        open_scan(tmp_path / "P2.7")


SPAR = """examination_name : Doe
scan_id : PRESS_35
patient_name : Doe Jane
patient_birth_date : 1970.01.01
patient_position : "head_first"
patient_orientation : "supine"
samples : {n}
rows : {rows}
averages : {averages}
synthesizer_frequency : 127700000
offset_frequency : 0
sample_frequency : 5000
spectrum_inversion_time : 0
echo_time : 35
repetition_time : 2000
nucleus : "{nucleus}"
volume_selection_enable : "yes"
volume_selection_method : 1
ap_size : 20
lr_size : 30
cc_size : 25
ap_off_center : 5
lr_off_center : -10
cc_off_center : 15
ap_angulation : 0
lr_angulation : 0
cc_angulation : 0
equipment_sw_verions : 5.1.7
"""


def write_spar(path: Path, *, rows: int = 1, averages: int = 4, nucleus: str = "1H") -> None:
    path.write_text(SPAR.format(n=N, rows=rows, averages=averages, nucleus=nucleus))


def write_data_list(stem: Path) -> None:
    """Philips raw data: 2 coils, noise, 4 suppressed averages (mix 0), 2 unsuppressed (mix 1)."""
    rng = np.random.default_rng(3)
    lines, blocks, offset = [], [], 0

    def add(kind: str, mix: int, average: int, channel: int, values: np.ndarray) -> None:
        nonlocal offset
        pairs = np.stack([values.real, values.imag], axis=-1).astype("<f4").tobytes()
        row = [mix, 0, 0, 0, 0, channel, 0, 0, 0, 0, 0, average, 1, 0, 0, 0, 0, 0, len(pairs), offset]
        lines.append(f"  {kind}  " + "  ".join(str(number) for number in row))
        blocks.append(pairs)
        offset += len(pairs)

    for channel in range(2):
        add("NOI", 0, 0, channel, rng.normal(size=4 * N) + 1j * rng.normal(size=4 * N))
    for mix, count, signal in ((0, 4, SUPPRESSED), (1, 2, UNSUPPRESSED)):
        for average in range(count):
            for channel in range(2):
                add("STD", mix, average, channel, (1 + average + 10 * channel) * signal.conj())
    stem.with_suffix(".list").write_text("# list file\n" + "\n".join(lines) + "\n")
    stem.with_suffix(".data").write_bytes(b"".join(blocks))


def test_philips_data_list(tmp_path: Path) -> None:
    write_data_list(tmp_path / "raw")
    write_spar(tmp_path / "raw.SPAR")
    for ending in ("data", "list"):
        source = open_scan(tmp_path / f"raw.{ending}")
        assert {kind: stack.data.shape for kind, stack in source.stacks.items()} == {
            METABOLITE: (4, 2, N), WATER: (2, 2, N), NOISE: (4, 2, N),
        }  # fmt: skip
        data = source.stacks[METABOLITE].data
        np.testing.assert_allclose(data[2, 1], 13 * SUPPRESSED, rtol=1e-4, atol=0.1)
        assert not source.header.coil_combined
        assert not source.header.shots_averaged
        assert "Doe" not in str(source.header)


def vax_bytes(values: np.ndarray) -> bytes:
    """VAX F floats: the IEEE number times four, its two 16-bit halves swapped."""
    ieee = np.asarray(values, dtype="<f4") * np.float32(4)
    return ieee.view("<u2").reshape(-1, 2)[:, ::-1].tobytes()


def test_philips_sdat_rows_are_shots(tmp_path: Path) -> None:
    rows = np.stack([SUPPRESSED * (1 + i) for i in range(4)]).conj()
    pairs = np.stack([rows.real, rows.imag], axis=-1)
    (tmp_path / "act.SDAT").write_bytes(vax_bytes(pairs.ravel()))
    write_spar(tmp_path / "act.SPAR", rows=4, averages=32)
    source = open_scan(tmp_path / "act.SDAT")
    assert source.n_shots(METABOLITE) == 4
    assert not source.header.shots_averaged
    assert [shot.n_excitations for shot in source.shots()] == [8] * 4
    np.testing.assert_allclose(source.stacks[METABOLITE].data[2, 0], 8 * 3 * SUPPRESSED, rtol=1e-4, atol=0.1)
    assert source.header.voxel_size_mm == pytest.approx((30.0, 20.0, 25.0))
    assert source.header.voxel_position_mm == pytest.approx((10.0, -5.0, 15.0))


def test_philips_pairs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "act.SDAT").write_bytes(b"\0" * (8 * N))
    with pytest.raises(SourceError, match="not beside it"):
        open_scan(tmp_path / "act.SDAT")
    write_spar(tmp_path / "act.SPAR", rows=3)
    with pytest.raises(SourceError, match="does not hold the 3 x 1024 points"):
        open_scan(tmp_path / "act.SDAT")
    write_spar(tmp_path / "act.SPAR", nucleus="31P")
    with pytest.raises(SourceError, match="31P"):
        open_scan(tmp_path / "act.SDAT")
