"""The clean reference of a scan (or of one edit condition): how it begins, grows and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanner_agent.mrs.align import AlignBand, Alignment, Template, align_shot, locate_shot, make_template, with_misfit
from scanner_agent.mrs.kernels import rotated
from scanner_agent.mrs.neighbours import ALONE, jitter2_of, leaning, prior_of

START_SHOTS, REFERENCE_SHOTS = 8, 32
_START_PASSES, _REFRESH_PER_SHOT = 2, 2
# Shots that tell how much a scan jitters as it comes in.
_JITTER_SHOTS = 64
# Shots on either side whose median frequency is where a shot is looked for: fewer stray by more than the range.
_NEAR_SHOTS = 24
# Misfit beyond the neighbours' median, in its own standard errors, that has a shot looked for elsewhere.
_POOR = 8.0


@dataclass(frozen=True, eq=False)
class Reference:
    """Weighted mean of aligned shots, with the sums that let a shot be taken out of it again."""

    total: NDArray[np.complex128]
    """(n_points,) sum of w a x over its shots, aligned."""
    weight: float
    """sum of w a^2."""
    noise_weight: float
    """sum of (w a sd)^2: the noise power per real channel of `total`."""
    n_shots: int
    """Shots in it."""

    @property
    def fid(self) -> NDArray[np.complex128]:
        """(n_points,) least-squares estimate of the common signal."""
        return np.asarray(self.total / self.weight)

    @property
    def noise_sd(self) -> float:
        """Of `fid` per real channel."""
        return float(np.sqrt(self.noise_weight)) / self.weight

    def plus(
        self, fid: NDArray[np.complexfloating], sd: float, found: Alignment, dwell_time_s: float, sign: int = 1
    ) -> Reference:
        """The reference with one shot more (`sign` 1) or less (-1)."""
        aligned = rotated(np.asarray(fid, dtype=np.complex128), found.frequency_hz, found.phase_rad, dwell_time_s)
        weight = 1.0 / sd**2
        gain = weight * found.amplitude
        return Reference(
            self.total + sign * gain * aligned,
            self.weight + sign * weight * found.amplitude**2,
            self.noise_weight + sign * (gain * sd) ** 2,
            self.n_shots + sign,
        )

    def template(self, band: AlignBand) -> Template:
        """Made ready for alignment."""
        return make_template(self.fid, self.noise_sd, band)


def empty_reference(n_points: int) -> Reference:
    """Nothing in it yet."""
    return Reference(np.zeros(n_points, dtype=np.complex128), 0.0, 0.0, 0)


def reference_from(
    fids: Sequence[NDArray[np.complexfloating]],
    sds: Sequence[float],
    found: Sequence[Alignment | None],
    dwell_time_s: float,
) -> Reference:
    """Reference of several shots with known alignments; those without one are passed over."""
    result = empty_reference(fids[0].size)
    for fid, sd, alignment in zip(fids, sds, found, strict=True):
        if alignment is not None:
            result = result.plus(fid, sd, alignment, dwell_time_s)
    return result


def align_mutually(
    fids: Sequence[NDArray[np.complexfloating]],
    sds: Sequence[float],
    found: Sequence[Alignment | None],
    band: AlignBand,
) -> tuple[list[Alignment | None], list[Alignment | None]]:
    """Every shot anew against the mean of all others (a shot in its own reference would be drawn to where it was).

    Also each by itself, without what its neighbours say of a weak one.
    """
    dt = band.dwell_time_s
    whole = reference_from(fids, sds, found, dt)
    result: list[Alignment | None] = []
    weak: dict[int, tuple[Alignment, Template]] = {}
    for i, (fid, sd, alignment) in enumerate(zip(fids, sds, found, strict=True)):
        others = whole if alignment is None else whole.plus(fid, sd, alignment, dt, -1)
        if others.n_shots == 0 or others.weight <= 1e-9 * whole.weight:
            result.append(alignment)
            continue
        template = others.template(band)
        made = align_shot(fid, sd, template, 0.0 if alignment is None else alignment.frequency_hz)
        if made is not None and leaning(made) > 0:
            weak[i] = made, template
        result.append(made)
    own = list(result)
    if weak:
        middle = float(np.median([a.frequency_hz for a in own if a is not None]))
        jitter2 = jitter2_of(own, band.spectrometer_frequency_mhz)
        for i, (alone, template) in weak.items():
            result[i] = _leant(i, alone, fids, sds, own, template, middle, jitter2)
    return result, own


def _leant(
    i: int,
    alone: Alignment,
    fids: Sequence[NDArray[np.complexfloating]],
    sds: Sequence[float],
    own: Sequence[Alignment | None],
    template: Template,
    expected_hz: float,
    jitter2: tuple[float, float],
) -> Alignment | None:
    """A weak shot with its neighbours."""
    prior = prior_of(i, alone, fids, sds, own, template, expected_hz, jitter2)
    found = alone if prior is None else locate_shot(fids[i], sds[i], template, expected_hz, prior)
    return None if found is None else with_misfit(found, fids[i], sds[i], template)


def of_unit_amplitude(found: Sequence[Alignment | None]) -> list[Alignment | None]:
    """The same with their median amplitude as the unit, so that the mean cannot shrink from pass to pass."""
    amplitudes = [a.amplitude for a in found if a is not None]
    unit = float(np.median(amplitudes)) if amplitudes else 1.0
    return [
        None if a is None else replace(a, amplitude=a.amplitude / unit, amplitude_sd=a.amplitude_sd / unit)
        for a in found
    ]


def start_reference(
    fids: Sequence[NDArray[np.complexfloating]], sds: Sequence[float], band: AlignBand
) -> tuple[Reference, list[Alignment | None], list[Alignment | None]]:
    """Reference of the first shots of a scan, their alignments, and those of each by itself."""
    own = found = _first_alignments(fids, sds, band)
    if len(fids) > 1:
        for _ in range(_START_PASSES):
            found, own = align_mutually(fids, sds, found, band)
            found = of_unit_amplitude(found)
    found = of_unit_amplitude(found)
    return reference_from(fids, sds, _robust(found), band.dwell_time_s), found, own


def _first_alignments(
    fids: Sequence[NDArray[np.complexfloating]], sds: Sequence[float], band: AlignBand
) -> list[Alignment | None]:
    """All shots against the first of them on which most can be aligned; where each is too weak, against their sum.

    Shifts within a line's width and phases of some ten degrees cost a sum little.
    """
    found: list[Alignment | None] = [None] * len(fids)
    for i, fid in enumerate(fids):
        template = make_template(fid, sds[i], band)
        found = [align_shot(other, sd, template) for other, sd in zip(fids, sds, strict=True)]
        if 2 * sum(a is not None for a in found) > len(fids):
            break
    usual = usual_strength(found)
    if usual >= ALONE:
        return found
    weights = np.array(sds, dtype=np.float64) ** -2.0
    total = np.sum([w * np.asarray(f, dtype=np.complex128) for w, f in zip(weights, fids, strict=True)], axis=0)
    template = make_template(total / np.sum(weights), float(np.sum(weights) ** -0.5), band)
    summed = [align_shot(fid, sd, template) for fid, sd in zip(fids, sds, strict=True)]
    return summed if usual_strength(summed) > usual else found


def usual_strength(found: Sequence[Alignment | None]) -> float:
    """Median of amplitude over its standard error; 0 for shots that could not be aligned."""
    return float(np.median([0.0 if a is None else a.amplitude / a.amplitude_sd for a in found]))


def _robust(found: Sequence[Alignment | None]) -> list[Alignment | None]:
    """Leave out of a young reference what fits it far worse than the others do."""
    misfits = [a.misfit for a in found if a is not None]
    return [a if a is not None and _fits(a, misfits, []) else None for a in found]


def _fits(candidate: Alignment, misfits: Sequence[float], amplitudes: Sequence[float]) -> bool:
    """Whether a shot looks like those already in a reference (fewer than 4 of them: yes)."""
    if len(misfits) >= 4:
        middle = float(np.median(misfits))
        spread = 1.4826 * float(np.median(np.abs(np.array(misfits) - middle)))
        if candidate.misfit > middle + 6 * max(spread, candidate.misfit_sd * max(middle, 1.0)):
            return False
    if len(amplitudes) >= 4:
        return candidate.amplitude > 0.6 * float(np.median(amplitudes))
    return True


class Aligner:
    """Alignments of the shots of one kind against their own running reference.

    The first shots are aligned with one another each time one is added. Later ones meet the reference, which
    takes in what fits it until it holds 32 shots and then stays; earlier shots are brought up to date two at a time, so
    that the cost of a shot does not depend on how many came before.
    """

    def __init__(self, band: AlignBand) -> None:
        self.band = band
        self.fids: list[NDArray[np.complex64]] = []
        self.sds: list[float] = []
        self.joins: list[bool] = []
        self.found: list[Alignment | None] = []
        self._own: list[Alignment | None] = []
        self._jitter2: tuple[float, float] | None = None
        self.reference: Reference | None = None
        self.template: Template | None = None
        self._member: list[bool] = []
        self._stale = 0

    def add(self, fid: NDArray[np.complex64], sd: float, joins: bool) -> list[int]:
        """Take one combined FID; the positions whose alignment is new. `joins` False: never part of the reference."""
        self.fids.append(fid)
        self.sds.append(sd)
        self.joins.append(joins)
        self.found.append(None)
        self._own.append(None)
        self._member.append(False)
        self._jitter2 = None
        joined = [i for i, flag in enumerate(self.joins) if flag]
        # Shots too weak to begin on: more are waited for. Weak ones begin anew with twice and four times as many.
        if joins and (
            len(joined) <= START_SHOTS
            or (self.template is None and len(joined) <= REFERENCE_SHOTS)
            or (len(joined) in (2 * START_SHOTS, 4 * START_SHOTS) and usual_strength(self._own) < ALONE)
        ):
            self._start(joined)
            return list(range(len(self.fids)))
        position = len(self.fids) - 1
        if self.template is None:
            return []
        found = self.found[position] = self._measure(position, self.template)
        changed = [position]
        if self.reference is not None and self.reference.n_shots < REFERENCE_SHOTS:
            if joins and found is not None and self._welcome(found):
                self._member[position] = True
                self.reference = self.reference.plus(fid, sd, found, self.band.dwell_time_s)
                self.template = self.reference.template(self.band)
        else:
            changed += self._refresh(position)
        return changed

    def add_many(self, fids: Sequence[NDArray[np.complex64]], sds: Sequence[float], joins: Sequence[bool]) -> None:
        """Take several shots at once into an aligner that is still empty: as one by one, the start made only once."""
        n_first = len(fids)
        for i in range(len(fids)):
            if joins[i] and sum(joins[: i + 1]) == START_SHOTS:
                n_first = i + 1
                break
        self.fids, self.sds, self.joins = list(fids[:n_first]), list(sds[:n_first]), list(joins[:n_first])
        self.found, self._own, self._member = [None] * n_first, [None] * n_first, [False] * n_first
        joined = [i for i, flag in enumerate(self.joins) if flag]
        if joined:
            self._start(joined)
        for i in range(n_first, len(fids)):
            self.add(fids[i], sds[i], joins[i])

    def _start(self, joined: list[int]) -> None:
        fids, sds = [self.fids[i] for i in joined], [self.sds[i] for i in joined]
        self.reference, found, own = start_reference(fids, sds, self.band)
        kept = _robust(found)
        for i, alignment, alone, member in zip(joined, found, own, kept, strict=True):
            self.found[i], self._own[i], self._member[i] = alignment, alone, member is not None
        self.template = self.reference.template(self.band) if self.reference.weight > 0 else None
        for i in range(len(self.fids)):
            if i not in joined and self.template is not None:
                self.found[i] = align_shot(self.fids[i], self.sds[i], self.template)

    def others(self, position: int) -> Reference | None:
        """The reference without one of the shots; None if nothing is left."""
        found, reference = self.found[position], self.reference
        if reference is None or found is None:
            return None
        if self._member[position]:
            reference = reference.plus(self.fids[position], self.sds[position], found, self.band.dwell_time_s, -1)
        return reference if reference.n_shots > 0 and reference.weight > 0 else None

    def _measure(self, i: int, template: Template) -> Alignment | None:
        """One shot by itself and, where it is too weak for that, with its neighbours."""
        fid, sd, expected = self.fids[i], self.sds[i], self._expected(i)
        own = locate_shot(fid, sd, template, expected)
        self._own[i] = own if self.joins[i] else None
        if own is None or leaning(own) <= 0:
            return None if own is None else self._surely(i, with_misfit(own, fid, sd, template), template)
        if self._jitter2 is None:
            self._jitter2 = jitter2_of(self._own[-_JITTER_SHOTS:], self.band.spectrometer_frequency_mhz)
        return _leant(i, own, self.fids, self.sds, self._own, template, expected, self._jitter2)

    def _surely(self, i: int, found: Alignment, template: Template) -> Alignment:
        """The same, or what fits better to either side where a strong shot fits far worse than its neighbours do.

        Residual water of a shot that strays farther than is searched can be taken for its signal.
        """
        near = [*self.found[max(0, i - _NEAR_SHOTS) : i], *self.found[i + 1 : i + 1 + _NEAR_SHOTS]]
        usual = max(1.0, float(np.median([a.misfit for a in near if a is not None] or [np.inf])))
        if found.misfit < usual * (1 + _POOR * found.misfit_sd):
            return found
        aside = 0.8 * self.band.range_hz
        for expected in (self._expected(i) - aside, self._expected(i) + aside):
            other = align_shot(self.fids[i], self.sds[i], template, expected)
            if other is not None and other.misfit < found.misfit:
                found = other
        if self._own[i] is not None:
            self._own[i] = found
        return found

    def _expected(self, i: int) -> float:
        """Frequency to be expected of a shot, Hz: the median of its neighbours'. Its own would keep an outlier."""
        near = [*self.found[max(0, i - _NEAR_SHOTS) : i], *self.found[i + 1 : i + 1 + _NEAR_SHOTS]]
        known = [a.frequency_hz for a in near if a is not None]
        return float(np.median(known)) if known else 0.0

    def _welcome(self, found: Alignment) -> bool:
        members = [a for a, m in zip(self.found, self._member, strict=True) if m and a is not None]
        return _fits(found, [a.misfit for a in members], [a.amplitude for a in members])

    def _refresh(self, newest: int) -> list[int]:
        """Bring two earlier shots up to date with the finished reference; one where it is weak and so costs twice."""
        done: list[int] = []
        weak = False
        while self._stale < newest and len(done) < _REFRESH_PER_SHOT and not weak:
            if self.found[self._stale] is not None:
                self._realign(self._stale)
                own = self._own[self._stale]
                weak = own is not None and leaning(own) > 0
                done.append(self._stale)
            self._stale += 1
        return done

    def _realign(self, i: int) -> None:
        """One shot against the reference without it."""
        old, reference = self.found[i], self.reference
        if old is None or reference is None or self.template is None:
            return
        dt = self.band.dwell_time_s
        if not self._member[i]:
            self.found[i] = self._measure(i, self.template)
            return
        others = reference.plus(self.fids[i], self.sds[i], old, dt, -1)
        if others.n_shots < 1:
            return
        found = self._measure(i, others.template(self.band))
        if found is not None:
            self.found[i] = found
            self.reference = others.plus(self.fids[i], self.sds[i], found, dt)

    def finish(self, accepted: Sequence[bool], passes: int) -> None:
        """Last passes: the reference holds all accepted shots, and every shot is aligned against all others."""
        for _ in range(passes):
            self._member = [
                ok and joins and a is not None for ok, joins, a in zip(accepted, self.joins, self.found, strict=True)
            ]
            if not any(self._member):
                return
            self.found = of_unit_amplitude(self.found)
            chosen = [a if m else None for a, m in zip(self.found, self._member, strict=True)]
            self.reference = reference_from(self.fids, self.sds, chosen, self.band.dwell_time_s)
            self.template = self.reference.template(self.band)
            self._jitter2 = jitter2_of(self._own, self.band.spectrometer_frequency_mhz)
            for i in range(len(self.fids)):
                self._realign(i)
        self.template = self.reference.template(self.band) if self.reference is not None else None
