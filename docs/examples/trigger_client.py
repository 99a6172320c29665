"""What runs beside the sequence: takes over active triggers, each once. `trigger_client.py [CONTROL_ADDRESS]`."""

import itertools
import sys

import msgpack
import zmq

socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 0
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5572")
numbers = itertools.count(1)
acted: set[str] = set()  # keep this on disk in a real client, so that a restart does not act twice


def ask(kind: str, **fields: object) -> None:
    socket.send(msgpack.packb({"wire": 1, "type": kind, "request_id": str(next(numbers)), **fields}))


while True:
    ask("triggers")  # signs up for 30 s and fetches what is open
    while socket.poll(10_000):
        for trigger in msgpack.unpackb(socket.recv()).get("triggers", []):
            if trigger["state"] != "active":
                continue
            if trigger["trigger_id"] not in acted:
                acted.add(trigger["trigger_id"])
                print(trigger["advice"], trigger["extend_shots"], trigger["text"], flush=True)
            ask("trigger_done", trigger_id=trigger["trigger_id"])
