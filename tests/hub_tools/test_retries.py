"""What the operators' client does while the hub throttles."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from hub_tools.replies import Reply
from hub_tools.rest import RestHubService
from hub_tools.retries import JITTER, PAUSES_S, pause_before_retry
from iot_core.errors import HubError
from iot_core.identity import Identity

POLICY = "HostName=h;SharedAccessKeyName=service;SharedAccessKey=c2VjcmV0"


def reply(status: int, name: str = "", **headers: str) -> Reply:
    body = {"Message": f"ErrorCode:{name};The request has been throttled."} if name else {"status": 200}
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(status=status, headers=sent, body=json.dumps(body).encode())


THROTTLED = reply(429, "ThrottlingBacklogTimeout")


class Hub(RestHubService):
    """A hub that answers by a script; the last answer stays."""

    def __init__(self, *answers: Reply) -> None:
        super().__init__(POLICY)
        self.answers = list(answers)
        self.asked = 0

    async def exchange(self, *_call: Any, **_options: Any) -> Reply:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, pause by pause."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return pauses


async def test_a_throttled_call_is_made_again_until_it_passes(paused: list[float]) -> None:
    hub = Hub(THROTTLED, THROTTLED, reply(200))
    assert (await hub.get_twin(Identity("d")))["status"] == 200
    assert hub.asked == 3
    assert all(abs(pause - wanted) <= JITTER * wanted for pause, wanted in zip(paused, PAUSES_S[:2], strict=True))


async def test_it_gives_up_after_its_last_pause(paused: list[float]) -> None:
    hub = Hub(THROTTLED)
    with pytest.raises(HubError, match="throttled"):
        await hub.get_twin(Identity("d"))
    assert (hub.asked, len(paused)) == (len(PAUSES_S) + 1, len(PAUSES_S))
    assert sum(paused) > 10


async def test_what_was_throttled_has_had_no_effect_so_methods_and_jobs_are_repeated_too(paused: list[float]) -> None:
    hub = Hub(THROTTLED, reply(200))
    assert (await hub.invoke_method(Identity("d"), "reboot")).status == 200
    assert (await Hub(THROTTLED, reply(200)).create_job("j", {}))["status"] == 200
    assert len(paused) == 2


async def test_a_method_is_not_called_twice_because_the_hub_was_away(paused: list[float]) -> None:
    hub = Hub(reply(503, "ServiceUnavailable"))
    with pytest.raises(HubError):
        await hub.invoke_method(Identity("d"), "reboot")
    assert (hub.asked, paused) == (1, [])


async def test_a_job_without_a_free_slot_is_refused_at_once(paused: list[float]) -> None:
    with pytest.raises(HubError, match="ThrottlingMaxActiveJobCountExceeded"):
        await Hub(reply(429, "ThrottlingMaxActiveJobCountExceeded")).create_job("j", {})
    assert paused == []


@pytest.mark.parametrize(("header", "pause"), [("7", 7.0), ("0", 0.0), ("60", 60.0), ("61", None)])
def test_retry_after_is_honoured_up_to_a_minute(header: str, pause: float | None) -> None:
    assert pause_before_retry(reply(429, "x", Retry_After=header), 0, repeatable=False) == pause


def test_retry_after_may_be_a_date() -> None:
    date = formatdate(time.time() + 30, usegmt=True)
    pause = pause_before_retry(reply(503, "x", retry_after=date), 0, repeatable=True)
    assert pause is not None
    assert 28 < pause <= 30


@pytest.mark.parametrize("header", ["soon", "-5", "1.5"])
def test_a_retry_after_that_says_nothing_is_passed_over(header: str) -> None:
    pause = pause_before_retry(reply(429, "x", Retry_After=header), 0, repeatable=False)
    assert pause is not None
    assert pause <= PAUSES_S[0] * (1 + JITTER)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 412, 500])
def test_every_other_answer_stands(status: int) -> None:
    assert pause_before_retry(reply(status, "x"), 0, repeatable=True) is None
