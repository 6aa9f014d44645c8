"""amqtt as a broker over TLS on uvloop, for comparison: run by the Python of an environment that has both.

PYTHON benchmarks/amqtt_broker.py HOST PORT CERTIFICATE KEY
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from amqtt.broker import Broker  # type: ignore[import-not-found]


async def serve(host: str, port: str, certificate: str, key: str) -> None:
    listener = {"type": "tcp", "bind": f"{host}:{port}", "ssl": True, "certfile": certificate, "keyfile": key}
    broker = Broker(
        {
            "listeners": {"default": listener},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*sys.argv[1:]))
