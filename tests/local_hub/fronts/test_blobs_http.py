"""The blob endpoint below any SDK: what requests must be like, and how refusals look."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from yarl import URL

from iot_core.storage.account import StorageAccount
from iot_core.storage.crc64 import Crc64
from local_hub.environment import hub_environment
from tests.local_hub.http_sessions import http_session

Call = Callable[..., Awaitable["Answered"]]
PUT = {"x-ms-blob-type": "BlockBlob"}


class Answered:
    """A status, headers (names in any case) and the body's bytes."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def error(self) -> tuple[int, str | None]:
        return self.status, self.headers.get("x-ms-error-code")


@pytest.fixture
def account(hub: Any) -> StorageAccount:
    return StorageAccount.parse(hub_environment(hub.home)["IOTHUB_STORAGE_CONNECTION_STRING"])


@pytest.fixture
async def http(hub: Any, account: StorageAccount) -> AsyncIterator[Call]:
    """Calls "container/blob" with an account SAS that allows everything; ``query`` begins with ``&``."""
    fields = {
        "sp": "rwdlc",
        "ss": "b",
        "srt": "sco",
        "st": "",
        "se": "2100-01-01",
        "sip": "",
        "spr": "",
        "sv": "2020-08-04",
    }
    signed = account.signature("\n".join([account.name, *fields.values(), ""]))
    token = "&".join(f"{name}={value}" for name, value in fields.items() if value)
    token += "&sig=" + signed.replace("+", "%2B").replace("/", "%2F")
    tls: ssl.SSLContext = hub.tls
    async with http_session(auto_decompress=False) as session:

        async def call(
            verb: str, path: str, data: Any = None, *, query: str = "", sas: str | None = None, **headers: str
        ) -> Answered:
            url = URL(f"{account.blob_endpoint}/{path}?{token if sas is None else sas}{query}", encoded=True)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.request(verb, url, data=data, headers=sent, ssl=tls) as reply:
                return Answered(reply.status, reply.headers, await reply.read())

        yield call


@pytest.fixture
def name() -> str:
    return f"device-files/{uuid.uuid4().hex}"


async def test_every_answer_has_the_headers_of_the_service(http: Call, name: str) -> None:
    answer = await http("PUT", name, b"x", **PUT, x_ms_version="2021-08-06", x_ms_client_request_id="mine")
    assert answer.status == 201
    assert (answer.headers["x-ms-version"], answer.headers["x-ms-client-request-id"]) == ("2021-08-06", "mine")
    assert uuid.UUID(answer.headers["x-ms-request-id"])
    assert answer.headers["x-ms-request-server-encrypted"] == "true"
    assert base64.b64decode(answer.headers["Content-MD5"]) == hashlib.md5(b"x").digest()


async def test_a_refusal_has_its_code_in_a_header_and_in_xml(http: Call) -> None:
    answer = await http("GET", "device-files/nowhere")
    root = ElementTree.fromstring(answer.body)
    assert (root.tag, root.findtext("Code")) == ("Error", "BlobNotFound")
    message = (root.findtext("Message") or "").split("\n")
    assert message[0] == "The specified blob does not exist."
    assert message[1] == f"RequestId:{answer.headers['x-ms-request-id']}"
    assert answer.error == (404, "BlobNotFound")


async def test_metadata_is_told_of_a_blob_and_of_a_container(http: Call, name: str) -> None:
    await http("PUT", name, b"x", **PUT, x_ms_meta_Room="1")
    blob = await http("GET", name, query="&comp=metadata")
    container = await http("HEAD", name.partition("/")[0], query="&restype=container&comp=metadata")
    assert (blob.status, blob.headers["x-ms-meta-Room"], blob.body) == (200, "1", b"")
    assert (container.status, "ETag" in container.headers) == (200, True)


async def test_head_is_refused_without_a_body(http: Call) -> None:
    answer = await http("HEAD", "device-files/nowhere")
    assert (answer.error, answer.body) == ((404, "BlobNotFound"), b"")


async def test_nobody_gets_in_without_a_signature(http: Call, name: str) -> None:
    await http("PUT", name, b"x", **PUT)
    assert (await http("GET", name, sas="")).error == (401, "NoAuthenticationInformation")
    assert (await http("GET", name, sas="sig=x")).error == (403, "AuthenticationFailed")
    assert (await http("GET", name, sas="", Authorization="Bearer x")).error == (403, "AuthenticationFailed")


@pytest.mark.parametrize("header", ["Content_MD5", "x_ms_content_crc64"])
async def test_a_body_must_be_what_its_checksum_says(http: Call, name: str, header: str) -> None:
    data = b"x" * 300_000
    crc = Crc64()
    crc.update(data)
    right = hashlib.md5(data).digest() if header == "Content_MD5" else crc.digest()
    wrong = bytes(len(right))
    refused = await http("PUT", name, data, **PUT, **{header: base64.b64encode(wrong).decode()})
    assert refused.error[1] in ("Md5Mismatch", "Crc64Mismatch")
    assert (await http("GET", name)).status == 404
    taken = await http("PUT", name, data, **PUT, **{header: base64.b64encode(right).decode()})
    assert taken.status == 201
    assert taken.headers[header.replace("_", "-")] == base64.b64encode(right).decode()


@pytest.mark.parametrize(("header", "code"), [("Content_MD5", "InvalidMd5"), ("x_ms_content_crc64", "InvalidCrc64")])
async def test_a_checksum_must_be_one(http: Call, name: str, header: str, code: str) -> None:
    assert (await http("PUT", name, b"x", **PUT, **{header: "eA=="})).error == (400, code)


async def test_a_body_needs_a_length(http: Call, name: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    assert (await http("PUT", name, pieces(), **PUT)).error == (411, "MissingContentLengthHeader")


async def test_a_body_too_large_is_refused_before_it_is_read(http: Call) -> None:
    big = str(5000 * 1024 * 1024 + 1)
    answer = await http("PUT", "device-files/big", None, **PUT, Content_Length=big)
    assert answer.error == (413, "RequestBodyTooLarge")


async def test_a_client_that_goes_away_leaves_nothing(
    hub: Any, account: StorageAccount, http: Call, eventually: Any
) -> None:
    folder = hub.home / "hub" / "blobs"
    before = set(folder.iterdir())
    received = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        received.set()
        await asyncio.Event().wait()

    upload = asyncio.ensure_future(http("PUT", "device-files/cut", pieces(), **PUT, Content_Length="1000000"))
    await received.wait()

    async def begun() -> bool:
        return set(folder.iterdir()) != before

    async def cleared() -> bool:
        return set(folder.iterdir()) == before

    await eventually(begun)
    upload.cancel()
    await eventually(cleared)
    assert (await http("GET", "device-files/cut")).error == (404, "BlobNotFound")


async def test_an_encryption_algorithm_without_a_key_asks_for_nothing(http: Call, name: str) -> None:
    assert (await http("PUT", name, b"x", **PUT, x_ms_encryption_algorithm="AES256")).status == 201
    refused = await http("PUT", name, b"x", **PUT, x_ms_encryption_algorithm="AES256", x_ms_encryption_key="a2V5")
    assert refused.error == (501, "NotImplemented")


async def test_a_client_may_wait_to_be_asked_for_its_body(http: Call, name: str) -> None:
    assert (await http("PUT", name, b"x", **PUT, Expect="100-continue")).status == 201
    assert (await http("GET", name)).body == b"x"


async def test_a_body_is_kept_as_it_comes_whatever_its_encoding(http: Call, name: str) -> None:
    data = gzip.compress(b"hello")
    await http("PUT", name, data, **PUT, Content_Encoding="gzip", Content_Type="text/plain")
    answer = await http("GET", name)
    assert (answer.body, answer.headers["Content-Encoding"]) == (data, "gzip")
    assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, (400, "MissingRequiredHeader")),
        ({"x-ms-blob-type": "Blob"}, (400, "InvalidHeaderValue")),
        ({"x-ms-blob-type": "AppendBlob"}, (501, "NotImplemented")),
        ({"x-ms-blob-type": "PageBlob"}, (501, "NotImplemented")),
        ({**PUT, "x-ms-meta-a-b": "1"}, (400, "InvalidMetadata")),
        ({**PUT, "x-ms-meta-a": "x" * 4100, "x-ms-meta-b": "x" * 4100}, (400, "MetadataTooLarge")),
        ({**PUT, "x-ms-structured-body": "XSM/1.0; properties=crc64"}, (501, "NotImplemented")),
        ({**PUT, "x-ms-lease-id": str(uuid.uuid4())}, (412, "LeaseNotPresentWithBlobOperation")),
        ({**PUT, "If-Modified-Since": "yesterday"}, (400, "InvalidHeaderValue")),
    ],
)
async def test_headers_that_make_no_blob(
    http: Call, name: str, headers: dict[str, str], error: tuple[int, str]
) -> None:
    await http("PUT", name, b"before", **PUT)
    assert (await http("PUT", name, b"x", **headers)).error == error
    assert (await http("GET", name)).body == b"before"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "InvalidXmlDocument"),
        (b"<BlockList><Other>YQ==</Other></BlockList>", "InvalidXmlDocument"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><BlockList/>", "InvalidXmlDocument"),
        (b"<BlockList><Latest>?</Latest></BlockList>", "InvalidBlockId"),
        (b"<BlockList><Committed>YQ==</Committed></BlockList>", "InvalidBlockList"),
        (b"<BlockList>" + b"<Latest>YQ==</Latest>" * 50_001 + b"</BlockList>", "BlockListTooLong"),
    ],
    ids=["empty", "tag", "entities", "id", "missing", "long"],
)
async def test_a_block_list_must_be_one(http: Call, name: str, body: bytes, code: str) -> None:
    await http("PUT", name, b"x", query="&comp=block&blockid=YQ%3D%3D")
    assert (await http("PUT", name, io.BytesIO(body), query="&comp=blocklist")).error == (400, code)


@pytest.mark.parametrize(
    ("verb", "path", "query", "error"),
    [
        ("GET", "", "", (501, "NotImplemented")),
        ("GET", "device-files", "", (400, "InvalidUri")),
        ("GET", "Device_Files/a", "", (400, "InvalidResourceName")),
        ("GET", "device-files/a%00", "", (400, "InvalidResourceName")),
        ("POST", "device-files/a", "", (405, "UnsupportedHttpVerb")),
        ("GET", "device-files/a", "&comp=nonsense", (400, "InvalidQueryParameterValue")),
        ("GET", "device-files/a", "&comp=tags", (501, "NotImplemented")),
        ("GET", "device-files/a", "&snapshot=2026", (501, "NotImplemented")),
        ("GET", "device-files/a", "&comp=metadata&comp=metadata", (400, "InvalidQueryParameterValue")),
        ("GET", "device-files", "&restype=container&comp=list&maxresults=0", (400, "OutOfRangeQueryParameterValue")),
        ("GET", "device-files", "&restype=container&comp=list&marker=%25", (400, "InvalidQueryParameterValue")),
        ("PUT", "device-files/a", "&comp=block&blockid=", (400, "InvalidBlockId")),
    ],
)
async def test_addresses_that_name_nothing(
    http: Call, verb: str, path: str, query: str, error: tuple[int, str]
) -> None:
    assert (await http(verb, path, query=query)).error == error


async def test_ranges_may_be_asked_for_with_their_checksum(http: Call, name: str) -> None:
    await http("PUT", name, b"0123456789", **PUT)
    answer = await http("GET", name, x_ms_range="bytes=2-4", x_ms_range_get_content_md5="true")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert base64.b64decode(answer.headers["Content-MD5"]) == hashlib.md5(b"234").digest()
    whole = base64.b64decode(answer.headers["x-ms-blob-content-md5"])
    assert whole == hashlib.md5(b"0123456789").digest()


async def test_head_tells_the_size_and_sends_nothing(http: Call, name: str) -> None:
    await http("PUT", name, b"0123456789", **PUT)
    answer = await http("HEAD", name)
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "10", b"")


async def test_what_is_as_the_client_has_it_is_not_sent_again(http: Call, name: str) -> None:
    etag = (await http("PUT", name, b"x", **PUT)).headers["ETag"]
    answer = await http("GET", name, If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")


async def test_the_signature_may_set_headers_of_the_answer(http: Call, name: str, account: StorageAccount) -> None:
    await http("PUT", name, b"x", **PUT)
    container, _, blob = name.partition("/")
    resource = f"/blob/{account.name}/{container}/{blob}"
    text = "\n".join(["r", "", "2100-01-01", resource, "", "", "", "2018-03-28", "", "", "", "", "text/html"])
    signature = account.signature(text).replace("+", "%2B").replace("/", "%2F")
    sas = f"sp=r&se=2100-01-01&sv=2018-03-28&sr=b&rsct=text/html&sig={signature}"
    assert (await http("GET", name, sas=sas)).headers["Content-Type"] == "text/html"


async def test_the_rest_api_is_still_there(rest: Any) -> None:
    assert (await rest.call("GET", "/edgeyards/x")).status == 404
    assert (await rest.call("GET", "/statistics/devices")).status == 200


@pytest.mark.parametrize(
    ("kind", "error"), [("throttle", (503, "ServerBusy")), ("refuse", (403, "AuthenticationFailed"))]
)
async def test_a_fault_of_a_device_strikes_its_blobs(http: Call, fault: Any, kind: str, error: tuple[int, str]) -> None:
    device_id = f"d-{uuid.uuid4().hex[:8]}"
    await fault(kind, device_id)
    assert (await http("PUT", f"device-files/{device_id}/a", b"x", **PUT)).error == error
    assert (await http("PUT", f"device-files/other-{device_id}/a", b"x", **PUT)).status == 201


@pytest.mark.parametrize("kind", ["drop", "disconnect"])
async def test_a_blob_that_a_fault_takes_away_ends_the_connection(http: Call, fault: Any, kind: str) -> None:
    device_id = f"d-{uuid.uuid4().hex[:8]}"
    await fault(kind, device_id, forSeconds=60)
    with pytest.raises(aiohttp.ClientConnectionError):
        await http("GET", f"device-files/{device_id}/a")
