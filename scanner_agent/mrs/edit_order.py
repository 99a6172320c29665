"""The order of ON and OFF of one scan as its shots come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scanner_agent.mrs import editing
from scanner_agent.mrs.kept import KeptShot
from scanner_agent.mrs.linking import Linker
from scanner_agent.mrs.reference import Aligner
from scanner_agent.mrs.shots import EditCondition, EditOrder

_MISSING_PULSE_ODDS = 6.0
# Beyond this log-likelihood ratio (some fifteen clear shots) a look at each later shot will do.
_AMPLE_ODDS = 100.0


class OrderFinder:
    """Asks every shot whether its NAA is saturated, and decides for all of them.

    Until the order is known shots are aligned with one another whatever their condition; later each with its own.
    """

    def __init__(self, edit_pulse_ppm: tuple[float, float] | None) -> None:
        self.found: EditOrder | None = None
        self._edit_pulse_ppm = edit_pulse_ppm
        self._common: Aligner | None = None
        self._asked: list[KeptShot] = []
        self._off_ratio: float | None = None
        """NAA over creatine of this scan's OFF shots; None until the order is sure."""
        self._creatine: dict[EditCondition | None, tuple[int, complex | None]] = {}

    @property
    def is_sure(self) -> bool:
        """Whether the order is known by far. One that more and more shots contradict is not."""
        order = self.found
        if order is None or (order.log_odds or 0.0) <= _AMPLE_ODDS:
            return False
        return order.decided_from == "data" or order.agrees_with_labels is True

    def ask_all(self, shots: Sequence[KeptShot], linker: Linker) -> None:
        """Forget what was and ask all these shots at once."""
        self._common, self._asked = None, [k for k in shots if k.fid is not None]
        self._off_ratio = None
        if not self._asked or not editing.saturates_naa(self._edit_pulse_ppm):
            return
        self._common = Aligner(linker.coarse)
        self._common.add_many(
            [k.fid for k in self._asked if k.fid is not None],
            [k.noise_sd for k in self._asked],
            [not k.is_dummy for k in self._asked],
        )
        self._measure(range(len(self._asked)), linker)

    def ask(self, kept: KeptShot, linker: Linker) -> None:
        """Measure NAA against creatine in one shot more, over a reference common to ON and OFF; nothing once sure."""
        if self.is_sure or kept.fid is None or not editing.saturates_naa(self._edit_pulse_ppm):
            return
        if self._common is None:
            self._common, self._asked = Aligner(linker.coarse), []
        self._asked.append(kept)
        self._measure(self._common.add(kept.fid, kept.noise_sd, not kept.is_dummy), linker)

    def look(self, kept: KeptShot, aligners: Mapping[EditCondition | None, Aligner], linker: Linker) -> None:
        """For the newest shot, if it was not asked: NAA against creatine, aligned with its condition's reference."""
        if not self._asked or self._asked[-1] is kept or kept.fid is None or kept.alignment is None:
            return
        reference = aligners[kept.condition].reference
        if reference is None or reference.weight <= 0:
            return
        band, f0, offset = linker.coarse, linker.spectrometer_frequency_mhz, linker.offset_ppm
        n_shots, tcr = self._creatine.get(kept.condition, (-1, None))
        if n_shots != reference.n_shots:
            tcr = editing.creatine_of(reference.fid, reference.noise_sd, band, f0, offset)
            self._creatine[kept.condition] = reference.n_shots, tcr
        if tcr is not None:
            kept.naa_over_creatine = editing.naa_over_creatine(
                kept.fid, kept.noise_sd, kept.alignment, tcr, band, f0, offset
            )
            self._tell(kept)

    def _measure(self, positions: Iterable[int], linker: Linker) -> None:
        """Log-odds of the shots at these positions of the common aligner."""
        reference = None if self._common is None else self._common.reference
        if self._common is None or reference is None or reference.weight <= 0:
            return
        band, f0, offset = linker.coarse, linker.spectrometer_frequency_mhz, linker.offset_ppm
        tcr = editing.creatine_of(reference.fid, reference.noise_sd, band, f0, offset)
        for position in positions:
            found = self._common.found[position]
            kept = self._asked[position]
            if found is not None and kept.fid is not None:
                kept.naa_over_creatine = (
                    None
                    if tcr is None
                    else editing.naa_over_creatine(kept.fid, kept.noise_sd, found, tcr, band, f0, offset)
                )
                self._tell(kept)

    def _tell(self, kept: KeptShot) -> None:
        found, usual = kept.naa_over_creatine, editing.off_ratio_of(())
        kept.log_odds = None if found is None else editing.edit_log_odds(*found, self._off_ratio or usual)

    def _learn_off_ratio(self, known: Sequence[KeptShot]) -> None:
        """Once the order is sure: narrow lines stand out by more, and so does what the pulse leaves of NAA."""
        if self._off_ratio is not None or not self.is_sure:
            return
        found = [k.naa_over_creatine for k in known if k.condition == "off"]
        self._off_ratio = editing.off_ratio_of([x[0] for x in found if x is not None])
        for kept in known:
            self._tell(kept)

    def decide(self, known: Sequence[KeptShot]) -> bool:
        """Set the condition of every shot that has a FID; True if that of an earlier shot changed."""
        if not editing.saturates_naa(self._edit_pulse_ppm):
            self.found = EditOrder(
                decided_from="labels" if all(k.label for k in known) else "nothing",
                reason="no editing pulse near 1.9 ppm: the data cannot tell",
            )
            decided: list[EditCondition | None] = [k.label for k in known]
        else:
            self.found, decided = editing.detect_order(
                [k.log_odds for k in known], [k.label for k in known], [k.place for k in known]
            )
        changed = False
        for kept, condition in zip(known, decided, strict=True):
            changed |= kept.condition != condition and kept.position >= 0
            kept.condition = condition
        self._learn_off_ratio(known)
        return changed

    def lacks_pulse(self, kept: KeptShot) -> bool:
        """An ON shot that shows NAA as OFF shots do, once the order is sure."""
        order = self.found
        sure = order is not None and (order.decided_from == "data" or order.agrees_with_labels is True)
        return sure and kept.condition == "on" and kept.log_odds is not None and kept.log_odds > _MISSING_PULSE_ODDS
