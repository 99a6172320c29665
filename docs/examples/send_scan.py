"""Sends a scan with nothing but pyzmq, msgpack and numpy: `send_scan.py SHOTS.npy MHZ DWELL_S [ADDRESS]`."""

import sys
import time

import msgpack
import numpy as np
import zmq

data = np.load(sys.argv[1])  # (shots, coils, points) complex, ppm = 4.65 - f/f0 with a plain FFT
n_shots, n_coils, n_points = data.shape
scan_id = f"example-{time.time_ns()}"
socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 0
socket.connect((*sys.argv, "tcp://127.0.0.1:5570")[4])


def deliver(*frames: bytes) -> dict:
    """Send until it is answered: sending again is always safe."""
    for wait_s in (1, 2, 4, 8, 8, 8):
        socket.send_multipart(frames)
        if socket.poll(wait_s * 1000):
            answer = msgpack.unpackb(socket.recv())
            if answer["type"] == "ack":
                return answer
            if not answer.get("retry"):
                sys.exit(f"refused: {answer['text']}")
            time.sleep(wait_s)
    sys.exit("no daemon")


head = {"wire": 1, "scan_id": scan_id}
scanner = {"spectrometer_frequency_mhz": float(sys.argv[2]), "dwell_time_s": float(sys.argv[3])}
shape = {"n_coils": n_coils, "n_points": n_points}
deliver(msgpack.packb({**head, **scanner, **shape, "type": "header", "sequence": "PRESS"}))
for i, shot in enumerate(data):
    name = {"type": "shot", "shot_kind": "metabolite", "shot_index": i}
    deliver(msgpack.packb({**head, **name, **shape}), shot.astype("<c8").tobytes())
deliver(msgpack.packb({**head, "type": "end", "status": "complete", "n_shots": n_shots}))
print(scan_id)
