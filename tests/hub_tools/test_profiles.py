"""Profiles: hubs by names, in a file that only its owner may read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hub_tools.profiles import Profile, Profiles, is_hub_host, profiles_file
from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
POLICY = ConnectionString.parse(f"HostName=h.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey={KEY}")


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles(tmp_path / "folder" / "profiles.toml")


def test_what_is_added_is_read_back(profiles: Profiles) -> None:
    policy = Profile(name="fleet", connection_string=POLICY, ca_file=Path("/ca.pem"))
    signed_in = Profile(name="prod", host="fleet.azure-devices.net")
    profiles.add(policy)
    profiles.add(signed_in)
    assert profiles.read() == {"fleet": policy, "prod": signed_in}


def test_only_the_owner_may_read_the_file_and_its_folder(profiles: Profiles) -> None:
    profiles.add(Profile(name="fleet", connection_string=POLICY))
    assert stat.S_IMODE(profiles.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(profiles.file.parent.stat().st_mode) == 0o700


def test_a_file_that_others_may_read_is_refused(profiles: Profiles) -> None:
    profiles.add(Profile(name="fleet", connection_string=POLICY))
    profiles.file.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        profiles.read()


def test_a_name_that_is_taken_is_written_over_only_when_told(profiles: Profiles) -> None:
    profiles.add(Profile(name="fleet", connection_string=POLICY))
    other = Profile(name="fleet", host="other.azure-devices.net")
    with pytest.raises(InputError, match="--replace"):
        profiles.add(other)
    profiles.add(other, replace=True)
    assert profiles.get("fleet") == other


def test_a_profile_is_forgotten(profiles: Profiles) -> None:
    profiles.add(Profile(name="fleet", connection_string=POLICY))
    profiles.remove("fleet")
    assert profiles.read() == {}
    assert KEY not in profiles.file.read_text()


def test_an_unknown_name_is_answered_with_the_known_ones(profiles: Profiles) -> None:
    profiles.add(Profile(name="fleet", connection_string=POLICY))
    with pytest.raises(InputError, match=r"profiles: fleet"):
        profiles.get("flet")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "local", "host": "h.azure-devices.net"}, "not 'local'|not local"),
        ({"name": "a b", "host": "h.azure-devices.net"}, "no name"),
        ({"name": "a", "host": "example.com"}, "NAME.azure-devices.net"),
        ({"name": "a"}, "connection string, or a host name"),
        (
            {"name": "a", "connection_string": ConnectionString(host_name="h", device_id="d", shared_access_key=KEY)},
            "not a device's",
        ),
    ],
)
def test_a_profile_that_reaches_no_hub_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Profile(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["version = 2\n", "nonsense", "version = 1\n[profiles.a]\nhost = 1\n", "version = 1\n[profiles.a]\nx = 'y'\n"],
)
def test_a_file_of_another_kind_is_refused_by_name(profiles: Profiles, text: str) -> None:
    profiles.file.parent.mkdir()
    profiles.file.write_text(text)
    profiles.file.chmod(0o600)
    with pytest.raises(InputError, match=r"profiles\.toml"):
        profiles.read()


def test_neither_a_repr_nor_what_is_shown_has_the_key() -> None:
    profile = Profile(name="fleet", connection_string=POLICY)
    assert KEY not in repr(profile) + str(profile.described())


def test_the_file_is_the_variables_then_the_config_folders() -> None:
    assert profiles_file({"EDGEYARD_PROFILES": "/p.toml", "XDG_CONFIG_HOME": "/c"}) == Path("/p.toml")
    assert profiles_file({"XDG_CONFIG_HOME": "/c"}) == Path("/c/edgeyard/profiles.toml")
    assert profiles_file({}) == Path("~/.config/edgeyard/profiles.toml").expanduser()


def test_only_azures_hubs_are_reached_by_a_sign_in() -> None:
    assert is_hub_host("fleet.azure-devices.net")
    assert not is_hub_host("fleet.azure-devices.net.example.com")
    assert not is_hub_host("127.0.0.1")
