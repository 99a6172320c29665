"""Movement in the course of a scan, on small sign generators with seeds that the thresholds were not set on."""

from __future__ import annotations

import numpy as np
import pytest

from scanner_agent.judge.features import PHASE, FeatureTable, prior_scatter, robust_centre
from scanner_agent.judge.movement import Step, hit_probabilities, learn_scatter, step_threshold
from scanner_agent.judge.signs import ShotSigns
from scanner_agent.judge.track import Course
from tests.unit.judge.judge_scans import Scan, burst, changed, mega_header, press_header, step, still_scan


def course_of(scan: Scan) -> Course:
    course = Course(scan.protocol.judgement)
    for signs in scan.signs:
        course.add(signs)
    return course


def test_still_heads_that_breathe_raise_nothing() -> None:
    """Family-wise: bursts and steps, all signs, whole scans; 0 of 14 here, of 200 in docs/measured.md."""
    courses = [course_of(still_scan(900 + i, snr=2.0 + 0.3 * i)) for i in range(12)]
    courses += [
        course_of(still_scan(950 + i, header=mega_header(n_shots_planned=96), protocol="mega_te68_3t"))
        for i in range(2)
    ]
    assert sum(bool(c.events) for c in courses) == 0
    assert np.mean([len(c.hit_shots()) for c in courses]) < 1.0


@pytest.mark.parametrize("seed", range(8))
def test_mild_steps_are_found_where_they_are(seed: int) -> None:
    at = 15 + 5 * seed
    course = course_of(
        step(still_scan(700 + seed, snr=4.0), at, hz=-2.5, wider=1.0, amplitude=0.93, water=1.6, turn=70.0)
    )
    assert [e.kind for e in course.events] == ["step"]
    assert abs(course.events[0].first_shot - at) <= 3
    assert course.events[0].raised_at_shot - at <= 4


@pytest.mark.parametrize("seed", range(8))
def test_bursts_are_left_out_and_are_no_pose(seed: int) -> None:
    first, last = 12 + 4 * seed, 16 + 5 * seed
    course = course_of(burst(still_scan(800 + seed, snr=4.0), first, last, seed))
    assert course.n_poses == 1
    hits = set(course.hit_shots())
    bad = set(range(first, last + 1))
    assert len(hits & bad) >= 0.8 * len(bad)
    assert len(hits - bad) <= 2


def test_stored_frames_of_eight_excitations_need_fewer_of_them() -> None:
    scan = still_scan(600, header=press_header(n_shots_planned=16), snr=9.0)
    for x in scan.signs:
        object.__setattr__(x, "n_excitations", 8)
    course = course_of(step(scan, 9))
    assert [e.kind for e in course.events] == ["step"]
    assert abs(course.events[0].first_shot - 9) <= 1


def test_missing_signs_do_no_harm() -> None:
    scan = still_scan(601)
    for x in scan.signs[::3]:
        for name in ("residual_water", "water_phase_deg", "lipid", "broadening_hz", "noise_log_variance"):
            object.__setattr__(x, name, None)
    assert course_of(scan).events == []


def test_scatter_is_learnt_and_starts_from_the_prior() -> None:
    scan = still_scan(602, strength=0.0)
    settings = scan.protocol.judgement
    table = FeatureTable()
    for signs in scan.signs:
        table.append(signs, settings.gain_log_variance)
    prior = prior_scatter(settings, 1)
    value, error = table.rows(np.arange(2))
    first = learn_scatter(value, error, prior, settings)
    assert np.allclose(first.sd, np.hypot(prior, robust_centre(error)))
    value, error = table.rows(np.arange(table.n))
    assert np.all(learn_scatter(value, error, prior, settings).sd >= 0.999 * robust_centre(error))


def test_shots_turned_by_ninety_degrees_are_hit_and_their_neighbours_are_not() -> None:
    scan = still_scan(603)
    settings = scan.protocol.judgement
    table = FeatureTable()
    for signs in scan.signs[:30]:
        table.append(signs, settings.gain_log_variance)
    rows = np.arange(30)
    value, error = table.rows(rows)
    value[20:23, PHASE] += np.pi / 2
    scatter = learn_scatter(value, error, prior_scatter(settings, 1), settings)
    p, log_ratio = hit_probabilities(value, rows, scatter, np.ones(30, dtype=bool), settings)
    assert p[20:23].min() > 0.5
    assert np.delete(p, [20, 21, 22]).max() < 0.5
    assert log_ratio[20:23].min() > 3.0
    assert np.delete(log_ratio, [20, 21, 22]).max() < 3.0


def test_shots_a_little_odd_are_left_out_and_called_no_movement() -> None:
    """Three such shots come in one of thirty long scans of still heads; a movement leaves far clearer traces."""
    still = still_scan(604, snr=4.0)

    def shaken(degrees: float, left: float) -> Course:
        def change(x: ShotSigns) -> dict[str, float]:
            turn = -degrees if x.shot_index % 2 else degrees
            return {"phase_deg": (x.phase_deg or 0.0) + turn, "amplitude": (x.amplitude or 1.0) * left}

        return course_of(changed(still, 30, 32, change))

    a_little = shaken(30.0, 0.88)
    assert {30, 31, 32} <= set(a_little.hit_shots())
    assert a_little.events == []
    assert [e.kind for e in shaken(40.0, 0.7).events] == ["burst"]


def test_a_long_burst_with_a_flood_of_water_is_a_burst() -> None:
    """Of equal amplitude, so that four shots often lie together by chance; then the way back is a second pose."""
    first, last = 60, 86
    right = 0
    for seed in range(12):
        hit = burst(still_scan(820 + seed, header=press_header(n_shots_planned=128), snr=6.0), first, last, seed)
        course = course_of(changed(hit, first, last, lambda _: {"residual_water": 8.0, "amplitude": 0.5}))
        left_out = len(set(course.hit_shots()) & set(range(first, last + 1)))
        right += course.n_poses == 1 and [e.kind for e in course.events] == ["burst"] and left_out >= 24
    assert right >= 10


@pytest.mark.parametrize("length", [4, 6])
def test_a_step_may_begin_with_a_burst(length: int) -> None:
    """The spoilt shots belong to neither pose."""
    used = 0
    for seed in range(8):
        course = course_of(burst(step(still_scan(3000 + seed, snr=4.0), 28), 28, 27 + length, seed))
        assert course.n_poses == 2
        (found,) = (e for e in course.events if e.kind == "step")
        assert abs(found.first_shot - 28) <= 3
        averaged = {i for pose in (0, 1) for i in course.pose_shots(pose, used_only=True)}
        used += len(averaged & set(range(28, 28 + length)))
    assert used <= 8 * length / 3


def test_odd_shots_whose_level_changed_are_a_passing_movement() -> None:
    """The change of level was seen: less evidence will do to say that it passed."""
    rng = np.random.default_rng(3)

    def change(x: ShotSigns) -> dict[str, float]:
        return {
            "frequency_hz": (x.frequency_hz or 0.0) + 2.0,
            "residual_water": 3.0 * (x.residual_water or 1.0),
            "water_phase_deg": (x.water_phase_deg or 0.0) + 60.0,
            "phase_deg": (x.phase_deg or 0.0) + float(rng.normal(0.0, 25.0)),
            "amplitude": 0.85 * (x.amplitude or 1.0),
        }

    course = course_of(changed(still_scan(901, snr=4.0), 30, 32, change))
    assert [e.kind for e in course.events] == ["burst"]


@pytest.mark.parametrize(
    ("log_amplitude", "z", "kind"), [(-0.10, -8.0, "water"), (-0.6, -20.0, "moving"), (-0.2, -1.5, "water")]
)
def test_a_flood_of_water_that_leaves_the_signals_strength_is_no_movement(
    log_amplitude: float, z: float, kind: str
) -> None:
    """1.5 Hz alone would make it one: a flood spoils the frequency a little."""
    change = {"frequency": 1.5, "log_amplitude": log_amplitude, "log_water": 2.0}
    flood = Step(
        row=3, statistic=80.0, n_after=6, change=change, z={"frequency": 4.0, "log_amplitude": z, "log_water": 12.0}
    )
    assert Course(still_scan(607).protocol.judgement)._kind(flood) == kind


def test_water_suppression_lost_is_no_movement() -> None:
    course = course_of(changed(still_scan(605), 30, 63, lambda x: {"residual_water": 20.0, "water_phase_deg": 100.0}))
    assert [e.kind for e in course.events] == ["water"]
    assert course.hit_shots() == ()


def test_the_threshold_of_a_step_grows_with_the_shots() -> None:
    settings = still_scan(606).protocol.judgement
    assert step_threshold(1, settings) == step_threshold(64, settings) == settings.step_threshold
    assert step_threshold(320, settings) == pytest.approx(settings.step_threshold + 2 * np.log(5.0))
