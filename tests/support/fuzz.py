"""Mutated frames: from sound messages, by byte, by field, by frame."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgpack

from scanner_agent.records import EndStatus, ScanEnd
from scanner_agent.wire.codec import Ping, StatusQuery, encode_request
from tests.support import live

_ODD = (None, True, -1, 0, 2**63, -(2**63), 1e308, float("nan"), float("inf"), "", "x" * 300, "../..", [], {}, b"b")
_BYTES = (0, 0x7F, 0x80, 0x90, 0xA0, 0xC0, 0xC1, 0xC7, 0xD9, 0xDD, 0xDF, 0xFF)


def sound_messages(scan_id: str = "fuzz") -> list[list[bytes]]:
    """One of each kind."""
    scan = live.header(scan_id, n_coils=1, n_points=64)
    end = ScanEnd(scan_id=f"{scan_id}-other", status=EndStatus.ABORTED)
    items = (scan, live.shot(scan, 0), end, StatusQuery(scan_id=scan_id), Ping(token="t"))
    return [encode_request(item) for item in items]


def mutated(seed: int, n: int) -> Iterator[list[bytes]]:
    """Mutated messages, reproducible."""
    rng = random.Random(seed)
    corpus = sound_messages()
    for _ in range(n):
        frames = list(rng.choice(corpus))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            frames = _mutate(rng, frames)
        yield frames


def _mutate(rng: random.Random, frames: list[bytes]) -> list[bytes]:
    how = rng.randrange(8)
    if how == 0:
        return rng.choice(([], frames * 2, frames[:1], frames[1:], [b"", *frames], [*frames, b""]))
    if not frames:
        return [rng.randbytes(rng.randrange(40))]
    which = rng.randrange(len(frames))
    data = bytearray(frames[which])
    if how == 1 and data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == 2 and data:
        data[rng.randrange(len(data))] = rng.choice(_BYTES)
    elif how == 3:
        del data[rng.randrange(len(data) + 1) :]
    elif how == 4:
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 64)))
    elif how == 5 and data:
        at = rng.randrange(len(data))
        data[at:at] = data[at : at + rng.randrange(1, 64)]
    else:
        return _mutate_field(rng, frames)
    return [*frames[:which], bytes(data), *frames[which + 1 :]]


def _mutate_field(rng: random.Random, frames: list[bytes]) -> list[bytes]:
    try:
        fields = msgpack.unpackb(frames[0], strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException):
        return frames
    if not isinstance(fields, dict) or not fields:
        return frames
    key = rng.choice(list(fields))
    how = rng.randrange(4)
    if how == 0:
        del fields[key]
    elif how == 1:
        fields[key] = rng.choice(_ODD)
    elif how == 2:
        fields[rng.choice(("patient_name", "wire", "type", "", "n_coils", "__class__"))] = rng.choice(_ODD)
    else:
        nested: object = rng.choice(_ODD)
        for _ in range(rng.randrange(1, 40)):
            nested = [nested] if rng.random() < 0.5 else {"k": nested}
        fields[key] = nested
    try:
        return [msgpack.packb(fields), *frames[1:]]
    except (OverflowError, ValueError):
        return frames
