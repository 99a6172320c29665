"""The ingest codec against its golden bytes, and what it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, Shot, ShotKind
from scanner_agent.wire.codec import (
    Ack,
    Limits,
    Ping,
    Refusal,
    ScanStatus,
    StatusQuery,
    content_digest,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    identity_of,
    to_ranges,
)

GOLDEN = tomllib.loads((Path(__file__).parents[2] / "golden" / "wire.toml").read_text())
HEADER: dict[str, Any] = {
    "wire": 1,
    "type": "header",
    "scan_id": "scan-1",
    "spectrometer_frequency_mhz": 123.25,
    "dwell_time_s": 0.0005,
    "n_coils": 1,
    "n_points": 64,
}
SHOT: dict[str, Any] = {
    "wire": 1,
    "type": "shot",
    "scan_id": "scan-1",
    "shot_kind": "metabolite",
    "shot_index": 0,
    "n_coils": 1,
    "n_points": 64,
}
PAYLOAD = bytes(64 * 8)


def _frames(name: str) -> list[bytes]:
    return [bytes.fromhex(GOLDEN[name][part]) for part in ("head", "payload") if part in GOLDEN[name]]


def _reason(frames: list[bytes], limits: Limits = Limits()) -> tuple[str, str]:  # noqa: B008
    with pytest.raises(RemoteProtocolError) as caught:
        decode_request(frames, limits)
    assert "\n" not in str(caught.value)
    return caught.value.reason, str(caught.value)


def test_golden_requests_are_read_and_written_byte_by_byte() -> None:
    header = decode_request(_frames("header"))
    assert isinstance(header, ScanHeader)
    assert (header.scan_id, header.n_shots_planned, header.nucleus) == ("scan-1", 2, "1H")
    shot = decode_request(_frames("shot"))
    assert isinstance(shot, Shot)
    assert shot.data.shape == (1, 64)
    assert shot.data[0, 0] == 1.5 - 2j
    assert shot.data[0, 63] == 0.25j
    assert shot.edit_condition == "on"
    assert decode_request(_frames("end")) == ScanEnd(scan_id="scan-1", status=EndStatus.COMPLETE, n_shots=2)
    assert decode_request(_frames("status")) == StatusQuery(scan_id="scan-1")
    assert decode_request(_frames("ping")) == Ping(token="x")
    for name in ("header", "shot", "end", "status", "ping"):
        assert encode_request(decode_request(_frames(name))) == _frames(name)


def test_golden_answers_are_read_and_written_byte_by_byte() -> None:
    ack = Ack(of="shot", scan_id="scan-1", shot_kind="metabolite", shot_index=1, missing=((0, 0),))
    refusal = Refusal(
        of="shot",
        scan_id="scan-1",
        shot_kind="metabolite",
        shot_index=1,
        reason="disk_full",
        text="no room",
        retry=True,
    )
    assert decode_reply(_frames("ack")[0]) == ack
    assert encode_reply(ack) == _frames("ack")[0]
    assert decode_reply(_frames("refused")[0]) == refusal
    assert encode_reply(refusal) == _frames("refused")[0]
    status = ScanStatus(scan_id="s", known=True, ended=False, have={"metabolite": ((0, 3), (5, 5))})
    assert decode_reply(encode_reply(status)) == status


@pytest.mark.parametrize(
    ("changes", "reason", "word"),
    [
        ({"dwell_time_s": None}, "bad_field", "dwell_time_s"),
        ({"dwell_time_s": float("nan")}, "bad_field", "NaN"),
        ({"dwell_time_s": 5.0}, "bad_field", "dwell_time_s"),
        ({"spectrometer_frequency_mhz": -1.0}, "bad_field", "spectrometer_frequency_mhz"),
        ({"spectrometer_frequency_mhz": 1e300}, "bad_field", "spectrometer_frequency_mhz"),
        ({"prescan_frequency_hz": float("inf")}, "bad_field", "infinite"),
        ({"n_coils": 0}, "bad_field", "n_coils"),
        ({"n_coils": 10**9}, "bad_field", "n_coils"),
        ({"n_coils": True}, "bad_field", "n_coils"),
        ({"n_points": "many"}, "bad_field", "n_points"),
        ({"scan_id": "../../etc/passwd"}, "bad_field", "scan_id"),
        ({"scan_id": ""}, "bad_field", "scan_id"),
        ({"scan_id": "a" * 65}, "bad_field", "scan_id"),
        ({"patient_name": "x"}, "bad_field", "patient_name"),
        ({"scanner": "x" * 201}, "bad_field", "scanner"),
        ({"scanner": "x" * 2000}, "not_messagepack", "2000"),
        ({"source_notes": [["a"]]}, "bad_field", "source_notes"),
        ({"source_notes": [[[["a"]]]]}, "too_deep", "deep"),
        ({"wire": 2}, "wrong_version", "wire"),
        ({"wire": True}, "wrong_version", "wire"),
        ({"type": "reboot"}, "unknown_type", "reboot"),
        ({"type": 3}, "unknown_type", "type"),
        ({"scanner": b"bin"}, "not_messagepack", "max_bin_len"),
        ({"scanner": msgpack.Timestamp(0)}, "not_messagepack", "max_ext_len"),
    ],
)
def test_bad_headers_are_refused_naming_the_field(changes: dict[str, Any], reason: str, word: str) -> None:
    got, text = _reason([msgpack.packb({**HEADER, **changes})])
    assert got == reason
    assert word in text


def test_a_header_without_dwell_time_or_frequency_is_refused() -> None:
    for field in ("dwell_time_s", "spectrometer_frequency_mhz", "n_coils", "n_points", "scan_id"):
        reason, text = _reason([msgpack.packb({k: v for k, v in HEADER.items() if k != field})])
        assert reason == "bad_field"
        assert field in text


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "wrong_frames"),
        ([b"a", b"b", b"c"], "wrong_frames"),
        ([b""], "not_messagepack"),
        ([b"\xc1"], "not_messagepack"),
        ([b"\x91" * 5000], "not_messagepack"),
        ([b"\x81" * 5000], "not_messagepack"),
        ([msgpack.packb([1])], "not_a_map"),
        ([msgpack.packb({1: 2})], "not_messagepack"),
        ([msgpack.packb(HEADER) + b"x"], "not_messagepack"),
        ([b"\xa5" + b"\xff" * 5], "not_messagepack"),
        ([bytes(16 * 1024 + 1)], "too_large"),
        ([msgpack.packb(HEADER), b""], "wrong_frames"),
        ([msgpack.packb(SHOT)], "wrong_frames"),
        ([msgpack.packb(SHOT), PAYLOAD[:-1]], "payload_size"),
        ([msgpack.packb(SHOT), b""], "payload_size"),
        ([msgpack.packb({**SHOT, "n_points": 65536, "n_coils": 256}), PAYLOAD], "payload_size"),
        ([msgpack.packb({**SHOT, "shot_index": -1}), PAYLOAD], "bad_field"),
        ([msgpack.packb({**SHOT, "shot_index": 2**63}), PAYLOAD], "bad_field"),
        ([msgpack.packb({**SHOT, "shot_kind": "fid"}), PAYLOAD], "bad_field"),
        ([msgpack.packb({**SHOT, "edit_condition": "ON"}), PAYLOAD], "bad_field"),
    ],
)
def test_foreign_frames_are_refused(frames: list[bytes], reason: str) -> None:
    assert _reason(frames)[0] == reason


def test_a_payload_above_the_limit_is_refused_before_the_head_is_read() -> None:
    assert _reason([b"\xc1", bytes(4097)], Limits(max_payload_bytes=4096))[0] == "too_large"


def test_the_refusal_names_what_could_be_read() -> None:
    assert identity_of([msgpack.packb({**SHOT, "n_coils": -1})]) == ("shot", "scan-1", "metabolite", 0)
    assert identity_of([b"\xc1"]) == ("", None, None, None)
    assert identity_of([]) == ("", None, None, None)
    assert identity_of([msgpack.packb({"type": [1], "scan_id": 5, "shot_kind": {}, "shot_index": -3})]) == (
        "",
        None,
        None,
        None,
    )


def test_a_big_endian_or_strided_array_is_sent_as_agreed() -> None:
    data = (np.arange(256) + 1j).astype(">c8").reshape(2, 128)[:, ::2]
    shot = Shot(scan_id="s", shot_kind=ShotKind.NOISE, shot_index=0, data=data)
    back = decode_request(encode_request(shot))
    assert isinstance(back, Shot)
    np.testing.assert_array_equal(back.data, data.astype(np.complex64))


def test_the_digest_tells_apart_what_differs_in_a_byte_or_a_frame_border() -> None:
    assert content_digest([b"ab", b"c"]) != content_digest([b"a", b"bc"])
    assert content_digest([b"ab"]) == content_digest([b"ab"])


def test_ranges() -> None:
    assert to_ranges([]) == ()
    assert to_ranges([0, 1, 2, 5, 7, 8]) == ((0, 2), (5, 5), (7, 8))
