"""The log: only growing, read back as written, on both databases; its faces."""

from __future__ import annotations

import math
import multiprocessing
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from scanner_agent.cli.phantom import app
from scanner_agent.errors import ConfigError, SourceError
from scanner_agent.phantom.chart_html import page
from scanner_agent.phantom.chart_png import write_picture
from scanner_agent.phantom.csv_file import from_csv, to_csv
from scanner_agent.phantom.definition import load_phantom
from scanner_agent.phantom.evaluate import evaluate
from scanner_agent.phantom.metrics import grafana_dashboard, metrics_text
from scanner_agent.phantom.month import month_report
from scanner_agent.phantom.series import Event, PhantomLog
from scanner_agent.phantom.signal import channel_noise, line_snr, residual_water, water_shape
from scanner_agent.phantom.spark import sparkline
from scanner_agent.phantom.values import Value
from tests.support.phantom_runs import KEY, make_runs


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own, on a socket in a folder of its own."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'scanner-agent[postgres]'")
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []
    if not binaries:
        pytest.skip("needs a PostgreSQL server (Debian package postgresql), which is not here")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has little room
    as_user: list[str] = []
    if subprocess.run(["id", "-u"], capture_output=True, text=True, check=True).stdout.strip() == "0":
        if subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode != 0:
            folder.rmdir()
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, capture_output=True, cwd=folder, timeout=200)

    run(str(binaries[-1] / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-N")
    control = (str(binaries[-1] / "pg_ctl"), "-D", str(folder / "data"), "-w")
    run(*control, "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=''", "start")
    yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    run(*control, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PhantomLog]:
    url = f"sqlite:///{tmp_path / 'p.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    opened = PhantomLog(url)
    yield opened
    opened.close()


def test_nothing_is_overwritten_and_the_last_word_counts(log: PhantomLog) -> None:
    key = type(KEY)("corrected", "c", "p", "q")
    runs = make_runs(5, 1, key=key)
    assert log.add(runs) == 5
    assert log.add(runs) == 0
    assert log.runs(key) == runs
    new = log.correct(runs[2].run_id, {"temperature_c": 19.5, "Lac/Ace": None}, note="thermometer")
    log.withdraw(runs[4].run_id, note="wrong sphere")
    last_word = log.runs(key)
    assert [run.run_id for run in last_word] == [runs[0].run_id, runs[1].run_id, new.run_id, runs[3].run_id]
    assert last_word[2].values["temperature_c"].value == 19.5
    assert last_word[2].values["Lac/Ace"] == Value(None, None, "thermometer")
    assert {run.run_id for run in runs} < {run.run_id for run in log.runs(key, history=True)}
    assert len(log.runs(key, history=True)) == 7
    with pytest.raises(SourceError, match="no phantom run"):
        log.correct("never", {}, note="")
    with pytest.raises(SourceError, match="no value 'x'"):
        log.correct(runs[0].run_id, {"x": 1.0}, note="")


def test_both_databases_give_the_same_answers(log: PhantomLog) -> None:
    key = type(KEY)("same", "c", "p", "q")
    runs = make_runs(80, 3, key=key, change_at=60, change={"temperature_c": 3.0})
    event = Event(
        event_id="same-e", scanner="same", happened_at=runs[30].measured_at - 1, logged_at=0.0, text="service"
    )
    log.add(runs)
    log.add_events([event])
    here, straight = evaluate(key, log.runs(key), log.events(key)), evaluate(key, runs, [event])
    assert here.alarms == straight.alarms
    assert log.events(type(KEY)("another", "c", "p", "q")) == []
    for name, chart in here.charts.items():
        np.testing.assert_array_equal(chart.values, straight.charts[name].values)


def _write(url: str, seed: int) -> None:
    opened = PhantomLog(url)
    for run in make_runs(40, seed, key=type(KEY)("two", "c", "p", "q")):
        opened.add([run])
    opened.close()


def test_two_writers_at_once_lose_nothing(log: PhantomLog) -> None:
    url = log.store.engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(url, seed)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(200)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(log.runs(type(KEY)("two", "c", "p", "q"))) == 80


def test_csv_is_read_back_as_it_was_written() -> None:
    runs = make_runs(4, 2)
    values = dict(runs[0].values) | {"temperature_c": Value(None, None, "no water reference")}
    runs[0] = msgspec.structs.replace(
        runs[0], values=values, note="=1+1", settings={"receiver_gain": 2.0, "coil": None}
    )
    text = to_csv(runs)
    assert "'=1+1" in text
    assert from_csv(text) == runs


def test_csv_of_a_spreadsheet_is_taken_and_its_mistakes_are_named() -> None:
    head = "scanner,coil,phantom,protocol,measured_at,Lac/Ace\n"
    (run,) = from_csv(head + "A,h,s,p,2020-03-01,0.95\n")
    assert run.values == {"Lac/Ace": Value(0.95)}
    assert from_csv(head + "A,h,s,p,2020-03-01,0.95\n")[0].run_id == run.run_id
    for line, complaint in (
        ("A,h,s,p,2020-03-01,x", "line 2, column Lac/Ace"),
        ("A,h,s,p,then,1", "line 2"),
        ("A,h", "line 2"),
    ):
        with pytest.raises(SourceError, match=complaint):
            from_csv(head + line + "\n")
    with pytest.raises(SourceError, match="nan"):
        from_csv(head + "A,h,s,p,2020-03-01,nan\n")
    with pytest.raises(SourceError, match="measured_at"):
        from_csv("scanner,coil,phantom,protocol\n")


def test_faces_show_the_alarm(tmp_path: Path) -> None:
    runs = make_runs(70, 5, change_at=60, change={"water_amplitude_per_ml": 0.2, "noise_sd": 0.2})
    runs[3] = msgspec.structs.replace(runs[3], note="</script><b>")
    evaluation = evaluate(KEY, runs, [])
    html = page([evaluation, evaluation])
    assert "gain: signal and noise changed alike" in html
    assert "Scanners compared" in html
    assert "</script><b>" not in html
    assert "default-src 'none'" in html
    write_picture(tmp_path / "c.png", evaluation)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    month = np.datetime64(int(runs[66].measured_at), "s").astype(str)[:7]
    assert "* ALARM water amplitude per ml" in month_report([evaluation], month)
    with pytest.raises(ConfigError, match="not a month"):
        month_report([evaluation], "May")
    text = metrics_text([evaluation]).decode()
    assert 'name="water_amplitude_per_ml",phantom="acetate_lactate"' in text
    assert "scanner_agent_phantom_in_alarm" in text
    for panel in grafana_dashboard()["panels"]:
        assert panel["targets"][0]["expr"].split("{")[0].split("(")[-1].split(" ")[-1] in text or "time()" in str(panel)


def test_numbers_taken_from_signals() -> None:
    rng = np.random.default_rng(4)
    t = np.arange(4096) / 2000.0
    noise = 0.002 * (rng.standard_normal(4096) + 1j * rng.standard_normal(4096))
    lorentz, gauss = 2.0, 3.0
    decay = np.exp(-np.pi * lorentz * t - (np.pi * gauss * t) ** 2 / (4 * math.log(2)))
    shape = water_shape(decay + noise, 1 / 2000.0)
    assert shape is not None
    assert shape.fwhm_hz == pytest.approx(0.5346 * lorentz + math.sqrt(0.2166 * lorentz**2 + gauss**2), rel=0.02)
    assert water_shape(np.zeros(4096) + 0j, 1 / 2000.0) is None
    assert residual_water(0.01 * decay, decay, 1 / 2000.0, 123.0) == pytest.approx(0.01)
    # The same wherever the line lies on the grid of the spectrum's points.
    for away_hz in (0.0, 0.1, 0.25):
        line = decay * np.exp(2j * np.pi * ((4.65 - 1.9) * 123.0 + away_hz) * t)
        assert line_snr(line, 0.002, 1 / 2000.0, 123.0) == pytest.approx(decay.sum() / 0.002 / 64.0, rel=2e-3)
    common = rng.standard_normal((1, 20000)) + 1j * rng.standard_normal((1, 20000))
    own = rng.standard_normal((2, 20000)) + 1j * rng.standard_normal((2, 20000))
    channels = channel_noise(np.concatenate([common + own[:1], common + own[1:]]))
    assert channels.correlation == pytest.approx((0.5, 0.5), abs=0.03)
    assert channels.sd[0] == pytest.approx(math.sqrt(2), rel=0.03)


def test_sparkline_and_phantoms() -> None:
    assert sparkline(np.array([0.0, 7.0, np.nan])) == "▁█·"
    assert load_phantom("brain").contents_mm["tNAA"] == 12.5
    with pytest.raises(ConfigError, match="acetate_lactate, brain"):
        load_phantom("unknown")


def test_real_dates_are_logged_and_charted(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "real" / "siemens_3t_phantom"
    run, store = CliRunner(), ["--store", f"sqlite:///{tmp_path / 'p.sqlite'}"]
    as_one = ["--scanner", "mMR", "--coil", "head"]
    alone = run.invoke(app, ["log", str(folder / "2016-11-11_metabolite.dcm"), *as_one, *store])
    assert alone.exit_code == 0, alone.output
    dates = ("2018-08-20", "2018-11-19")
    files = [str(folder / f"{date}_metabolite.dcm") for date in dates]
    waters = [part for date in dates for part in ("--water", str(folder / f"{date}_water.dcm"))]
    logged = run.invoke(app, ["log", *files, *waters, *as_one, *store])
    assert logged.exit_code == 0, logged.output
    event = run.invoke(app, ["event", "software upgrade", "--scanner", "mMR", "--date", "2018-11-01", *store])
    assert event.exit_code == 0, event.output
    exported = run.invoke(app, ["export", str(tmp_path / "p.csv"), *store])
    assert exported.exit_code == 0, exported.output
    runs = from_csv((tmp_path / "p.csv").read_text())
    assert runs[0].values["temperature_c"].reason == "no water reference"
    assert all(18.0 < run.values["temperature_c"].value < 24.0 for run in runs[1:])  # type: ignore[operator]
    again = run.invoke(app, ["import", str(tmp_path / "p.csv"), *store])
    assert "0 of 3 runs were new" in again.output
    for command in (["list"], ["show"], ["show", runs[0].run_id[:8]], ["report", "--month", "2018-11"], ["metrics"]):
        result = run.invoke(app, [*command, *store])
        assert result.exit_code == 0, result.output
    assert run.invoke(app, ["chart", str(tmp_path / "c.html"), *store]).exit_code == 0
    assert "software upgrade" in (tmp_path / "c.html").read_text()
