"""`python -m scanner_agent.records > docs/schema.json`: the schema made anew."""

from __future__ import annotations

import sys

import msgspec

from scanner_agent.records import schema_document

sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(schema_document()), indent=1) + b"\n")
