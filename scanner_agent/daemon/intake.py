"""What is taken into the spool and what is refused: the rules of docs/wire.md, without sockets."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from scanner_agent.config import AgentConfig
from scanner_agent.daemon.rates import Allowance
from scanner_agent.errors import RemoteProtocolError, SpoolError
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, Shot
from scanner_agent.spool import ScanFile, Spool, scan_key
from scanner_agent.wire.codec import (
    Ack,
    Buffer,
    Limits,
    Ping,
    Pong,
    Refusal,
    Reply,
    ScanStatus,
    StatusQuery,
    decode_request,
    identity_of,
)

MAX_GAPS = 16
"""Gaps named in one acknowledgement."""
_TRY_AGAIN = frozenset({"disk_full", "spool_failed", "too_many_scans", "too_fast"})


class Intake:
    """Takes requests, answers after the group's sync. Never raises on anything a peer sends."""

    def __init__(self, config: AgentConfig, spool: Spool, *, instance: str, version: str) -> None:
        self._config, self.spool = config, spool
        self._instance, self._version = instance, version
        self._limits = Limits(max_payload_bytes=config.wire.max_payload_bytes)
        self.acknowledged = 0
        """Shots acknowledged since start."""
        self.refused = 0
        """Messages refused since start."""
        self.trouble: str | None = None
        """Why nothing can be kept now."""
        self._disk_low: str | None = None
        self._new_scans = Allowance(config.wire.max_new_scans_per_minute / 60.0, 100)
        self.touched: set[str] = set()
        """Scans that got something since this was last cleared."""

    def handle(self, batch: Sequence[Sequence[Buffer]]) -> list[Reply]:
        """One answer for each message, after everything in the batch is on disk."""
        self.check_disk()
        replies: list[Reply] = []
        written: list[tuple[int, str]] = []
        for frames in batch:
            try:
                reply, scan_id = self._take(frames)
            except RemoteProtocolError as error:
                reply, scan_id = self._refusal(frames, error.reason, str(error)), None
            except SpoolError as error:
                self.trouble = str(error)
                reply, scan_id = self._refusal(frames, "spool_failed", str(error)), None
            if scan_id is not None:
                written.append((len(replies), scan_id))
            replies.append(reply)
        failed = self.spool.sync() if written else {}
        for place, scan_id in written:
            problem = failed.get(scan_key(scan_id))
            if problem is None:
                self.touched.add(scan_id)
            else:
                self.trouble = problem
                replies[place] = self._refusal(batch[place], "spool_failed", problem)
        self.acknowledged += sum(isinstance(r, Ack) and r.of == "shot" and not r.duplicate for r in replies)
        self.refused += sum(isinstance(r, Refusal) for r in replies)
        if written and not failed:
            self.trouble = None
        return replies

    def not_allowed(self, frames: Sequence[Buffer]) -> Refusal:
        """Answer to a peer whose key is not (or no longer) on the list."""
        self.refused += 1
        return self._refusal(frames, "not_allowed", "this key may not send shots")

    def too_fast(self, frames: Sequence[Buffer]) -> Refusal:
        """Answer to a peer that sends more than its share."""
        self.refused += 1
        return self._refusal(frames, "too_fast", "too many messages at once: wait a little")

    def _refusal(self, frames: Sequence[Buffer], reason: str, text: str) -> Refusal:
        of, scan_id, kind, index = identity_of(frames)
        return Refusal(
            of=of,
            scan_id=scan_id,
            shot_kind=kind,
            shot_index=index,
            reason=reason,
            text=text,
            retry=reason in _TRY_AGAIN,
        )

    def check_disk(self) -> None:
        """Look whether there is room; if there was trouble, try whether it is over."""
        try:
            if self.trouble is not None:
                self.spool.probe()
                self.trouble = None
            free = self.spool.files.free_bytes(self.spool.directory)
        except (OSError, SpoolError) as error:
            self.trouble = str(error)
            return
        floor = self._config.spool.free_space_floor_bytes
        low = f"{free / 1e6:.0f} MB are free on the spool's disk, less than the floor of {floor / 1e6:.0f} MB"
        self._disk_low = low if free < floor else None

    @property
    def problem(self) -> str | None:
        """Why nothing can be kept now, None if all is well."""
        return self._disk_low or self.trouble

    def _take(self, frames: Sequence[Buffer]) -> tuple[Reply, str | None]:
        """The answer, and the scan if something was written that has to be synced first."""
        request = decode_request(frames, self._limits)
        if isinstance(request, Ping):
            return Pong(token=request.token, instance=self._instance, version=self._version), None
        scan = self.spool.find(request.scan_id)
        if isinstance(request, StatusQuery):
            return _status(request.scan_id, scan), None
        known = scan is not None and scan.known_digest(request) is not None
        if not known:
            self._check_new(request, scan)
        duplicate = self.spool.put(request)
        scan = self.spool.find(request.scan_id)
        assert scan is not None
        ack = _acknowledgement(request, scan, duplicate)
        return ack, request.scan_id

    def _check_new(self, request: ScanHeader | Shot | ScanEnd, scan: ScanFile | None) -> None:
        if isinstance(request, ScanHeader):
            self._check_header(request)
        elif scan is None or scan.header is None:
            raise RemoteProtocolError("unknown_scan", f"no header of scan {request.scan_id} has come: send it first")
        elif scan.end is not None:
            raise RemoteProtocolError("scan_ended", f"scan {request.scan_id} has ended ({scan.end.status.value})")
        elif isinstance(request, Shot):
            _check_shot(request, scan.header)
        if self._disk_low is not None and not isinstance(request, ScanEnd):
            raise RemoteProtocolError("disk_full", self._disk_low)

    def _check_header(self, header: ScanHeader) -> None:
        if header.nucleus != "1H":
            raise RemoteProtocolError("unsupported_nucleus", f"nucleus: {header.nucleus!r} cannot be judged, only 1H")
        n_bytes = header.n_coils * header.n_points * 8
        if n_bytes > self._limits.max_payload_bytes:
            text = f"n_coils x n_points: a shot would have {n_bytes} bytes, more than {self._limits.max_payload_bytes}"
            raise RemoteProtocolError("too_large", text)
        if self.spool.was_forgotten(header.scan_id):
            raise RemoteProtocolError("scan_ended", f"scan {header.scan_id} was here before; a scan id is used once")
        n_open = sum(scan.end is None for scan in self.spool.scans.values())
        if n_open >= self._config.wire.max_open_scans:
            raise RemoteProtocolError("too_many_scans", f"{n_open} scans are under way already")
        if not self._new_scans.take(b""):
            raise RemoteProtocolError("too_many_scans", "too many new scans in a short time")

    def close_silent(self) -> list[str]:
        """End scans that nothing was heard of for long, as aborted; their ids."""
        limit, now = self._config.spool.silence_limit_s, time.monotonic()
        closed = []
        for scan in list(self.spool.scans.values()):
            if scan.header is None or scan.end is not None or now - scan.last_at < limit:
                continue
            end = ScanEnd(scan_id=scan.header.scan_id, status=EndStatus.ABORTED, reason=f"no message for {limit:g} s")
            try:
                self.spool.put(end)
            except SpoolError as error:
                self.trouble = str(error)
                continue
            closed.append(end.scan_id)
        failed = self.spool.sync() if closed else {}
        closed = [scan_id for scan_id in closed if scan_key(scan_id) not in failed]
        self.touched.update(closed)
        return closed


def _check_shot(shot: Shot, header: ScanHeader) -> None:
    if shot.data.shape != (header.n_coils, header.n_points):
        raise RemoteProtocolError(
            "wrong_shape",
            f"the shot has {shot.data.shape[0]} coils x {shot.data.shape[1]} points,"
            f" the header says {header.n_coils} x {header.n_points}",
        )
    if not np.isfinite(shot.data.view(np.float32)).all():
        raise RemoteProtocolError("not_finite", "the shot holds NaN or infinite values")


def _acknowledgement(request: ScanHeader | Shot | ScanEnd, scan: ScanFile, duplicate: bool) -> Ack:
    if isinstance(request, Shot):
        return Ack(
            of="shot",
            scan_id=request.scan_id,
            shot_kind=request.shot_kind.value,
            shot_index=request.shot_index,
            duplicate=duplicate,
            missing=scan.gaps()[:MAX_GAPS],
        )
    if isinstance(request, ScanEnd):
        return Ack(
            of="end", scan_id=request.scan_id, duplicate=duplicate, missing=scan.gaps(request.n_shots)[:MAX_GAPS]
        )
    return Ack(of="header", scan_id=request.scan_id, duplicate=duplicate)


def _status(scan_id: str, scan: ScanFile | None) -> ScanStatus:
    if scan is None or scan.header is None:
        return ScanStatus(scan_id=scan_id, known=False, ended=False, have={})
    return ScanStatus(scan_id=scan_id, known=True, ended=scan.end is not None, have=scan.have())
