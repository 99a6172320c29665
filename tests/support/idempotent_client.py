"""A scanner's side that acts once on each trigger and dies at bad moments: `idempotent_client.py URL ACTS SEED`.

What it has acted on is a line of the file ACTS, synced: the line is the act. A restart reads it back.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

from scanner_agent.errors import RemoteProtocolError
from scanner_agent.records import TriggerState
from scanner_agent.wire import ControlClient, ControlError


def main(url: str, acts: Path, seed: int) -> None:
    rng = random.Random(seed)

    def perhaps_die() -> None:
        if rng.random() < 0.15:
            os.kill(os.getpid(), signal.SIGKILL)

    acted = {line.split()[0] for line in acts.read_text().splitlines()} if acts.exists() else set()
    with ControlClient(url, timeout_s=1.0) as client, acts.open("a") as file:
        while True:
            try:
                triggers = list(client.triggers())
                while (told := client.next_trigger(0.2)) is not None:
                    triggers.append(told)
                for trigger in triggers:
                    if trigger.state is not TriggerState.ACTIVE:
                        continue
                    perhaps_die()
                    if trigger.trigger_id not in acted:
                        file.write(f"{trigger.trigger_id} {trigger.scan_id}\n")
                        file.flush()
                        os.fsync(file.fileno())
                        acted.add(trigger.trigger_id)
                    perhaps_die()
                    client.trigger_done(trigger.trigger_id)
            except (ControlError, RemoteProtocolError):
                continue  # the daemon is away, or has taken it back


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
