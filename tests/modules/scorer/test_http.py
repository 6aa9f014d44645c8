from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator

import numpy as np
import orjson
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer

from modules.scorer.classifier import Classifier
from modules.scorer.http import MAX_BODY, create_http_app
from modules.scorer.photograph import read_photograph
from modules.scorer.samples import sample_paths
from modules.scorer.workers import WAITING_PER_WORKER, BusyError, Workers

JSON = {"Content-Type": "application/json"}
Client = TestClient


@pytest.fixture(scope="module")
def loaded() -> Classifier:
    return Classifier()


@pytest.fixture
async def client(loaded: Classifier) -> AsyncIterator[Client]:
    workers = Workers(2)
    server = TestServer(create_http_app(loaded, workers, lambda: {"classifier": loaded.information()}))
    async with TestClient(server) as client:
        yield client
    workers.close()


async def test_a_tensor_gives_logits_and_a_time(client: Client, loaded: Classifier) -> None:
    tensor = read_photograph(sample_paths()["coffee"].read_bytes())
    body = orjson.dumps({"data": tensor}, option=orjson.OPT_SERIALIZE_NUMPY)
    response = await client.post("/score", data=io.BytesIO(body), headers=JSON)
    answer = await response.json()
    assert response.status == 200
    assert set(answer) == {"result", "time"}
    assert np.allclose(answer["result"], loaded.model.run(tensor), atol=1e-4)
    assert 0 < answer["time"] < 10


async def test_a_photograph_gives_five_labels(client: Client) -> None:
    response = await client.post(
        "/score", data=sample_paths()["coffee"].read_bytes(), headers={"Content-Type": "image/jpeg"}
    )
    answer = await response.json()
    assert len(answer["result"]) == 5
    assert answer["result"][0]["label"] == "espresso"


async def test_requests_side_by_side_do_not_mix(client: Client) -> None:
    async def first_label(name: str) -> str:
        response = await client.post(
            "/score", data=sample_paths()[name].read_bytes(), headers={"Content-Type": "image/jpeg"}
        )
        return str((await response.json())["result"][0]["label"])

    names = ["coffee", "palace", "flower"] * 4
    assert await asyncio.gather(*map(first_label, names)) == ["espresso", "palace", "daisy"] * 4


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        ("application/json", b'{"data": [[[[1, null]]]]}', 400, "data[0] has 1 items"),
        ("application/json", b"{", 400, "not JSON"),
        ("image/png", b"nonsense", 400, "neither a JPEG nor a PNG"),
        ("text/plain", b"hello", 415, "application/json"),
    ],
)
async def test_a_bad_body_says_what_is_wrong(
    client: Client, content_type: str, body: bytes, status: int, reason: str
) -> None:
    response = await client.post("/score", data=body, headers={"Content-Type": content_type})
    assert response.status == status
    assert reason in (await response.json())["error"]


async def test_too_many_bytes_are_refused(client: Client) -> None:
    async with ClientSession() as session:
        response = await session.post(client.make_url("/score"), data=io.BytesIO(bytes(MAX_BODY + 1)), headers=JSON)
        assert response.status == 413
        assert str(MAX_BODY) in (await response.json())["error"]


async def test_health_and_models(client: Client) -> None:
    assert (await (await client.get("/")).text()) == "Healthy"
    models = await (await client.get("/models")).json()
    assert len(models["classifier"]["labels"]) == 1000
    assert len(models["classifier"]["sha256"]) == 64


async def test_unknown_paths_are_errors_in_json(client: Client) -> None:
    response = await client.get("/nothing")
    assert (response.status, await response.json()) == (404, {"error": "Not Found"})


async def test_too_long_a_line_is_turned_away() -> None:
    workers, release = Workers(1), threading.Event()
    waiting = [asyncio.create_task(workers.run(release.wait)) for _ in range(1 + WAITING_PER_WORKER)]
    await asyncio.sleep(0)  # lets the tasks begin
    with pytest.raises(BusyError, match="try again"):
        await workers.run(lambda: None)
    release.set()
    assert await asyncio.gather(*waiting) == [True] * len(waiting)
    workers.close()
