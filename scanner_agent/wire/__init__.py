"""The protocol between the scanner side, the daemon and its faces: see docs/wire.md."""

from scanner_agent.wire.client import DeliveryError, RefusedError, ShotSender
from scanner_agent.wire.codec import WIRE_VERSION, Ack, Pong, Refusal, ScanStatus
from scanner_agent.wire.control import ControlReply, ScanLine
from scanner_agent.wire.follow import ControlClient, ControlError, Subscriber, wait_for_report
from scanner_agent.wire.published import Heartbeat, Publication
from scanner_agent.wire.sockets import DEFAULT_URL, ClientKeys, endpoint

__all__ = [
    "DEFAULT_URL",
    "WIRE_VERSION",
    "Ack",
    "ClientKeys",
    "ControlClient",
    "ControlError",
    "ControlReply",
    "DeliveryError",
    "Heartbeat",
    "Pong",
    "Publication",
    "Refusal",
    "RefusedError",
    "ScanLine",
    "ScanStatus",
    "ShotSender",
    "Subscriber",
    "endpoint",
    "wait_for_report",
]
