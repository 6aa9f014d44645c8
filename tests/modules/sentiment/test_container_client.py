"""The client finds out by itself which API a container has, and again when that may have changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from modules.sentiment.api import Answers, Document
from modules.sentiment.container import (
    LONGEST_RETRY_AFTER_S,
    Container,
    ContainerRefusedError,
    ContainerUnavailableError,
)

V2, V30, V31 = (f"/text/analytics/{name}/sentiment" for name in ("v2.0", "v3.0", "v3.1"))
LANGUAGE = "/language/:analyze-text"
GOOD = [Document(id="0", text="good", language="en")]


@pytest.fixture
async def client() -> AsyncIterator[Container]:
    async with Container() as made:
        yield made


async def asked(client: Container, container: Any) -> str:
    return (await client.ask_version(container.endpoint)).name


async def judge(client: Container, container: Any) -> Answers:
    return await client.verdicts(container.endpoint, await client.ask_version(container.endpoint), GOOD)


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        ((V2,), "v2.0"),
        ((V30,), "v3.0"),
        ((V2, V30, V31), "v3.1"),
        ((V31, LANGUAGE), "2022-05-01"),
    ],
)
async def test_the_newest_api_is_used(client: Container, container: Any, paths: tuple[str, ...], name: str) -> None:
    container.paths = paths
    assert await asked(client, container) == name
    assert (await judge(client, container)).verdicts["0"].score == pytest.approx(0.9)
    assert container.asked == [paths[-1]]


async def test_a_newer_api_version_is_preferred(client: Container, container: Any) -> None:
    container.paths, container.api_versions = (LANGUAGE,), ("2022-05-01", "2023-04-01")
    assert await asked(client, container) == "2023-04-01"


async def test_a_container_that_was_replaced_is_asked_again(client: Container, container: Any) -> None:
    container.paths = (V31,)
    version = await client.ask_version(container.endpoint)
    container.paths = (V2,)
    with pytest.raises(ContainerUnavailableError, match="asked again"):
        await client.verdicts(container.endpoint, version, GOOD)
    assert client.version is None
    assert await asked(client, container) == "v2.0"


async def test_after_an_outage_it_is_asked_again(client: Container, container: Any) -> None:
    await judge(client, container)
    container.answers = [web.Response(status=503)]
    with pytest.raises(ContainerUnavailableError):
        await judge(client, container)
    container.paths = (V2, V31)
    assert await asked(client, container) == "v3.1"


async def test_something_else_at_the_address_is_said_so(client: Container, container: Any) -> None:
    container.paths = ()
    with pytest.raises(ContainerUnavailableError, match=r"no sentiment API from v2\.0 on: check the address"):
        await client.ask_version(container.endpoint)


async def test_nobody_at_the_address_is_unavailable(client: Container) -> None:
    with pytest.raises(ContainerUnavailableError, match=r"no answer from the container at http://127\.91\.7\.9:9"):
        await client.ask_version("http://127.91.7.9:9")
    assert not await client.ready("http://127.91.7.9:9")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("soon", 0), ("100000", LONGEST_RETRY_AFTER_S), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
async def test_retry_after_is_read(client: Container, container: Any, header: str, seconds: float) -> None:
    container.answers = [web.Response(status=429, headers={"Retry-After": header})]
    with pytest.raises(ContainerUnavailableError) as caught:
        await judge(client, container)
    assert caught.value.retry_after_s == seconds


async def test_retry_after_may_be_a_date(client: Container, container: Any) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    container.answers = [web.Response(status=503, headers={"Retry-After": date})]
    with pytest.raises(ContainerUnavailableError) as caught:
        await judge(client, container)
    assert 50 < caught.value.retry_after_s <= 60


async def test_a_refusal_carries_the_containers_own_code(client: Container, container: Any) -> None:
    error = {"error": {"code": "InvalidRequest", "innererror": {"code": "InvalidDocumentBatch", "message": "too many"}}}
    container.answers = [web.json_response(error, status=400)]
    with pytest.raises(ContainerRefusedError, match="too many") as caught:
        await judge(client, container)
    assert caught.value.code == "InvalidDocumentBatch"


@pytest.mark.parametrize("answer", ["<html>", "{}", '{"documents": [{"id": "0", "score": true}], "errors": []}'])
async def test_an_answer_of_another_shape_is_no_answer(client: Container, container: Any, answer: str) -> None:
    container.answers = [web.Response(text=answer)]
    with pytest.raises(ContainerUnavailableError, match="does not answer like a sentiment container"):
        await judge(client, container)
