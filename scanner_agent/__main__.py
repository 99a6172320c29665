"""`python -m scanner_agent …`: the same as `scanner-agent …`."""

from __future__ import annotations

from scanner_agent.cli import main

main()
