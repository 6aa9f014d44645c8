"""A module's own HTTP interface for those who watch it: health and metrics.

    GET /live     200 while the event loop of the process answers
    GET /ready    200 when the module can do its work, else 503 and one reason a line, "part: reason"
    GET /metrics  Prometheus text of the module's registry (OpenMetrics when asked for)

It is apart from what the module itself serves, so that a busy module can still be looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from modules.common.serving import serving

__all__ = ["DEFAULT_PORT", "Health", "create_monitoring_app", "monitoring"]

DEFAULT_PORT = 9600
"""Where the IoT Edge runtime's own metrics collector looks for modules ("Collect and transport metrics", 9600)."""
REMEDY = "choose another with --metrics-port or MONITORING_PORT (0 takes a free one)"


class Health:
    """Which parts of a module are not ready, and why; ready when there are none. Safe to use from any thread."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def not_ready(self, part: str, reason: str) -> None:
        """The part ("hub", "model" …) cannot work: `reason` is one line for a person."""
        self._reasons[part] = " ".join(reason.split())

    def ready(self, part: str) -> None:
        """The part works."""
        self._reasons.pop(part, None)

    @property
    def is_ready(self) -> bool:
        """True when no part says otherwise."""
        return not self._reasons

    def reasons(self) -> list[str]:
        """ "part: reason" of every part that is not ready, the oldest first."""
        return [f"{part}: {reason}" for part, reason in list(self._reasons.items())]


def create_monitoring_app(registry: CollectorRegistry, health: Health) -> web.Application:
    """/live, /ready and /metrics as an application."""

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def ready(_request: web.Request) -> web.Response:
        reasons = health.reasons()
        return web.Response(text="\n".join(reasons or ["ready"]) + "\n", status=503 if reasons else 200)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app


@asynccontextmanager
async def monitoring(registry: CollectorRegistry, health: Health, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve health and metrics while the block runs and yield the port (`port` 0 takes a free one); InputError, one
    line naming the option, when the port cannot be had."""
    async with serving(create_monitoring_app(registry, health), host, port, remedy=REMEDY) as actual:
        yield actual
