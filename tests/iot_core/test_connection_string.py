from __future__ import annotations

import pytest

from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError
from iot_core.identity import Identity

KEY = "c2VjcmV0c2VjcmV0c2VjcmV0"

TEXTS = [
    f"HostName=localhost;DeviceId=d1;SharedAccessKey={KEY}",
    f"HostName=localhost:8443;SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}",
    f"HostName=h.azure-devices.net;DeviceId=d1;ModuleId=m1;SharedAccessKey={KEY};GatewayHostName=127.0.0.2",
    f"HostName=h;DeviceId=d1;SharedAccessKeyName=device;SharedAccessKey={KEY}",
    "HostName=h;DeviceId=d1;x509=true",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_comes_back(text: str) -> None:
    assert str(ConnectionString.parse(text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_key_is_not_in_the_repr(text: str) -> None:
    assert KEY not in repr(ConnectionString.parse(text))


def test_order_case_and_space_do_not_matter() -> None:
    text = f" sharedaccesskey={KEY} ; DEVICEID=d1;hostname=h ; "
    assert ConnectionString.parse(text) == ConnectionString(host_name="h", device_id="d1", shared_access_key=KEY)


def test_equals_signs_belong_to_the_value() -> None:
    parsed = ConnectionString.parse("HostName=h;DeviceId=a=b;SharedAccessKey=c2VjcmV0cw==")
    assert (parsed.device_id, parsed.shared_access_key) == ("a=b", "c2VjcmV0cw==")


def test_it_names_an_identity_or_a_policy() -> None:
    assert ConnectionString.parse(TEXTS[2]).identity == Identity("d1", "m1")
    assert ConnectionString.parse(TEXTS[1]).identity is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "HostName is missing"),
        (f"DeviceId=d;SharedAccessKey={KEY}", "HostName is missing"),
        ("HostName=;DeviceId=d;x509=true", "HostName is empty"),
        ("HostName=h/x;DeviceId=d;x509=true", "'h/x' is not a host name"),
        ("HostName=h;DeviceId=d", "either SharedAccessKey or x509=true"),
        (f"HostName=h;DeviceId=d;x509=true;SharedAccessKey={KEY}", "either SharedAccessKey or x509=true"),
        (f"HostName=h;ModuleId=m;SharedAccessKey={KEY}", "DeviceId is missing"),
        (f"HostName=h;SharedAccessKey={KEY}", "SharedAccessKeyName"),
        ("HostName=h;SharedAccessKeyName=service", "SharedAccessKey is missing"),
        ("HostName=h;DeviceId=a/b;x509=true", "device id 'a/b' is not allowed"),
        ("HostName=h;DeviceId=d;SharedAccessKey=%%%", "is not base64"),
        ("HostName=h;DeviceId=d;x509=maybe", "x509 must be true or false"),
        ("HostName=h;HostName=h;DeviceId=d;x509=true", "HostName is given twice"),
        ("HostName=h;Device=d;x509=true", "'Device' is not known"),
        (f"HostName=h;DeviceId=d;{KEY}", "a part without '=' is not known"),
        ("HostName=h;" * 500, "longer than 4096 characters"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_the_key(text: str, message: str) -> None:
    with pytest.raises(ConnectionStringError) as caught:
        ConnectionString.parse(text)
    assert message in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
