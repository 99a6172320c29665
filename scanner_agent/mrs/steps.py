"""What was done to a scan's data, in words."""

from __future__ import annotations

from scanner_agent.mrs.shots import CoilReport, EditOrder


def steps_of(
    coils: CoilReport,
    *,
    eddy_currents_corrected: bool,
    late_water: bool,
    align_ppm: tuple[float, float],
    last_pass: bool,
    order: EditOrder | None,
    by_shapes: bool,
) -> tuple[str, ...]:
    """A phrase for each step, in order. `order`: of an edited scan; `by_shapes`: ON linked by the basis set's lines."""
    made = [f"noise covariance from {coils.noise_from}", f"coil weights (GLS) from {coils.weights_from}"]
    if coils.n_coils == 1:
        made = ["single channel, no coil combination"]
    made += [f"channel {k} left out ({why})" for k, why in coils.left_out.items()]
    if eddy_currents_corrected:
        made.append("eddy-current correction by the water reference's phase")
    if late_water:
        made.append("water reference came after the first shot: used in the last pass only")
    low, high = align_ppm
    made.append(f"maximum-likelihood alignment over {low:g}-{high:g} ppm" + (", last pass" if last_pass else ""))
    made.append("robust weights by misfit and amplitude")
    if order is not None:
        over = "all lines of the basis set" if by_shapes else "choline and inositol"
        made.append(f"edit order from {order.decided_from}, ON moved onto OFF over {over}")
    return tuple(made)
