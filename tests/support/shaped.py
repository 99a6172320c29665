"""A scan over a loopback on which the kernel drops packets: run inside `unshare -n sh -c "$SETUP; exec python …"`.

Prints, as JSON, what `faults.inspect` found and how many packets were dropped.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support import faults, live

# Without netem, a queue far too short for what is sent at once: packets that do not fit are dropped.
SETUP = (
    "ip link set lo up mtu 1500 && (tc qdisc add dev lo root netem loss 10% delay 2ms 2ms reorder 10% duplicate 5%"
    " 2>/dev/null || tc qdisc add dev lo root tbf rate 30mbit burst 5k limit 12k)"
)


def main(folder: Path) -> None:
    scan = live.header("shaped", n_coils=4, n_points=1024)
    with live.running(folder, tables="[store]\nurl = 'off'") as daemon:
        resent = faults.send_scan(daemon.url, scan, 40)
        faults.wait_worked_off(daemon, 60.0)
        daemon.stop()
    outcome = faults.inspect(daemon.state, [(scan, 40)], faults.Outcome())
    shown = subprocess.run(
        ["tc", "-s", "qdisc", "show", "dev", "lo"], capture_output=True, text=True, check=True
    ).stdout
    dropped = sum(int(n) for n in re.findall(r"dropped (\d+)", shown))
    print(json.dumps({"sound": outcome.sound, "shots": outcome.n_shots, "dropped": dropped, "resent": resent}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
