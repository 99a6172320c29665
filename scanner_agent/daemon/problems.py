"""What is not well, by subject, until it is well again."""

from __future__ import annotations


class Problems:
    """Texts for people, one for each subject."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def set(self, subject: str, text: str | None) -> None:
        """Say what is wrong with a subject; None: nothing any more."""
        if text is None:
            self._texts.pop(subject, None)
        else:
            self._texts[subject] = text

    def texts(self) -> list[str]:
        """All of them, the oldest first."""
        return list(self._texts.values())
