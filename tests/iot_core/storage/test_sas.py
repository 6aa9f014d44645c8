"""Shared access signatures, checked against those that azure-storage-blob makes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import generate_account_sas, generate_blob_sas, generate_container_sas

from iot_core.storage import needs
from iot_core.storage.account import StorageAccount
from iot_core.storage.needs import Need
from iot_core.storage.query import parse_query
from iot_core.storage.refusals import StorageRefusal
from iot_core.storage.sas import Resource, blob_sas, read_signature

KEY = "c2VjcmV0IGtleSBieXRlcw=="
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = StorageAccount(name="acct", key=KEY, blob_endpoint="https://localhost/acct")
BLOB = Resource(container="files", blob="d1/a b.txt")
OTHER = Resource(container="files", blob="d1/other.txt")
CONTAINER = Resource(container="files")


def verify(
    token: str,
    resource: Resource = BLOB,
    need: Need = needs.READ,
    *,
    at: datetime = NOW,
    peer: str = "127.0.0.1",
    account: StorageAccount = ACCOUNT,
) -> None:
    signature = read_signature(parse_query(token.removeprefix("?")))
    assert signature is not None
    signature.verify(account, resource, need, now=at.timestamp(), peer=peer)


def refusal(token: str, *arguments: Any, **options: Any) -> str:
    with pytest.raises(StorageRefusal) as caught:
        verify(token, *arguments, **options)
    return caught.value.code


def for_blob(**options: Any) -> str:
    given = {"permission": "rw", "expiry": NOW + timedelta(hours=1), **options}
    return generate_blob_sas("acct", BLOB.container, BLOB.blob, account_key=KEY, **given)


def for_container(**options: Any) -> str:
    given = {"permission": "rl", "expiry": NOW + timedelta(hours=1), **options}
    return generate_container_sas("acct", BLOB.container, account_key=KEY, **given)


def for_account(**options: Any) -> str:
    given = {"resource_types": "sco", "permission": "rwdlc", "expiry": NOW + timedelta(hours=1), **options}
    return generate_account_sas("acct", KEY, **given)


def old(version: str, **options: Any) -> str:
    """What an SDK of that time would have signed: the same fields under another version."""
    fields = parse_query(blob_sas(ACCOUNT, BLOB.container, BLOB.blob, "r", NOW.timestamp() + 60)[1:]) | options
    fields = {**fields, "sv": version}
    signature = read_signature(fields)
    assert signature is not None
    fields["sig"] = ACCOUNT.signature(signature.service_text("acct", BLOB))
    return "&".join(f"{name}={value}" for name, value in fields.items())


def test_a_signature_of_ours_is_taken() -> None:
    token = blob_sas(ACCOUNT, BLOB.container, BLOB.blob, "rw", NOW.timestamp() + 3600)
    assert token.startswith("?sv=2018-03-28&sr=b&sig=")
    verify(token)
    verify(token, need=needs.PUT)


def test_what_the_sdk_signs_for_a_blob_is_taken() -> None:
    verify(for_blob())
    verify(for_blob(start=NOW, protocol="https", content_type="text/plain", cache_control="no-store"))


@pytest.mark.parametrize("version", ["2015-04-05", "2018-03-28", "2018-11-09", "2020-12-06", "2026-10-06"])
def test_every_way_of_signing_since_2015_is_known(version: str) -> None:
    verify(old(version, rsct="text/plain"))


def test_older_ways_are_refused() -> None:
    assert refusal(old("2014-02-14")) == "AuthenticationFailed"


def test_a_signature_is_for_one_blob_one_account_and_one_key() -> None:
    assert refusal(for_blob(), OTHER) == "AuthenticationFailed"
    other_key = StorageAccount(name="acct", key="b3RoZXI=", blob_endpoint=ACCOUNT.blob_endpoint)
    assert refusal(for_blob(), account=other_key) == "AuthenticationFailed"
    other_name = StorageAccount(name="other", key=KEY, blob_endpoint=ACCOUNT.blob_endpoint)
    assert refusal(for_blob(), account=other_name) == "AuthenticationFailed"


@pytest.mark.parametrize(
    ("name", "value"),
    [("sp", "rwd"), ("se", "2036-01-01T00:00:00Z"), ("sv", "2018-11-09"), ("sr", "c"), ("rsct", "text/html")],
)
def test_a_changed_field_breaks_the_signature(name: str, value: str) -> None:
    fields = {**parse_query(for_blob()), name: value}
    changed = "&".join(f"{key}={text}" for key, text in fields.items())
    assert refusal(changed) == "AuthenticationFailed"


def test_it_holds_from_its_start_until_before_its_expiry() -> None:
    token = for_blob(start=NOW)
    assert refusal(token, at=NOW - timedelta(seconds=1)) == "AuthenticationFailed"
    verify(token, at=NOW)
    assert refusal(token, at=NOW + timedelta(hours=1)) == "AuthenticationFailed"


def test_the_permission_must_be_granted() -> None:
    assert refusal(for_blob(), need=needs.DELETE) == "AuthorizationPermissionMismatch"
    assert refusal(for_blob(permission="r"), need=needs.PUT) == "AuthorizationPermissionMismatch"
    verify(for_blob(permission="c"), need=needs.PUT)


def test_a_container_s_signature_is_for_all_of_its_blobs_and_for_listing_them() -> None:
    verify(for_container())
    verify(for_container(), OTHER)
    verify(for_container(), CONTAINER, needs.LIST)
    assert refusal(for_container(), Resource(container="elsewhere", blob="x")) == "AuthenticationFailed"
    assert refusal(for_blob(permission="rl"), CONTAINER, needs.LIST) == "AuthenticationFailed"


def test_no_service_signature_makes_containers() -> None:
    assert refusal(for_container(permission="rwdlc"), CONTAINER, needs.CREATE_CONTAINER) == "AuthorizationFailure"


def test_an_account_s_signature_grants_kinds_of_resources() -> None:
    verify(for_account(), CONTAINER, needs.CREATE_CONTAINER)
    verify(for_account(), Resource(), needs.LIST_CONTAINERS)
    verify(for_account(), BLOB)
    mismatch = "AuthorizationResourceTypeMismatch"
    assert refusal(for_account(resource_types="o"), CONTAINER, needs.CREATE_CONTAINER) == mismatch
    assert refusal(for_account(services="q"), BLOB) == "AuthorizationServiceMismatch"


@pytest.mark.parametrize(("peer", "code"), [("10.0.0.5", None), ("10.0.0.9", None), ("10.0.0.10", "x"), ("::1", "x")])
def test_addresses_may_be_limited(peer: str, code: str | None) -> None:
    token = for_blob(ip="10.0.0.5-10.0.0.9")
    if code is None:
        verify(token, peer=peer)
    else:
        assert refusal(token, peer=peer) == "AuthorizationSourceIPMismatch"


@pytest.mark.parametrize("field", ["si=policy", "skoid=1", "snapshot=2026"])
def test_what_is_not_built_is_refused_by_name(field: str) -> None:
    assert refusal(f"{for_blob()}&{field}") == "NotImplemented"


@pytest.mark.parametrize("missing", ["se", "sp", "sv", "sr"])
def test_a_field_may_not_be_missing(missing: str) -> None:
    fields = parse_query(for_blob())
    text = "&".join(f"{name}={value}" for name, value in fields.items() if name != missing)
    assert refusal(text) == "AuthenticationFailed"


def test_a_field_may_not_come_twice() -> None:
    with pytest.raises(StorageRefusal, match="more than once"):
        verify(f"{for_blob()}&sp=rwd")


def test_refusals_never_hold_the_signature() -> None:
    token = for_blob()
    with pytest.raises(StorageRefusal) as caught:
        verify(token, OTHER)
    said = f"{caught.value}{caught.value.details}"
    assert parse_query(token)["sig"] not in said
    assert KEY not in said
