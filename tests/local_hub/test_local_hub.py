"""A hub as a process: its folder, its ports, its certificate, its start and its end."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_hub.environment import hub_environment
from local_hub.fronts.admin import new_token
from local_hub.home import HubHome
from local_hub.ports import PortError, http_socket, listening_socket, loopback_of
from local_hub.server_certificate import prepare_certificates
from transport.certificates import CertificateError
from transport.loopback import free_loopback_address


def command(home: Path, host: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "local_hub", "--home", str(home), "--host", host, "--http-port", "8443", *options]


@pytest.fixture
def host() -> str:
    return free_loopback_address([8443, 8883])


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts hubs, each ready when it is returned; ends those that a test leaves behind."""
    processes: list[subprocess.Popen[str]] = []

    def run(home: Path, host: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(command(home, host, *options), stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("hub ready on")
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def refused(home: Path, host: str, *options: str) -> str:
    """The one line with which a hub refuses to start."""
    result = subprocess.run(command(home, host, *options), capture_output=True, text=True, timeout=30, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    line, end = result.stderr.split("\n")
    assert end == ""
    return line


Start = Callable[..., "subprocess.Popen[str]"]


def test_while_it_runs_a_hub_says_where_it_is(start: Start, tmp_path: Path, host: str) -> None:
    process = start(tmp_path, host)
    running = json.loads((tmp_path / "hub" / "running.json").read_text())
    assert running["pid"] == process.pid
    assert (running["host"], running["mqtt_port"], running["http_port"]) == (host, 8883, 8443)
    for port in (running["mqtt_port"], running["http_port"], running["admin_port"]):
        socket.create_connection((host, port), timeout=5).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(start: Start, tmp_path: Path, host: str, number: signal.Signals) -> None:
    process = start(tmp_path, host)
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    assert not (tmp_path / "hub" / "running.json").exists()


def test_a_second_hub_on_the_same_home_is_refused_by_the_first_one_s_process(
    start: Start, tmp_path: Path, host: str
) -> None:
    process = start(tmp_path, host)
    line = refused(tmp_path, free_loopback_address([8443, 8883]))
    assert str(process.pid) in line
    assert str(tmp_path) in line


def test_a_hub_that_was_killed_leaves_its_home_usable(start: Start, tmp_path: Path, host: str) -> None:
    process = start(tmp_path, host)
    before = hub_environment(tmp_path)
    process.kill()
    process.wait()
    start(tmp_path, host)
    assert hub_environment(tmp_path) == before


def test_a_busy_port_is_named_with_the_way_out(tmp_path: Path, host: str) -> None:
    with socket.create_server((host, 8883)):
        line = refused(tmp_path, host)
    assert line.startswith("error: ")
    for part in ("8883", host, "--host 127.0.0.2"):
        assert part in line


def test_a_busy_port_leaves_no_trace_of_a_hub(tmp_path: Path, host: str) -> None:
    with socket.create_server((host, 8443)):
        refused(tmp_path, host)
    assert not (tmp_path / "hub" / "running.json").exists()
    assert not (tmp_path / "hub" / "hub.db").exists()


def test_an_unknown_host_is_refused(tmp_path: Path) -> None:
    assert "no-such-host.invalid" in refused(tmp_path, "no-such-host.invalid")


def test_files_are_the_owner_s_alone(start: Start, tmp_path: Path, host: str) -> None:
    start(tmp_path, host)
    for path in (tmp_path / "hub").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700


def test_a_client_that_trusts_the_ca_accepts_the_certificate(start: Start, tmp_path: Path, host: str) -> None:
    start(tmp_path, host)
    context = ssl.create_default_context(cafile=hub_environment(tmp_path)["IOTHUB_CA_FILE"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", host, socket.gethostname()):
        with socket.create_connection((host, 8443), timeout=5) as raw:
            context.wrap_socket(raw, server_hostname=name).close()


def test_the_connection_string_names_host_and_port(start: Start, tmp_path: Path, host: str) -> None:
    start(tmp_path, host)
    assert hub_environment(tmp_path)["IOTHUB_CONNECTION_STRING"].startswith(f"HostName={host}:8443;")


# -- the parts of it


def test_443_is_replaced_only_where_it_is_not_permitted(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    bind = socket.socket.bind

    def unprivileged(self: socket.socket, address: tuple[str, int]) -> None:
        if address[1] < 1024:
            raise PermissionError(13, "Permission denied")
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", unprivileged)
    with http_socket(host, None) as listener:
        assert listener.getsockname() == (host, 8443)
    with pytest.raises(PortError, match="privileged"):
        http_socket(host, 443)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_is_refused(host: str, port: int) -> None:
    with pytest.raises(PortError, match="does not exist"):
        listening_socket(host, port, "MQTT")


def test_a_port_that_is_taken_is_refused_though_nobody_listens_yet(host: str) -> None:
    with listening_socket(host, 0, "MQTT") as first, pytest.raises(PortError, match="busy"):
        listening_socket(host, first.getsockname()[1], "MQTT")


@pytest.mark.parametrize(("host", "expected"), [("0.0.0.0", "127.0.0.1"), ("127.9.8.7", "127.9.8.7")])
def test_the_admin_door_is_always_on_a_loopback_address(host: str, expected: str) -> None:
    assert loopback_of(host) == expected


def test_a_certificate_is_kept_while_it_fits_and_re_issued_for_a_new_name(tmp_path: Path) -> None:
    home = HubHome(tmp_path)
    home.create()
    prepare_certificates(home, ["localhost", "127.0.0.1"])
    authority, first = home.authority.read_bytes(), home.certificate.read_bytes()
    prepare_certificates(home, ["localhost"])
    assert home.certificate.read_bytes() == first
    prepare_certificates(home, ["localhost", "127.7.7.7"])
    assert home.certificate.read_bytes() != first
    assert home.authority.read_bytes() == authority


def test_a_lost_authority_key_is_an_error_not_a_new_authority(tmp_path: Path) -> None:
    home = HubHome(tmp_path)
    home.create()
    prepare_certificates(home, ["localhost"])
    home.authority_key.unlink()
    with pytest.raises(CertificateError, match=r"ca\.key"):
        prepare_certificates(home, ["localhost"])


def test_the_bundle_begins_with_the_hub_s_authority_and_holds_the_system_s(tmp_path: Path) -> None:
    home = HubHome(tmp_path)
    home.create()
    prepare_certificates(home, ["localhost"])
    bundle = home.bundle.read_bytes()
    assert bundle.startswith(home.authority.read_bytes().strip())
    assert bundle.count(b"BEGIN CERTIFICATE") > 1


def test_each_start_has_a_token_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    first = new_token(path)
    assert new_token(path) != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
