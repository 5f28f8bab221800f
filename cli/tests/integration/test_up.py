"""`rialto up` and `status` as a person meets them: real PostgreSQL and anvil, stand-ins for the five services."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from rialto_cli.embedded import processes
from rialto_cli.embedded.services import PROGRAMS

from .embedded_run import Rialto, said_in_three_lines, wait_for


def test_up_tells_how_to_make_a_payment_and_status_is_ready(running: Rialto) -> None:
    status = running.status()
    assert set(status["services"]) == set(PROGRAMS)
    assert all(each["pid"] and each["port"] for each in status["services"].values())
    assert status["services"]["gateway"]["port"] == running.port
    assert status["test_key"] in running.said
    assert f"curl -sS http://127.0.0.1:{running.port}/v1/payments" in running.said
    assert status["admin_key"]
    with psycopg.connect(status["auditor_dsn"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("rialto_auditor",)
        settings = {name: connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")}
    assert settings == {"fsync": ("on",), "synchronous_commit": ("on",)}


def test_up_needs_nothing_from_its_environment_and_no_utf8(rialto: Rialto) -> None:
    rialto.environment = {
        "PYTHONPATH": rialto.environment["PYTHONPATH"],
        "PYTHONIOENCODING": "ascii",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    rialto.up()
    assert rialto.said.isascii()
    assert rialto.status()["ready"]


def test_ctrl_c_during_the_start_stops_what_has_started(rialto: Rialto) -> None:
    up = rialto.begin()
    state_file = rialto.data_dir / "state.json"
    started = wait_for(
        lambda: state_file.exists() and json.loads(state_file.read_text())["processes"], "something has started"
    )
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130
    assert not [each for each in started.values() if psutil.pid_exists(each["pid"])]
    rialto.up()


def test_ctrl_c_stops_everything_and_the_next_start_has_the_same_ports(rialto: Rialto) -> None:
    up = rialto.up()
    before = rialto.status()
    programs = list(rialto.processes().values())
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0
    assert not [p for p in programs if p.is_running()]
    assert "is not running" in said_in_three_lines(rialto.run("status", "--json"))

    rialto.up()
    after = rialto.status()
    assert {n: s["port"] for n, s in after["services"].items()} == {n: s["port"] for n, s in before["services"].items()}
    assert after["test_key"] == before["test_key"]


def test_nothing_outlives_a_killed_up_and_the_next_one_recovers(rialto: Rialto) -> None:
    up = rialto.up()
    programs = rialto.processes()
    everything = [*programs.values(), *(child for p in programs.values() for child in p.children(recursive=True))]
    up.kill()
    up.wait()
    wait_for(lambda: not [p for p in everything if p.is_running()], "the programs are gone", 15)
    rialto.up()
    assert rialto.status()["ready"]


@pytest.mark.parametrize("name", ["postgres", "anvil", "ledger"])
def test_a_killed_program_is_started_again_on_its_port(running: Rialto, name: str) -> None:
    before = running.status()["services"]
    victim = psutil.Process(before[name]["pid"])
    victim.kill()

    def recovered() -> Any:
        result = running.run("status", "--json")
        after = json.loads(result.stdout)["services"] if result.returncode == 0 else None
        return after if after and after[name]["pid"] != victim.pid else None

    after = wait_for(recovered, f"{name} is ready again")
    assert after[name]["port"] == before[name]["port"]
    others = set(PROGRAMS) - {name}
    assert {n: after[n]["pid"] for n in others} == {n: before[n]["pid"] for n in others}


def test_a_killed_postgres_is_back_though_a_backend_is_busy(running: Rialto) -> None:
    status = running.status()
    postmaster = psutil.Process(status["services"]["postgres"]["pid"])
    with closing(psycopg.connect(status["auditor_dsn"])) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        postmaster.kill()
        wait_for(lambda: not backend.is_running(), "the orphaned backend is gone")
    wait_for(lambda: running.run("status").returncode == 0, "PostgreSQL is back")


def test_a_second_up_on_the_same_directory_is_refused(running: Rialto) -> None:
    said = said_in_three_lines(running.run("up", "--port", str(processes.free_ports(1)[0])))
    assert "already running" in said
    assert running.process is not None
    assert str(running.process.pid) in said
    assert running.status()["ready"]


def test_a_port_in_use_is_named_with_its_owner(rialto: Rialto) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", rialto.port))
        other.listen()
        said = said_in_three_lines(rialto.run("up", "--port", str(rialto.port)))
    assert f"Port {rialto.port} is in use" in said
    assert str(os.getpid()) in said
    assert "--port" in said


def test_a_service_that_cannot_start_ends_the_start_with_its_own_words(rialto: Rialto) -> None:
    rialto.environment["FAKE_BROKEN"] = "fraud"
    result = rialto.run("up", "--port", str(rialto.port))
    assert result.returncode == 1
    assert "fraud does not start" in result.stderr
    assert "the model file is missing" in result.stderr
    assert "logs/fraud.log" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_directory_that_cannot_be_made_is_explained(rialto: Rialto, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rialto.data_dir = tmp_path / "file" / "data"
    said = said_in_three_lines(rialto.run("up", "--port", str(rialto.port)))
    assert "cannot be written" in said
    assert "--data-dir" in said


def mounted(tmp_path: Path, options: str) -> tuple[str, ...]:
    """A command prefix that runs a command with a file system of its own mounted on tmp_path/disk."""
    (tmp_path / "disk").mkdir()
    mount = f'mount -t tmpfs -o {options} none "{tmp_path}/disk" && exec "$@"'
    prefix = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)), "sh", "-c", mount, "sh")
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    return prefix


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as writer:
        while True:
            writer.write(b"\0" * 2**20)


def test_a_full_disk_is_explained(tmp_path: Path, fakes: Path) -> None:
    rialto = Rialto(tmp_path / "disk" / "data", fakes, mounted(tmp_path, "size=32m"))
    said = said_in_three_lines(rialto.run("up", "--port", str(rialto.port)))
    assert "is full" in said
    assert "free some space" in said


def test_a_disk_that_fills_up_later_is_told_and_survived(tmp_path: Path, fakes: Path) -> None:
    rialto = Rialto(tmp_path / "disk" / "data", fakes, mounted(tmp_path, "size=420m"))
    try:
        up = rialto.up()
        # The file system is mounted for that process alone; its own view of it leads there.
        disk = Path(f"/proc/{up.pid}/root") / str(tmp_path / "disk").lstrip("/")
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            fill(filler)
        assert up.stdout is not None
        line = up.stdout.readline()
        while "is full" not in line:
            assert line
            line = up.stdout.readline()
        assert "Free some space" in line
        filler.unlink()
        assert up.poll() is None
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0
    finally:
        rialto.end()


def test_a_read_only_directory_is_explained(tmp_path: Path, fakes: Path) -> None:
    rialto = Rialto(tmp_path / "disk" / "data", fakes, mounted(tmp_path, "ro"))
    said = said_in_three_lines(rialto.run("up", "--port", str(rialto.port)))
    assert "Read-only file system" in said
    assert "--data-dir" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="run as a user, every other test here shows the same")
def test_up_works_for_an_ordinary_user_and_then_for_root(fakes: Path) -> None:
    # Through our own launcher: this Python may lie below a directory that only root may enter.
    daemon = pwd.getpwnam("daemon")
    account = f"{daemon.pw_uid}:{daemon.pw_gid}"
    prefix = (sys.executable, "-I", "-S", str(processes.LAUNCHER), str(os.getpid()), "15", account)
    with tempfile.TemporaryDirectory(prefix="rialto-user-") as name:
        os.chown(name, daemon.pw_uid, daemon.pw_gid)
        rialto = Rialto(Path(name) / "data", fakes, prefix)
        rialto.environment |= {"HOME": name}
        try:
            rialto.up()
            programs = rialto.processes()
            assert {p.uids().effective for p in programs.values()} == {daemon.pw_uid}
        finally:
            rialto.end()
        assert (rialto.data_dir / "secrets.json").stat().st_mode & 0o077 == 0
        as_root = Rialto(rialto.data_dir, fakes).run("migrate")
        assert as_root.stdout.strip() == "nothing to apply: the database is up to date", as_root.stderr


def test_migrate_works_without_a_running_platform_and_twice(rialto: Rialto) -> None:
    first = rialto.run("migrate")
    assert first.returncode == 0, first.stderr
    assert "applied common/0001" in first.stdout
    second = rialto.run("migrate")
    assert second.returncode == 0
    assert "nothing to apply" in second.stdout


def test_of_two_starts_at_once_one_runs_and_one_is_refused(rialto: Rialto) -> None:
    both = [
        subprocess.Popen(
            rialto.command("up", "--port", str(port)),
            env=rialto.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for port in processes.free_ports(2)
    ]
    try:
        wait_for(lambda: any(p.poll() is not None for p in both), "one of them has ended")
        wait_for(lambda: rialto.run("status").returncode == 0, "the other is up")
        assert [p.poll() for p in both].count(None) == 1
    finally:
        for process in both:
            process.terminate()
        said = {process.wait(30): process.communicate()[1] for process in both}
    assert set(said) == {0, 1}
    assert "already running" in said[1]
