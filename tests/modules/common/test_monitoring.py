"""Health and metrics over HTTP."""

from __future__ import annotations

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from iot_core.errors import InputError
from modules.common.health import main as health_check
from modules.common.monitoring import Health, monitoring

HOST = "127.77.42.1"


async def get(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{HOST}:{port}{path}", headers=headers) as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


async def test_ready_says_why_it_is_not() -> None:
    health = Health()
    health.not_ready("model", "loading\nfrom disk")
    health.not_ready("hub", "not connected")
    async with monitoring(CollectorRegistry(), health, host=HOST, port=0) as port:
        status, kind, text = await get(port, "/ready")
        assert (status, kind) == (503, "text/plain; charset=utf-8")
        assert text == "model: loading from disk\nhub: not connected\n"
        health.ready("model")
        health.ready("hub")
        assert (await get(port, "/ready"))[::2] == (200, "ready\n")


async def test_live_answers_whatever_is_not_ready() -> None:
    health = Health()
    health.not_ready("hub", "not connected")
    async with monitoring(CollectorRegistry(), health, host=HOST, port=0) as port:
        assert (await get(port, "/live"))[0] == 200


async def test_metrics_are_those_of_the_registry_in_the_form_that_is_asked_for() -> None:
    registry = CollectorRegistry()
    Counter("edgeyard_tests", "Tests", registry=registry).inc(3)
    async with monitoring(registry, Health(), host=HOST, port=0) as port:
        _, plain, text = await get(port, "/metrics")
        _, open_metrics, _ = await get(port, "/metrics", Accept="application/openmetrics-text")
    assert plain.startswith("text/plain; version=")
    assert open_metrics.startswith("application/openmetrics-text")
    assert "edgeyard_tests_total 3.0" in text


async def test_a_taken_port_is_one_line_that_names_the_option() -> None:
    async with monitoring(CollectorRegistry(), Health(), host=HOST, port=0) as port:
        with pytest.raises(InputError, match=rf"^port {port} on {HOST} is in use: .*--metrics-port or MONITORING_PORT"):
            async with monitoring(CollectorRegistry(), Health(), host=HOST, port=port):
                pass


def test_the_health_check_of_a_container_fails_where_nobody_answers() -> None:
    assert health_check(f"http://{HOST}:9/ready") == 1
