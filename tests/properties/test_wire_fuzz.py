"""Whatever bytes come: a record or a `RemoteProtocolError`, nothing else. benchmarks/fuzz.py runs millions."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.wire.codec import decode_reply, decode_request, encode_request, identity_of
from scanner_agent.wire.control import decode_control, decode_control_reply
from scanner_agent.wire.published import RECORD_TYPES, decode_publication, decode_record
from tests.support.fuzz import mutated

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(["wire", "type", "scan_id", "shot_kind", "shot_index", "n_coils", "n_points", "request_id"])


def _survives(decode: Any, data: Any) -> Any:
    """What was decoded, None if it was refused."""
    refusal = None
    try:
        return decode(data)
    except RemoteProtocolError as error:
        refusal = error
    assert refusal.reason
    assert "\n" not in str(refusal)
    assert len(str(refusal)) < 2500
    return None


def test_mutated_requests_give_a_record_or_a_refusal() -> None:
    n_sound = 0
    for frames in mutated(0, 20_000):
        identity_of(frames)
        record = _survives(decode_request, frames)
        if record is not None:
            n_sound += 1
            assert decode_request(encode_request(record)) is not None
    assert 100 < n_sound < 19_000


@given(st.lists(st.binary(max_size=200), max_size=3))
@example([b"\x81\xa2\x00\x80"])  # an unknown key that is no UTF-8, where unknown keys are refused by name
def test_any_bytes(frames: list[bytes]) -> None:
    _survives(decode_request, frames)
    _survives(decode_control, frames)
    _survives(decode_publication, frames)
    for frame in frames:
        _survives(decode_reply, frame)
        _survives(decode_control_reply, frame)
        for name in RECORD_TYPES:
            _survives(lambda raw, name=name: decode_record(name, raw), frame)


@given(st.dictionaries(_KEYS | st.text(max_size=10), _VALUES, max_size=8), st.booleans())
def test_any_map(fields: dict[str, Any], sound_start: bool) -> None:
    if sound_start:
        fields = {**fields, "wire": 1}
    frames = [msgpack.packb(fields)]
    _survives(decode_request, frames)
    _survives(decode_request, [*frames, bytes(512)])
    _survives(decode_control, frames)
    _survives(decode_reply, frames[0])
