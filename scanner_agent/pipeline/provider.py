"""Makes pipelines: protocol and basis for a header; compiles everything beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from scanner_agent.pipeline.basis_choice import choose_basis
from scanner_agent.pipeline.scan import ScanPipeline
from scanner_agent.records import EndStatus, ScanEnd, ScanHeader, Shot, ShotKind
from scanner_agent.scan_protocol import ScanProtocol, load_protocol, match_protocol


def start_pipeline(
    header: ScanHeader,
    replay: Callable[[], Iterator[Shot]],
    *,
    protocol: str | Path | ScanProtocol | None = None,
    basis: str | Path | None = None,
) -> ScanPipeline:
    """Begin a scan with the protocol and basis set given, or those that its header calls for.

    `replay` gives all shots known so far in canonical order. Raises `ConfigError` for a protocol and `SourceError` for
    a basis set that the caller gave and that cannot be used.
    """
    if protocol is None:
        chosen = match_protocol(header)
    else:
        chosen = protocol if isinstance(protocol, ScanProtocol) else load_protocol(protocol)
    sets, no_fit = choose_basis(header, chosen, basis)
    return ScanPipeline(header, chosen, basis=sets, replay=replay, no_fit=no_fit)


class ScanPipelines:
    """What a worker needs: `warm_up` once, then `start` for every scan. `own`: a site's own protocols."""

    def __init__(self, own: Iterable[ScanProtocol] = ()) -> None:
        self._own = tuple(own)

    def warm_up(self, progress: Callable[[str], None]) -> None:
        """Run a small edited and a small unedited scan of noise and lines, so that every kernel is compiled."""
        for sequence, echo_time_s, conditions, n_shots in (("PRESS", 0.035, 1, 10), ("MEGA-PRESS", 0.068, 2, 4)):
            progress(f"compiling for {sequence}")
            header = ScanHeader(
                scan_id="warm-up",
                spectrometer_frequency_mhz=123.25,
                dwell_time_s=5e-4,
                n_coils=4,
                n_points=1024,
                sequence=sequence,
                echo_time_s=echo_time_s,
                repetition_time_s=2.0,
                n_edit_conditions=conditions,
                edit_pulse_ppm=(1.9, 7.46) if conditions == 2 else None,
                n_shots_planned=n_shots,
            )
            shots = list(_warm_up_shots(header))
            pipeline = self.start(header, lambda shots=shots: iter(shots))  # type: ignore[misc]
            for shot in shots:
                pipeline.add(shot)
            pipeline.finish(ScanEnd(scan_id=header.scan_id, status=EndStatus.COMPLETE, n_shots=n_shots))

    def start(self, header: ScanHeader, replay: Callable[[], Iterator[Shot]]) -> ScanPipeline:
        """Begin a scan with the protocol and the basis set that its header calls for."""
        return start_pipeline(header, replay, protocol=match_protocol(header, self._own))


_WARM_UP_LINES_PPM = {2.008: 3.0, 3.027: 2.0, 3.21: 1.0, 3.92: 1.0}


def _warm_up_shots(header: ScanHeader) -> Iterator[Shot]:
    """Four singlets and noise: enough for every kernel to run."""
    rng = np.random.default_rng(0)
    t = np.arange(header.n_points) * header.dwell_time_s
    f0 = header.spectrometer_frequency_mhz
    water = 1000.0 * np.exp(-20.0 * t)
    lines = sum(a * np.exp((2j * np.pi * (4.65 - ppm) * f0 - 20.0) * t) for ppm, a in _WARM_UP_LINES_PPM.items())
    gains = np.exp(2j * np.pi * rng.random(header.n_coils))[:, None]

    def noise() -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
        return rng.normal(size=(header.n_coils, header.n_points, 2)).view(np.complex128)[..., 0]

    def shot(kind: ShotKind, index: int, signal: object, edited: bool = False) -> Shot:
        return Shot(
            scan_id=header.scan_id,
            shot_kind=kind,
            shot_index=index,
            data=(gains * signal + 0.2 * noise()).astype(np.complex64),
            edit_condition=("on", "off")[index % 2] if edited else None,
        )

    yield shot(ShotKind.NOISE, 0, 0.0)
    yield shot(ShotKind.WATER_REFERENCE, 0, water)
    for index in range(header.n_shots_planned or 0):
        turned = lines * np.exp(2j * np.pi * rng.normal() * t + 0.1j * rng.normal())
        yield shot(ShotKind.METABOLITE, index, turned + 0.002 * water, header.n_edit_conditions == 2)
