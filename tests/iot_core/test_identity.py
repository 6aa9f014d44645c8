from __future__ import annotations

import base64

import pytest

from iot_core.errors import IdentityError
from iot_core.identity import (
    Identity,
    decode_key,
    derive_device_key,
    generate_key,
    validate_device_id,
    validate_key,
    validate_module_id,
)

GROUP_KEY = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="


def test_a_group_key_gives_the_documented_device_key() -> None:
    key = derive_device_key(GROUP_KEY, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
    assert key == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="


@pytest.mark.parametrize("registration_id", ["", "ends-with-dot.", "a b", "a/b", "x" * 129])
def test_a_registration_id_that_is_not_allowed_is_refused(registration_id: str) -> None:
    with pytest.raises(IdentityError):
        derive_device_key(GROUP_KEY, registration_id)


@pytest.mark.parametrize("device_id", ["d", "x" * 128, "a-:.+%_#*?!(),=@;$'9", "UPPER"])
def test_device_ids_that_are_allowed(device_id: str) -> None:
    assert validate_device_id(device_id) == device_id


@pytest.mark.parametrize("device_id", ["", "x" * 129, "a b", "a/b", "ä", "a\n", "a&b", 'a"b', "a<b"])
def test_device_ids_that_are_refused(device_id: str) -> None:
    with pytest.raises(IdentityError, match="device id"):
        validate_device_id(device_id)


@pytest.mark.parametrize("module_id", ["$edgeAgent", "$edgeHub", "filter", "a.b"])
def test_module_ids_that_are_allowed(module_id: str) -> None:
    assert validate_module_id(module_id) == module_id


@pytest.mark.parametrize("module_id", ["$other", "$edgeagent", "", "a/b"])
def test_module_ids_that_are_refused(module_id: str) -> None:
    with pytest.raises(IdentityError, match="module id"):
        validate_module_id(module_id)


@pytest.mark.parametrize(
    ("identity", "path", "resource"),
    [
        (Identity("d"), "d", "h/devices/d"),
        (Identity("d", "m"), "d/m", "h/devices/d/modules/m"),
    ],
)
def test_an_identity_has_a_path_and_a_resource(identity: Identity, path: str, resource: str) -> None:
    assert (identity.path, identity.resource("h"), Identity.from_path(path)) == (path, resource, identity)


@pytest.mark.parametrize("path", ["", "/m", "d/", "d/m/x"])
def test_a_path_that_is_no_identity_is_refused(path: str) -> None:
    with pytest.raises(IdentityError):
        Identity.from_path(path)


def test_generated_keys_have_32_bytes_and_differ() -> None:
    keys = {generate_key() for _ in range(10)}
    assert len(keys) == 10
    assert {len(decode_key(key)) for key in keys} == {32}


@pytest.mark.parametrize("length", [16, 64])
def test_keys_of_16_to_64_bytes_are_taken(length: int) -> None:
    key = base64.b64encode(bytes(length)).decode()
    assert validate_key(key) == key


@pytest.mark.parametrize("length", [1, 15, 65])
def test_keys_of_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(IdentityError, match=f"has {length} bytes"):
        validate_key(base64.b64encode(bytes(length)).decode())


@pytest.mark.parametrize("key", ["", "not base64!", "abc", "ä" * 8])
def test_what_is_not_base64_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(IdentityError) as caught:
        decode_key(key)
    assert str(caught.value) == "the symmetric key is not base64: copy it whole, with its trailing = signs"
