"""Keys, rights, revocation, eavesdroppers, altered and replayed bytes, oversize and slow peers: on the live daemon."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

from scanner_agent.cli.placement_line import Line
from scanner_agent.daemon.keys import allow, new_client_key, read_client_keys, revoke, server_keys
from scanner_agent.records import PlacementResult
from scanner_agent.wire import (
    ClientKeys,
    ControlClient,
    ControlError,
    DeliveryError,
    ShotSender,
    Subscriber,
    wait_for_report,
)
from scanner_agent.wire.codec import Ping, encode_request
from scanner_agent.wire.control import AskHealth, encode_control
from scanner_agent.wire.sockets import CONTROL, INGEST, client_socket, endpoint
from tests.support import faults, live
from tests.support.proxy import TcpProxy


class Keyed:
    """A daemon with CURVE and keys for each role."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "state" / "keys"
        self.server = server_keys(self.keys).public.decode()
        self.all = self.client("console", "ingest", "publish", "control")
        self.sender = self.client("bridge", "ingest")
        self.watcher = self.client("viewer", "publish")
        self.stranger = self.client("stranger")
        self.daemon = live.Daemon(folder, tables="[security]\ncurve = true")

    def client(self, name: str, *endpoints: str) -> ClientKeys:
        public = new_client_key(self.folder / f"{name}.key")
        for one in endpoints:
            allow(self.keys, one, public, name)
        return read_client_keys(self.folder / f"{name}.key", self.server)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    keyed = Keyed(tmp_path_factory.mktemp("keyed"))
    keyed.daemon.start()
    yield keyed
    keyed.daemon.stop()


def _send(keyed: Keyed, scan_id: str, keys: ClientKeys | None, url: str | None = None, **options: float) -> None:
    scan = live.header(scan_id)
    with ShotSender(scan, url or keyed.daemon.url, keys=keys, **options) as sender:  # type: ignore[arg-type]
        for index in range(3):
            sender.send(live.shot(scan, index))
        sender.end(n_shots=3)


def test_an_allowed_key_may_do_what_it_is_allowed_to(keyed: Keyed) -> None:
    _send(keyed, "allowed", keyed.sender)
    report, _ = wait_for_report(keyed.daemon.url, "allowed", 20.0, keys=keyed.all)
    assert report is not None
    with Subscriber(keyed.daemon.url, keys=keyed.watcher) as subscriber:
        assert subscriber.receive(20.0) is not None


def test_strangers_and_keyless_peers_get_no_answer(keyed: Keyed) -> None:
    for keys in (keyed.stranger, None, ClientKeys(server_public=keyed.sender.server_public, **_fresh())):
        with pytest.raises(DeliveryError):
            _send(keyed, "intruder", keys, patience_s=0.6)
        with ControlClient(keyed.daemon.url, timeout_s=0.5, keys=keys) as control, pytest.raises(ControlError):
            control.health()
        with Subscriber(keyed.daemon.url, keys=keys) as subscriber:
            assert subscriber.receive(1.2) is None
    with keyed.daemon.control(keyed.all) as control, pytest.raises(ControlError) as caught:
        control.snapshot("intruder")
    assert caught.value.reason == "unknown_scan"


def _fresh() -> dict[str, bytes]:
    public, secret = zmq.curve_keypair()
    return {"public": public, "secret": secret}


def test_a_wrong_server_key_gets_nowhere(keyed: Keyed) -> None:
    wrong = ClientKeys(server_public=_fresh()["public"], public=keyed.sender.public, secret=keyed.sender.secret)
    with pytest.raises(DeliveryError):
        _send(keyed, "impostor", wrong, patience_s=0.6)


def test_a_right_to_one_socket_is_none_to_the_others(keyed: Keyed) -> None:
    with ControlClient(keyed.daemon.url, timeout_s=0.5, keys=keyed.sender) as control, pytest.raises(ControlError):
        control.health()
    with Subscriber(keyed.daemon.url, keys=keyed.sender) as subscriber:
        assert subscriber.receive(1.2) is None
    with pytest.raises(DeliveryError):
        _send(keyed, "by-the-watcher", keyed.watcher, patience_s=0.6)


def test_a_revoked_key_is_cut_off_at_every_socket_and_others_stay(keyed: Keyed) -> None:
    keys = keyed.client("leaver", "ingest", "publish", "control")
    scan = live.header("leaver-scan")
    with (
        keyed.daemon.control(keys) as control,
        Subscriber(keyed.daemon.url, keys=keys) as leaver,
        Subscriber(keyed.daemon.url, keys=keyed.watcher) as stayer,
        ShotSender(scan, keyed.daemon.url, keys=keys) as sender,
    ):
        live.eventually(lambda: leaver.receive(0.1) is not None)
        live.eventually(lambda: stayer.receive(0.1) is not None)
        sender.send(live.shot(scan, 0))
        sender.flush()
        revoke(keyed.keys, "leaver")
        with pytest.raises(ControlError) as caught:
            live.eventually(lambda: control.health() is None)
        assert caught.value.reason == "not_allowed"
        sender.send(live.shot(scan, 1))
        sender.flush()
        assert [refusal.reason for refusal in sender.refused] == ["not_allowed"]
        live.eventually(lambda: leaver.receive(2.5) is None)  # whoever is heard gets a heartbeat every second
        live.eventually(lambda: stayer.receive(0.1) is not None)
    lines = [json.loads(line) for line in (keyed.folder / "state" / "audit.jsonl").read_text().splitlines()]
    assert any(line["event"] == "keys" and line.get("removed") == ["leaver"] for line in lines)


def test_an_eavesdropper_sees_no_plaintext_and_replaying_does_nothing(keyed: Keyed) -> None:
    port, between = keyed.daemon.port, live.free_port()
    proxies = [TcpProxy(port + i, port=between + i) for i in range(3)]  # ingest, publish and control
    url = f"tcp://127.0.0.1:{between}"
    try:
        _send(keyed, "secret-scan", keyed.sender, url=url)
        report, _ = wait_for_report(url, "secret-scan", 20.0, keys=keyed.all)
        assert report is not None
    finally:
        for proxy in proxies:
            proxy.close()
    captured = bytes(proxies[0].captured)
    assert len(captured) > 3000
    assert all(len(proxy.captured) > 200 for proxy in proxies)
    scan = live.header("secret-scan")
    for plain in (b"secret-scan", b"scan_id", b"metabolite", live.shot(scan, 0).data.tobytes()[:16]):
        assert all(plain not in proxy.captured for proxy in proxies)
    with socket.create_connection(("127.0.0.1", port)) as replay:
        replay.settimeout(5.0)
        replay.sendall(captured)
        answer = b""
        try:
            while chunk := replay.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
    assert b"secret-scan" not in answer
    report, _ = wait_for_report(keyed.daemon.url, "secret-scan", 20.0, keys=keyed.all)
    assert report is not None
    assert len(report.shots) == 3


def test_altered_bytes_are_refused_and_the_sender_gets_through_in_the_end(keyed: Keyed) -> None:
    count = [0]

    def alter(data: bytes) -> bytes:
        count[0] += 1
        if count[0] in (7, 9, 11):
            changed = bytearray(data)
            changed[len(changed) // 2] ^= 0x01
            return bytes(changed)
        return data

    proxy = TcpProxy(keyed.daemon.port, alter=alter)
    try:
        _send(keyed, "altered", keyed.sender, url=f"tcp://127.0.0.1:{proxy.port}")
        assert proxy.n_connections > 1  # each change cost a connection
    finally:
        proxy.close()
    report, _ = wait_for_report(keyed.daemon.url, "altered", 20.0, keys=keyed.all)
    assert report is not None
    expected = [float((abs(live.shot(live.header("altered"), i).data) ** 2).mean()) for i in range(3)]
    assert [track.amplitude for track in report.shots] == pytest.approx(expected)


def test_an_oversize_frame_closes_the_connection_and_nothing_else(tmp_path: Path) -> None:
    with live.running(tmp_path, tables="[wire]\nmax_payload_bytes = 100000") as daemon:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        peer = client_socket(context, zmq.DEALER, daemon.url)
        monitor = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        peer.send_multipart([b"x", bytes(200_000)])
        assert monitor.poll(20_000)
        peer.disable_monitor()
        monitor.close()
        peer.close()
        context.term()
        scan = live.header("fine")
        with ShotSender(scan, daemon.url) as sender:
            sender.send(live.shot(scan, 0))
            sender.flush()
            assert sender.acknowledged == 1


def test_peers_that_drip_their_handshake_or_a_message_are_cut_off(tmp_path: Path) -> None:
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" + bytes(31)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
    with (
        live.running(tmp_path) as daemon,
        socket.create_connection(("127.0.0.1", daemon.port)) as shaking,
        socket.create_connection(("127.0.0.1", daemon.port)) as sending,
    ):
        sending.sendall(greeting + bytes([4, len(ready)]) + ready)
        sending.sendall(b"\x02" + (1_000_000).to_bytes(8, "big"))  # a long frame, of which little comes
        left = {shaking: greeting, sending: bytes(1000)}
        for peer in left:
            peer.settimeout(0.125)
        deadline = time.monotonic() + 20.0
        while left:
            assert time.monotonic() < deadline, "a peer was not cut off"
            for peer, data in list(left.items()):
                try:
                    peer.sendall(data[:1])
                    left[peer] = data[1:] or b"x"
                    if peer.recv(1000) == b"":
                        del left[peer]
                except TimeoutError:
                    continue
                except OSError:
                    del left[peer]
        faults.send_scan(daemon.url, live.header("undisturbed"), 2)


def test_a_peer_that_floods_is_held_back_at_both_sockets_and_others_are_not(tmp_path: Path) -> None:
    with live.running(tmp_path, tables="[wire]\nmax_messages_per_s = 1\n[store]\nurl = 'off'") as daemon:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        requests = ((INGEST, encode_request(Ping(token="x"))), (CONTROL, [encode_control(AskHealth(request_id="x"))]))
        for which, message in requests:
            peer = client_socket(context, zmq.DEALER, endpoint(daemon.url, which))
            reasons = []
            for _ in range(300):
                peer.send_multipart(message)
                assert peer.poll(20_000)
                reasons.append(msgpack.unpackb(peer.recv_multipart()[-1]).get("reason") or None)
            assert reasons[0] is None
            assert reasons.count("too_fast") > 100
            assert set(reasons) == {None, "too_fast"}
            peer.close()
        context.term()
        faults.send_scan(daemon.url, live.header("meanwhile"), 4)


def test_a_localiser_s_result_needs_the_control_key(keyed: Keyed) -> None:
    result = PlacementResult(state="not_moved", text="The head has not moved.")
    watcher = Line(keyed.daemon.url, None, "PLC", keyed.watcher, patience_s=0.0)
    assert watcher.put(None, result).startswith("not on record")
    with keyed.daemon.control(keyed.all) as control:
        assert control.placement_before_scan() is None
        assert "on record" in Line(keyed.daemon.url, None, "PLC", keyed.all).put(None, result)
        live.eventually(lambda: control.placement_before_scan() is not None)


def test_a_new_public_key_never_looks_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, secret = zmq.curve_keypair()
    pairs = iter([(b"-" + public[1:], secret), (b"0" + public[1:], secret)])
    monkeypatch.setattr(zmq, "curve_keypair", lambda: next(pairs))
    assert new_client_key(tmp_path / "client.key").startswith("0")
