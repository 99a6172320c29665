"""Simulated against the shared reference sets, through the benchmark's own functions (bounds are generous)."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner_agent.basis import Press, load_basis

SINGLETS = {"NAA", "NAAG", "Cr", "PCr", "GPC", "PCh", "sIns", "Gly"}


@pytest.fixture
def benchmark_of_basis(shared_data, monkeypatch):
    import importlib.util

    folder = Path(__file__).parents[3] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("benchmark_of_basis", folder / "basis.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("file", "sequence", "exempt"),
    [
        # Lactate: slice-selective 180s of the reference miss the CH in part of the voxel.
        ("press_te35_3t_4000hz.basis", Press(0.035, 0.0165), {"Lac"}),
        ("lcmodel_press_3t_1024.basis", Press(0.030, 0.010), set()),
    ],
)
def test_press_against_reference(benchmark_of_basis, file, sequence, exempt):
    for row in benchmark_of_basis.against_press(file, sequence):
        bound = 0.99 if row["metabolite"] in SINGLETS else 0.95
        if row["metabolite"] not in exempt:
            assert row["own_width"] > bound, row


def test_lactate_is_explained_by_displacement(benchmark_of_basis, shared_data):
    reference = load_basis(shared_data / "reference_basis" / "press_te35_3t_4000hz.basis")["main"]
    assert benchmark_of_basis.lactate_displaced(reference, 0.035, 0.0165) > 0.99


def test_mega_against_reference(benchmark_of_basis):
    for row in benchmark_of_basis.against_mega():
        assert row.get("their_table", 1.0) > 0.999, row
        if row["metabolite"] in SINGLETS:
            assert row["top_hat"] > 0.99, row
        elif row["metabolite"] != "Gln":  # its table of shifts differs most
            assert row["top_hat"] > 0.95, row


@pytest.mark.parametrize(
    ("file", "kind", "halved", "linewidth_hz"),
    [
        ("press_te35_3t_4000hz", "main", True, 2.0),
        ("lcmodel_press_3t_1024", "main", True, 2.0),
        ("mega_te68_3t_on", "on", False, 1.0),
        ("mega_te68_3t_off", "off", False, 1.0),
    ],
)
def test_reference_sets_are_read_as_what_they_are(shared_data, file, kind, halved, linewidth_hz):
    (read,) = load_basis(shared_data / "reference_basis" / f"{file}.basis").items()
    assert read[0] == kind
    assert ("made whole" in read[1].provenance["first_point"]) == halved
    assert read[1].linewidth_hz == pytest.approx(linewidth_hz, abs=0.02)
    assert read[1].provenance["reference"] == "singlets where they should be"


def test_the_pair_of_mega_files_loads_as_a_folder(shared_data, tmp_path):
    for kind in ("on", "off"):
        (tmp_path / f"mega_{kind}.basis").symlink_to(shared_data / "reference_basis" / f"mega_te68_3t_{kind}.basis")
    sets = load_basis(tmp_path)
    assert set(sets) == {"on", "off", "difference"}
    assert len(sets["difference"].names) == 20
