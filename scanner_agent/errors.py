"""The exception tree. Anything else that is raised is a bug."""

from __future__ import annotations


class ScannerAgentError(Exception):
    """Base of every error this program raises on purpose. Its text is one line for a person."""


class ConfigError(ScannerAgentError):
    """A configuration or protocol file is wrong. The text names the file and the key."""


class RemoteProtocolError(ScannerAgentError):
    """The peer's fault: refuse the message, count it, stay up.

    `reason` is a short code for machines (see docs/wire.md), the text is for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class SpoolError(ScannerAgentError):
    """Shots cannot be kept safely on disk: stop acknowledging."""


class StoreError(ScannerAgentError):
    """The results database cannot be reached or written: retry later, the line goes on."""


class ProcessingError(ScannerAgentError):
    """A scan cannot be processed: the verdict is `cannot_judge`, with this text as the reason."""


class SourceError(ScannerAgentError):
    """A file cannot be read or holds what is not supported. The text says what, where and what to do."""
