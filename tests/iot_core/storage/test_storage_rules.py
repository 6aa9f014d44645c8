"""Names, metadata, ranges, checksums and connection strings of the blob service."""

from __future__ import annotations

import base64

import pytest

from iot_core.errors import ConnectionStringError, InputError
from iot_core.storage.account import EMULATOR, StorageAccount
from iot_core.storage.crc64 import Crc64
from iot_core.storage.names import check_blob_name, check_block_id, check_container_name, metadata_from
from iot_core.storage.ranges import requested
from iot_core.storage.refusals import StorageRefusal, refused

KEY = "c2VjcmV0"


@pytest.mark.parametrize("name", ["abc", "device-files", "a1b", "x" * 63])
def test_container_names(name: str) -> None:
    assert check_container_name(name) == name


@pytest.mark.parametrize("name", ["ab", "-abc", "abc-", "a--b", "Abc", "a_b", "x" * 64, "..", "$root", "a/b"])
def test_what_cannot_name_a_container(name: str) -> None:
    with pytest.raises(StorageRefusal, match="InvalidResourceName"):
        check_container_name(name)


@pytest.mark.parametrize("name", ["a", "d/ü b%.txt", "x" * 1024, "..", "a//b"])
def test_blob_names(name: str) -> None:
    assert check_blob_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 1025, "a/" * 255, "a\0b", "a\nb", "\ufffe"])
def test_what_cannot_name_a_blob(name: str) -> None:
    with pytest.raises(StorageRefusal, match="InvalidResourceName"):
        check_blob_name(name)


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"x" * 65).decode()])
def test_block_ids_are_base64_of_64_bytes_at_most(text: str) -> None:
    assert check_block_id(base64.b64encode(b"x" * 64).decode())
    with pytest.raises(StorageRefusal, match="InvalidBlockId"):
        check_block_id(text)


def test_metadata_keeps_the_case_of_its_names() -> None:
    assert metadata_from([("X-Ms-Meta-Room", "1"), ("Content-Type", "x")]) == {"Room": "1"}


@pytest.mark.parametrize(("name", "value"), [("a-b", "1"), ("1a", "1"), ("", "1"), ("a", "b\x01")])
def test_metadata_has_names_of_identifiers_and_printable_values(name: str, value: str) -> None:
    with pytest.raises(StorageRefusal, match="InvalidMetadata"):
        metadata_from([(f"x-ms-meta-{name}", value)])


def test_metadata_has_8_kib_at_most() -> None:
    with pytest.raises(StorageRefusal, match="MetadataTooLarge"):
        metadata_from([("x-ms-meta-a", "x" * 8192)])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bytes=0-", range(10)),
        ("bytes=2-4", range(2, 5)),
        ("bytes=9-100", range(9, 10)),
        (None, None),
        ("bytes=-3", None),
        ("bytes=4-2", None),
        ("bytes=1-2,4-5", None),
        ("lines=1-2", None),
    ],
)
def test_ranges(text: str | None, wanted: range | None) -> None:
    assert requested(text, 10) == wanted


@pytest.mark.parametrize(("text", "size"), [("bytes=10-", 10), ("bytes=0-1", 0)])
def test_a_range_must_begin_inside(text: str, size: int) -> None:
    with pytest.raises(StorageRefusal, match="InvalidRange"):
        requested(text, size)


def test_the_crc64_of_the_catalogue() -> None:
    crc = Crc64()
    crc.update(b"12345")
    crc.update(b"6789")
    assert crc.digest() == 0xAE8B14860A799888.to_bytes(8, "little")


def test_a_connection_string_gives_the_account_and_its_endpoint() -> None:
    account = StorageAccount.parse(f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={KEY}")
    assert (account.name, account.blob_endpoint) == ("acct", "https://acct.blob.core.windows.net")
    assert account.host_name == "acct.blob.core.windows.net"
    assert KEY not in repr(account)


def test_an_endpoint_may_be_given() -> None:
    text = f"AccountName=acct;AccountKey={KEY};BlobEndpoint=https://localhost:10000/acct/"
    assert StorageAccount.parse(text).host_name == "localhost:10000/acct"
    assert StorageAccount.parse(str(StorageAccount.parse(text))) == StorageAccount.parse(text)


def test_the_emulator_has_a_short_form() -> None:
    assert StorageAccount.parse(EMULATOR).blob_endpoint == "http://127.0.0.1:10000/devstoreaccount1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "AccountName"),
        ("AccountName=acct", "AccountKey"),
        ("AccountName=Big_Name;AccountKey=c2VjcmV0", "AccountName"),
        ("AccountName=acct;AccountKey=%%%", "not base64"),
        ("AccountName=acct;AccountKey=c2VjcmV0;BlobEndpoint=ftp://x", "BlobEndpoint"),
        ("nonsense", "'='"),
    ],
)
def test_a_connection_string_that_cannot_be_used_says_why_without_its_key(text: str, said: str) -> None:
    with pytest.raises(ConnectionStringError) as caught:
        StorageAccount.parse(text)
    assert said in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_only_known_codes_can_refuse() -> None:
    with pytest.raises(InputError):
        refused("NoSuchCode")
