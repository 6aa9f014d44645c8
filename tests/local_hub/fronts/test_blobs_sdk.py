"""azure-storage-blob, unmodified, against the hub's blob endpoint."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobServiceClient,
    BlobType,
    ContainerClient,
    ContentSettings,
    generate_account_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobClient as AsyncBlobClient

from local_hub.environment import hub_environment

pytestmark = pytest.mark.acceptance

MIB = 1024 * 1024


@pytest.fixture
def service(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobServiceClient]:
    """The account, by its key."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    text = hub_environment(hub.home)["IOTHUB_STORAGE_CONNECTION_STRING"]
    with BlobServiceClient.from_connection_string(text) as client:
        yield client


@pytest.fixture
def container(service: BlobServiceClient) -> Iterator[ContainerClient]:
    """A container of the test's own."""
    created = service.create_container(f"c-{uuid.uuid4().hex[:12]}", metadata={"Why": "a test"})
    yield created
    created.delete_container()


@pytest.fixture
def blob(container: ContainerClient) -> BlobClient:
    """A blob that is not there yet, with a name that needs encoding."""
    return container.get_blob_client("dir one/ü+b%.bin")


def code(error: pytest.ExceptionInfo[HttpResponseError]) -> str:
    found = getattr(error.value, "error_code", None)
    return str(getattr(found, "value", found))


# -- blobs


def test_what_was_put_comes_back_with_all_that_was_said_of_it(blob: BlobClient) -> None:
    settings = ContentSettings(
        content_type="text/plain",
        content_encoding="gzip",
        content_language="de",
        content_disposition="attachment",
        cache_control="no-store",
    )
    answer = blob.upload_blob(b"hello", content_settings=settings, metadata={"Room": "1"})
    found = blob.get_blob_properties()
    assert (found.size, found.etag, found.metadata) == (5, answer["etag"], {"Room": "1"})
    assert found.blob_type is BlobType.BLOCKBLOB
    said = found.content_settings
    assert (said.content_type, said.content_encoding, said.content_language) == ("text/plain", "gzip", "de")
    assert (said.content_disposition, said.cache_control) == ("attachment", "no-store")
    assert bytes(said.content_md5 or b"") == hashlib.md5(b"hello").digest()
    assert blob.download_blob(decompress=False).readall() == b"hello"
    assert blob.exists()


def test_an_empty_blob_is_one_too(blob: BlobClient) -> None:
    blob.upload_blob(b"")
    assert (blob.download_blob().readall(), blob.get_blob_properties().size) == (b"", 0)


@pytest.mark.parametrize("options", [{}, {"max_concurrency": 4}])
def test_large_blobs_go_in_blocks_and_come_back_in_ranges(
    service: BlobServiceClient, container: ContainerClient, options: dict[str, Any]
) -> None:
    data = os.urandom(10 * MIB + 3)
    with BlobClient(
        service.url,
        container.container_name,
        "big",
        credential=service.credential,
        max_single_put_size=MIB,
        max_block_size=3 * MIB,
        max_single_get_size=2 * MIB,
        max_chunk_get_size=MIB,
    ) as blob:
        blob.upload_blob(data, **options)
        assert blob.download_blob(**options).readall() == data
        assert blob.download_blob(offset=3 * MIB - 1, length=2).readall() == data[3 * MIB - 1 : 3 * MIB + 1]
        committed, uncommitted = blob.get_block_list("all")
    assert ([block.size for block in committed], uncommitted) == ([3 * MIB] * 3 + [MIB + 3], [])


async def test_the_async_client_uploads_and_downloads(hub: Any, blob: BlobClient) -> None:
    async with AsyncBlobClient(
        blob.url.partition("/edgeyard")[0] + "/edgeyard",
        blob.container_name,
        blob.blob_name,
        credential={"account_name": "edgeyard", "account_key": blob.credential.account_key},
        connection_verify=str(hub.ca_file),
        max_single_put_size=MIB,
        max_block_size=MIB,
    ) as client:
        data = os.urandom(3 * MIB)
        await client.upload_blob(data)
        assert await (await client.download_blob()).readall() == data


def test_blocks_may_be_committed_in_any_order_and_used_again(blob: BlobClient) -> None:
    for name in ("a", "b", "c"):
        blob.stage_block(name, name.encode() * 2)
    blob.commit_block_list([BlobBlock("b"), BlobBlock("a"), BlobBlock("b")])
    assert blob.download_blob().readall() == b"bbaabb"
    assert blob.get_block_list("uncommitted") == ([], [])
    blob.stage_block("d", b"dd")
    blob.commit_block_list([BlobBlock("a"), BlobBlock("d")])
    assert blob.download_blob().readall() == b"aadd"


def test_a_block_that_was_never_put_cannot_be_committed(blob: BlobClient) -> None:
    with pytest.raises(HttpResponseError) as caught:
        blob.commit_block_list([BlobBlock("nowhere")])
    assert code(caught) == "InvalidBlockList"


def test_block_ids_have_one_length(blob: BlobClient) -> None:
    blob.stage_block("a", b"x")
    with pytest.raises(HttpResponseError) as caught:
        blob.stage_block("longer", b"x")
    assert code(caught) == "InvalidBlobOrBlock"


def test_contents_are_checked_both_ways(blob: BlobClient) -> None:
    data = os.urandom(MIB)
    blob.upload_blob(data, validate_content=True)
    assert blob.download_blob(validate_content=True).readall() == data


def test_only_wanted_blobs_are_overwritten(blob: BlobClient) -> None:
    blob.upload_blob(b"1")
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"2")
    blob.upload_blob(b"3", overwrite=True)
    assert blob.download_blob().readall() == b"3"


def test_conditions_go_by_the_etag(blob: BlobClient) -> None:
    first = blob.upload_blob(b"1")["etag"]
    second = blob.upload_blob(b"2", overwrite=True)["etag"]
    assert first != second
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"3", overwrite=True, etag=first, match_condition=MatchConditions.IfNotModified)
    blob.upload_blob(b"4", overwrite=True, etag=second, match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        blob.delete_blob(etag=first, match_condition=MatchConditions.IfNotModified)


def test_conditions_go_by_the_time_too(blob: BlobClient) -> None:
    blob.upload_blob(b"1")
    yesterday, tomorrow = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    assert blob.download_blob(if_modified_since=yesterday).readall() == b"1"
    with pytest.raises(HttpResponseError) as caught:
        blob.download_blob(if_modified_since=tomorrow)
    assert caught.value.status_code == 304
    with pytest.raises(ResourceModifiedError):
        blob.get_blob_properties(if_unmodified_since=yesterday)


def test_properties_and_metadata_are_changed_all_at_once(blob: BlobClient) -> None:
    blob.upload_blob(b"1", content_settings=ContentSettings(content_language="de"), metadata={"a": "1"})
    blob.set_http_headers(ContentSettings(content_type="text/plain"))
    blob.set_blob_metadata({"b": "2"})
    found = blob.get_blob_properties()
    assert (found.content_settings.content_type, found.content_settings.content_language) == ("text/plain", None)
    assert found.metadata == {"b": "2"}


def test_a_deleted_blob_is_gone(blob: BlobClient) -> None:
    blob.upload_blob(b"1")
    blob.delete_blob(delete_snapshots="include")
    assert not blob.exists()
    with pytest.raises(ResourceNotFoundError) as caught:
        blob.download_blob()
    assert code(caught) == "BlobNotFound"


def test_a_range_beyond_the_end_is_refused(blob: BlobClient) -> None:
    blob.upload_blob(b"12345")
    with pytest.raises(HttpResponseError) as caught:
        blob.download_blob(offset=5, length=1)
    assert (caught.value.status_code, code(caught)) == (416, "InvalidRange")


# -- containers


def test_blobs_are_listed_in_pages_in_groups_and_by_prefix(container: ContainerClient) -> None:
    for name in ("a", "b/1", "b/2", "c", "ü & <d>"):
        container.upload_blob(name, b"x", metadata={"n": "1"})
    assert [blob.name for blob in container.list_blobs()] == ["a", "b/1", "b/2", "c", "ü & <d>"]
    pages = [[blob.name for blob in page] for page in container.list_blobs(results_per_page=2).by_page()]
    assert pages == [["a", "b/1"], ["b/2", "c"], ["ü & <d>"]]
    assert [blob.name for blob in container.list_blobs(name_starts_with="b/")] == ["b/1", "b/2"]
    # The client puts groups first.
    assert [blob.name for blob in container.walk_blobs()] == ["b/", "a", "c", "ü & <d>"]
    [first, *_] = container.list_blobs(include=["metadata"])
    assert (first.size, first.metadata, first.blob_type) == (1, {"n": "1"}, "BlockBlob")


def test_containers_are_found_described_and_listed(service: BlobServiceClient, container: ContainerClient) -> None:
    assert container.exists()
    assert container.get_container_properties().metadata == {"Why": "a test"}
    container.set_container_metadata({"b": "2"})
    [found] = service.list_containers(name_starts_with=container.container_name, include_metadata=True)
    assert found.metadata == {"b": "2"}
    with pytest.raises(ResourceExistsError):
        container.create_container()


def test_a_container_that_is_not_there(service: BlobServiceClient) -> None:
    missing = service.get_container_client("no-such-one")
    assert not missing.exists()
    with pytest.raises(ResourceNotFoundError) as caught:
        missing.upload_blob("a", b"x")
    assert code(caught) == "ContainerNotFound"


# -- signatures


def test_a_container_s_signature_reads_and_lists_it(hub: Any, service: BlobServiceClient, container: Any) -> None:
    container.upload_blob("a", b"x")
    token = generate_container_sas(
        str(service.account_name),
        container.container_name,
        account_key=service.credential.account_key,
        permission="rl",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    with ContainerClient(service.url, container.container_name, credential=token) as client:
        assert [client.download_blob(found.name).readall() for found in client.list_blobs()] == [b"x"]
        with pytest.raises(HttpResponseError) as caught:
            client.upload_blob("b", b"x")
    assert code(caught) == "AuthorizationPermissionMismatch"


def test_create_does_not_mean_overwrite(service: BlobServiceClient, container: ContainerClient) -> None:
    token = generate_container_sas(
        str(service.account_name),
        container.container_name,
        account_key=service.credential.account_key,
        permission="c",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    with ContainerClient(service.url, container.container_name, credential=token) as client:
        client.upload_blob("a", b"1")
        with pytest.raises(HttpResponseError) as caught:
            client.upload_blob("a", b"2", overwrite=True)
    assert code(caught) == "AuthorizationPermissionMismatch"


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_account_s_signature_holds_until_it_expires(service: BlobServiceClient, hours: int) -> None:
    token = generate_account_sas(
        str(service.account_name),
        service.credential.account_key,
        resource_types="s",
        permission="l",
        expiry=datetime.now(UTC) + timedelta(hours=hours),
    )
    with BlobServiceClient(service.url, credential=token) as client:
        if hours > 0:
            assert "device-files" in [found.name for found in client.list_containers()]
        else:
            with pytest.raises(ClientAuthenticationError):
                list(client.list_containers())


def test_a_wrong_key_is_refused(service: BlobServiceClient) -> None:
    wrong = {"account_name": str(service.account_name), "account_key": "d3Jvbmc="}
    with BlobServiceClient(service.url, credential=wrong) as client, pytest.raises(ClientAuthenticationError):
        list(client.list_containers())


# -- what is not built


@pytest.mark.parametrize(
    ("attempt", "feature"),
    [
        (lambda blob: blob.create_append_blob(), "append blobs"),
        (lambda blob: blob.create_page_blob(512), "page blobs"),
        (lambda blob: blob.acquire_lease(), "leases"),
        (lambda blob: blob.create_snapshot(), "snapshots"),
        (lambda blob: blob.set_blob_tags({"a": "b"}), "tags"),
        (lambda blob: blob.upload_blob(b"x", overwrite=True, tags={"a": "b"}), "tags"),
        (lambda blob: blob.set_standard_blob_tier("Cool"), "tiers"),
        (lambda blob: blob.start_copy_from_url("https://elsewhere/blob"), "copies"),
    ],
)
def test_what_is_not_built_is_refused_by_name(blob: BlobClient, attempt: Any, feature: str) -> None:
    blob.upload_blob(b"x")
    with pytest.raises(HttpResponseError, match=feature) as caught:
        attempt(blob)
    assert (caught.value.status_code, code(caught)) == (501, "NotImplemented")
