"""What the commands on the phantom log share: the log itself, its evaluations, what is said of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scanner_agent.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from scanner_agent.phantom.evaluate import Evaluation
    from scanner_agent.phantom.series import PhantomLog, SeriesKey


def open_log(store: str | None, config: Path | None) -> PhantomLog:
    """The log in the database named, else in the daemon's. Raises ConfigError, StoreError."""
    from scanner_agent.config import load_config
    from scanner_agent.phantom.series import PhantomLog

    url = store or load_config(config).store_url
    if url is None:
        raise ConfigError('the configuration keeps no store ([store] url = "off"): name one with --store')
    return PhantomLog(url)


def evaluations(
    store: str | None, config: Path | None, scanner: str | None, coil: str | None, phantom: str | None
) -> list[Evaluation]:
    """Every series that fits, evaluated."""

    def fits(key: SeriesKey) -> bool:
        return scanner in (None, key.scanner) and coil in (None, key.coil) and phantom in (None, key.phantom)

    opened = open_log(store, config)
    try:
        return evaluated(opened, [key for key, _ in opened.series() if fits(key)])
    finally:
        opened.close()


def evaluated(opened: PhantomLog, keys: list[SeriesKey]) -> list[Evaluation]:
    """These series, evaluated together."""
    from scanner_agent.phantom.evaluate import evaluate_all

    return evaluate_all({key: opened.runs(key) for key in keys}, {key: opened.events(key) for key in keys})


def refresh_metrics(opened: PhantomLog, store: str | None, config: Path | None) -> None:
    """The daemon serves these numbers on its metrics port, if it has one and this is its database."""
    from scanner_agent.config import load_config
    from scanner_agent.phantom.metrics import metrics_text

    settings = load_config(config)
    if store is None and settings.metrics.port is not None:
        write(metrics_text(evaluated(opened, [key for key, _ in opened.series()])), settings.phantom_metrics)


def say_alarms(evaluation: Evaluation, raised_at: set[int] | None) -> bool:
    """Print alarms raised at these runs (None: the latest ten); whether there were any."""
    from scanner_agent.phantom.chart_html import alarm_text

    chosen = [alarm for alarm in evaluation.alarms if raised_at is None or alarm.raised in raised_at]
    for alarm in chosen[-10:]:
        print(f"ALARM {alarm_text(evaluation, alarm)}")
    return bool(chosen)


def say_new_software(evaluation: Evaluation, new: set[int]) -> None:
    """Say where a header's software changed with no event noted in between."""
    for place in sorted(new - {0}):
        before, after = (evaluation.runs[p].settings.get("software_version") for p in (place - 1, place))
        if before and after and before != after and evaluation.segment[place] == evaluation.segment[place - 1]:
            print(
                f"software changed from {before} to {after}: note it with `phantom event`, if the baseline is to be new"
            )


def moment(text: str | None) -> float | None:
    """Unix time of a date as a person types it, UTC unless it says otherwise. Raises ConfigError."""
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a date: write it as 2026-11-21 or 2026-11-21T14:30") from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def day(at: float) -> str:
    """The date of a Unix time."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def number(value: float | None, digits: int = 6) -> str:
    """For a table."""
    return "–" if value is None else f"{value:.{digits}g}" if abs(value) < 1e6 else f"{value:.0f}"


def write(data: bytes, out: Path | None) -> None:
    """To a file, whole or not at all, or to the terminal. Raises SourceError."""
    if out is None:
        sys.stdout.buffer.write(data)
        return
    try:
        # Written aside and moved: a scrape never sees half a file.
        aside = out.with_name(out.name + ".part")
        aside.write_bytes(data)
        aside.replace(out)
    except OSError as error:
        raise SourceError(f"cannot write {out}: {error.strerror}") from error
