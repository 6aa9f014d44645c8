from __future__ import annotations

import pytest
from aiohttp import web

from iot_core.errors import InputError
from modules.common.health import main as health_check
from modules.common.serving import port_number, serving

HOST = "127.91.3.1"


@pytest.mark.parametrize("text", ["-1", "65536", "http", "", "²"])
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match=r"^--port is"):
        port_number(text, "--port")


async def test_a_busy_port_is_one_clear_line() -> None:
    async with serving(web.Application(), HOST, 0, remedy="use --port") as port:
        with pytest.raises(InputError, match=rf"^port {port} on {HOST} is in use: use --port$"):
            async with serving(web.Application(), HOST, port, remedy="use --port"):
                pass


def test_the_health_check_fails_where_nobody_answers() -> None:
    assert health_check(f"http://{HOST}:9/") == 1
