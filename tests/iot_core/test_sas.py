from __future__ import annotations

import base64
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core import sas
from iot_core.connection_string import ConnectionString
from iot_core.errors import SasError, SasReason

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_KEY = "HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4="
DEVICE = "h.azure-devices.net/devices/d1"
EXPIRY = 1_800_000_000


def verify(token: str, *, resource: str = DEVICE, keys: tuple[str, ...] = (KEY,), now: float = EXPIRY - 60) -> None:
    sas.verify(sas.parse(token), resource=resource, keys=keys, now=now)


def refusal(
    token: str, *, resource: str = DEVICE, keys: tuple[str, ...] = (KEY,), now: float = EXPIRY - 60
) -> SasReason:
    with pytest.raises(SasError) as caught:
        verify(token, resource=resource, keys=keys, now=now)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_token_has_the_known_form() -> None:
    # Computed once, apart from this code, by the steps in IoT Hub's documentation on shared access signatures.
    assert sas.sign(DEVICE, KEY, EXPIRY, "device") == (
        "SharedAccessSignature sr=h.azure-devices.net%2Fdevices%2Fd1"
        "&sig=z%2FQpM%2BtxRR8ZM1gA%2BV08o10MtsdXyNngdu172Jiwm8U%3D&se=1800000000&skn=device"
    )


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.binary(min_size=16, max_size=64))
def test_what_is_signed_verifies(name: str, key: bytes) -> None:
    text = base64.b64encode(key).decode()
    resource = f"h/devices/{name}"
    token = sas.sign(resource, text, EXPIRY)
    sas.verify(sas.parse(token), resource=resource, keys=[text], now=EXPIRY)


@given(st.integers(0, 43), st.characters(codec="ascii", categories=("L", "N")))
def test_a_changed_signature_is_refused(position: int, character: str) -> None:
    head, signature = sas.sign(DEVICE, KEY, EXPIRY).split("&sig=")
    signature, tail = signature.split("&se=")
    changed = signature[:position] + character + signature[position + 1 :]
    if unquote(changed) != unquote(signature):
        assert refusal(f"{head}&sig={changed}&se={tail}") is SasReason.WRONG_SIGNATURE


@pytest.mark.parametrize("sr", ["h%2fdevices%2fd1", "h%2Fdevices%2Fd1", "h/devices/d1", "H%2Fdevices/d%31"])
def test_the_resource_is_signed_as_it_was_received(sr: str) -> None:
    plain = sas.sign("x", KEY, EXPIRY).split("&sig=")[0]
    assert plain.endswith("sr=x")
    signature = sas._signature(f"{sr}\n{EXPIRY}", KEY)
    token = f"SharedAccessSignature se={EXPIRY}&sig={quote(signature)}&sr={sr}"
    verify(token, resource="h/devices/d1")


def test_the_fields_come_in_any_order_and_case() -> None:
    fields = sas.sign(DEVICE, KEY, EXPIRY, "p").removeprefix("SharedAccessSignature ").split("&")
    token = "sharedaccesssignature   " + "&".join(field.replace("sr=", "SR=") for field in reversed(fields))
    verify(token)
    assert sas.parse(token).policy == "p"


def test_the_secondary_key_is_good_too() -> None:
    verify(sas.sign(DEVICE, OTHER_KEY, EXPIRY), keys=(KEY, OTHER_KEY))


def test_no_key_at_all_refuses() -> None:
    assert refusal(sas.sign(DEVICE, KEY, EXPIRY), keys=()) is SasReason.WRONG_SIGNATURE


@pytest.mark.parametrize(("late", "good"), [(-1, True), (299, True), (300, True), (301, False), (10_000, False)])
def test_a_token_is_taken_until_five_minutes_after_its_expiry(late: int, good: bool) -> None:
    token = sas.sign(DEVICE, KEY, EXPIRY)
    if good:
        verify(token, now=EXPIRY + late)
    else:
        assert refusal(token, now=EXPIRY + late) is SasReason.EXPIRED


def test_an_expired_token_with_a_wrong_signature_tells_only_of_the_signature() -> None:
    assert refusal(sas.sign(DEVICE, OTHER_KEY, EXPIRY), now=EXPIRY * 2) is SasReason.WRONG_SIGNATURE


@pytest.mark.parametrize(
    ("granted", "asked", "covered"),
    [
        ("h", "h/devices/d", True),
        ("h/devices", "h/devices/d", True),
        ("h/devices/d", "h/devices/d", True),
        ("h/devices/d/", "h/devices/d", True),
        ("H.NET/devices/d", "h.net/devices/d/modules/m", True),
        ("h/devices/d", "h/devices/dd", False),
        ("h/devices/d", "h/devices/D", False),
        ("h/devices/d/modules/m", "h/devices/d", False),
        ("g", "h/devices/d", False),
        ("", "h/devices/d", False),
        ("/", "/devices", False),
        ("h//devices", "h/devices", False),
    ],
)
def test_a_token_covers_what_lies_below_it_by_whole_segments(granted: str, asked: str, covered: bool) -> None:
    assert sas.covers(granted, asked) is covered


def test_a_token_for_another_device_is_refused() -> None:
    assert refusal(sas.sign(DEVICE, KEY, EXPIRY), resource="h.azure-devices.net/devices/d2") is SasReason.RESOURCE


@pytest.mark.parametrize(
    "token",
    [
        "",
        "SharedAccessSignature",
        "Bearer abc",
        "SharedAccessSignature sr=h&sig=x",
        "SharedAccessSignature sr=h&se=1",
        "SharedAccessSignature sig=x&se=1",
        "SharedAccessSignature sr=&sig=x&se=1",
        "SharedAccessSignature sr=h&sig=x&se=-1",
        "SharedAccessSignature sr=h&sig=x&se=1e9",
        "SharedAccessSignature sr=h&sig=x&se=9999999999999",
        "SharedAccessSignature sr=h&sr=g&sig=x&se=1",
        "SharedAccessSignature sr=h&sig=x&se=1 more",
        "SharedAccessSignature sr=h&sig=\udce4&se=1",
        "SharedAccessSignature sr=" + "h" * 5000 + "&sig=x&se=1",
    ],
)
def test_a_malformed_token_is_refused(token: str) -> None:
    with pytest.raises(SasError) as caught:
        sas.parse(token)
    assert caught.value.reason is SasReason.MALFORMED


def test_a_field_given_twice_with_one_value_is_taken() -> None:
    verify(sas.sign(DEVICE, KEY, EXPIRY) + f"&se={EXPIRY}")


@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(SasError) as caught:
        verify(f"SharedAccessSignature {text}")
    assert caught.value.reason in (SasReason.MALFORMED, SasReason.WRONG_SIGNATURE)


@given(st.text("srigekn=&%2F/ax", max_size=60))
def test_fields_that_nobody_signed_never_verify(text: str) -> None:
    with pytest.raises(SasError):
        verify(f"SharedAccessSignature sr=h&sig=x&se={EXPIRY}&{text}")


def test_the_signature_is_not_in_the_repr() -> None:
    token = sas.parse(sas.sign(DEVICE, KEY, EXPIRY))
    assert token.signature not in repr(token)


@pytest.mark.parametrize(
    ("text", "resource", "policy"),
    [
        (f"HostName=h;DeviceId=d;SharedAccessKey={KEY}", "h/devices/d", None),
        (f"HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey={KEY};GatewayHostName=g", "h/devices/d/modules/m", None),
        (f"HostName=h;SharedAccessKeyName=service;SharedAccessKey={KEY}", "h", "service"),
    ],
)
def test_token_for_signs_what_a_connection_string_names(text: str, resource: str, policy: str | None) -> None:
    token = sas.parse(sas.token_for(ConnectionString.parse(text), 1000.9, ttl_s=60))
    sas.verify(token, resource=resource, keys=[KEY], now=1000)
    assert (token.resource, token.expiry, token.policy) == (resource, 1060, policy)


def test_token_for_needs_a_key() -> None:
    with pytest.raises(SasError, match="present the certificate"):
        sas.token_for(ConnectionString.parse("HostName=h;DeviceId=d;x509=true"), 0)


def test_a_key_that_is_not_base64_is_not_repeated() -> None:
    with pytest.raises(SasError) as caught:
        sas.sign("h", "my secret", 1)
    assert "my secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("SharedAccessSignature sr=h&sig=a%2Bb%3D&se=1", "SharedAccessSignature sr=h&sig=…&se=1"),
        ("HostName=h;DeviceId=d;SharedAccessKey=YQ==", "HostName=h;DeviceId=d;SharedAccessKey=…"),
        ("id 'sig=YQ==' is not allowed", "id 'sig=…' is not allowed"),
        ("h/d/?api-version=1", "h/d/?api-version=1"),
    ],
)
def test_secrets_in_a_text_for_the_log_are_left_out(text: str, fit: str) -> None:
    assert sas.without_secrets(text) == fit
