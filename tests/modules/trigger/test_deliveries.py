"""At least once: retries, parking, restarts; and a slow target is nobody else's trouble."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device.errors import NotConnectedError
from device.fake_client import FakeHubClient
from iot_core.clock import ManualClock
from iot_core.errors import StoreError
from iot_core.message import Message
from modules.trigger import module, outbox
from modules.trigger.dispatcher import RetryPolicy
from modules.trigger.outbox import Outbox
from modules.trigger.targets import retry_after_s

Reading = Callable[..., Message]


def post(hook: Any, path: str = "hook") -> dict[str, Any]:
    return {"type": "http", "url": f"{hook.url}/{path}"}


def twin(hub: FakeHubClient, actions: dict[str, Any], **rule: Any) -> None:
    """One rule for every action, named after it."""
    rules = {name: {"condition": "$body.t > 30", "key": ["$body.id"], "actions": [name], **rule} for name in actions}
    hub.desired |= {"actions": actions, "rules": rules}


def keys(hook: Any, path: str = "/") -> list[str]:
    return [call.headers["Idempotency-Key"] for call in hook.to(path)]


async def test_a_target_that_fails_is_tried_again_under_the_same_key(
    hub: FakeHubClient, hook: Any, running: Any, in_time: Any, reading: Reading
) -> None:
    twin(hub, {"do": post(hook)})
    hook.answers = [(500, {}, ""), (429, {}, ""), (408, {}, "")]
    async with running():
        await hub.deliver("telemetry", reading(31))
        await in_time(lambda: len(hook.calls) == 4)
        await hub.until(lambda: hub.reported.get("deliveries", {}).get("delivered") == 1)
    assert len(set(keys(hook))) == 1
    assert hub.reported["deliveries"] == {"waiting": 0, "parked": 0, "delivered": 1, "discarded": 0}


async def test_a_target_that_nobody_serves_is_tried_again(
    hub: FakeHubClient, running: Any, in_time: Any, reading: Reading
) -> None:
    twin(hub, {"do": {"type": "http", "url": "http://127.77.41.2:9/"}})
    hub.desired["maxAttempts"] = 2
    async with running():
        await hub.deliver("telemetry", reading(31))
        await in_time(lambda: bool(hub.reported.get("parkedDeliveries")))
    [parked] = hub.reported["parkedDeliveries"]
    assert parked["attempts"] == 2
    assert parked["reason"].startswith("http://127.77.41.2:9/ cannot be reached: ")


async def test_retry_after_is_kept(
    hub: FakeHubClient, hook: Any, running: Any, clock: ManualClock, in_time: Any, reading: Reading
) -> None:
    twin(hub, {"do": post(hook)})
    hook.answers = [(503, {"Retry-After": "600"}, "")]
    async with running():
        begun = clock.now()
        await hub.deliver("telemetry", reading(31))
        await in_time(lambda: len(hook.calls) == 2, step_s=50)
    assert clock.now() - begun >= 600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("99999999", 3_600),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s({"Retry-After": text}, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


def test_waits_double_up_to_the_longest_and_are_spread() -> None:
    policy = RetryPolicy(max_attempts=9, first_s=1, longest_s=5)
    assert [policy.wait_s(attempts, 1.0) for attempts in (1, 2, 3, 4, 1_000)] == [1, 2, 4, 5, 5]
    assert policy.wait_s(2, 0.0) == 1


async def test_after_the_last_attempt_it_is_parked_and_can_be_sent_again_by_a_corrected_action(
    hub: FakeHubClient, hook: Any, running: Any, in_time: Any, reading: Reading
) -> None:
    twin(hub, {"do": post(hook, "wrong")})
    hub.desired["maxAttempts"] = 3
    hook.answers = [(500, {}, "")] * 3
    async with running():
        await hub.deliver("telemetry", reading(31))
        await in_time(lambda: bool(hub.reported.get("parkedDeliveries")))
        [parked] = (await hub.call("parked")).payload["parked"]
        assert (parked["attempts"], len(hook.calls)) == (3, 3)
        await hub.operator_sets(actions={"do": post(hook, "right")})
        assert (await hub.call("retryParked", {"deliveries": [parked["delivery"]]})).payload == {"retried": 1}
        await hook.until(lambda: len(hook.calls) == 4)
    assert hook.calls[3].path == "/right"
    assert set(keys(hook)) == {parked["firing"]}


async def test_parked_deliveries_are_chosen_by_rule_and_action_and_can_be_discarded(
    hub: FakeHubClient, hook: Any, running: Any, reading: Reading
) -> None:
    twin(hub, {"a": post(hook, "a"), "b": post(hook, "b")})
    hook.answers = [(400, {}, "")] * 2
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hub.until(lambda: hub.reported.get("deliveries", {}).get("parked") == 2)
        assert (await hub.call("retryParked", {"rule": "c"})).payload == {"retried": 0}
        assert (await hub.call("retryParked", {"rule": "a", "action": "a"})).payload == {"retried": 1}
        await hook.until(lambda: len(hook.to("/a")) == 2)
        assert (await hub.call("discardParked")).payload == {"discarded": 1}
        assert (await hub.call("parked")).payload == {"total": 0, "parked": []}


async def test_a_slow_target_holds_up_neither_messages_nor_other_rules(
    hub: FakeHubClient, hook: Any, running: Any, reading: Reading
) -> None:
    twin(hub, {"slow": post(hook, "slow"), "quick": post(hook, "quick")})
    async with running():
        for machine in map(str, range(20)):
            await hub.deliver("telemetry", reading(31, machine))
        await hook.until(lambda: len(hook.to("/quick")) == 20)
        assert len(hook.to("/slow")) <= 4
        hook.release.set()
        await hook.until(lambda: len(hook.to("/slow")) == 20)


async def test_a_module_that_is_cut_off_itself_does_not_use_up_attempts(
    hub: FakeHubClient, running: Any, in_time: Any, reading: Reading
) -> None:
    twin(hub, {"do": {"type": "output", "output": "alerts"}})
    hub.desired |= {"maxAttempts": 1, "reportingInterval": 3600}
    async with running():
        hub.failures = [NotConnectedError("away") for _ in range(5)]
        await hub.deliver("telemetry", reading(31))
        await in_time(lambda: bool(hub.sent))
    assert [output for output, _ in hub.sent] == ["alerts"]


async def test_what_waits_and_what_is_raised_outlives_a_restart(
    hub: FakeHubClient, hook: Any, running: Any, in_time: Any, reading: Reading
) -> None:
    twin(hub, {"do": post(hook)})
    hook.answers = [(500, {}, "")]
    async with running():
        await hub.deliver("telemetry", reading(31))
        await hook.until(lambda: len(hook.calls) == 1)
    async with running():
        await hub.deliver("telemetry", reading(32))
        await in_time(lambda: len(hook.calls) == 2)
        await hub.deliver("telemetry", reading(1))
        await hub.deliver("telemetry", reading(33))
        await hook.until(lambda: len(hook.calls) == 3)
    first, again, second = keys(hook)
    assert first == again != second


async def test_for_goes_on_over_a_restart(
    hub: FakeHubClient, hook: Any, running: Any, clock: ManualClock, reading: Reading
) -> None:
    twin(hub, {"do": post(hook)}, **{"for": 60})
    async with running():
        await hub.deliver("telemetry", reading(31))
    clock.advance(59)
    async with running():
        await hub.until(lambda: hub.reported.get("firings") == {"do": {"fired": 0, "raised": 0}})
        clock.advance(1)
        await hook.until(lambda: len(hook.calls) == 1)
    assert hook.calls[0].document["data"]["message"]["body"]["t"] == 31


async def test_a_message_whose_firing_cannot_be_stored_is_left_with_the_hub(
    hub: FakeHubClient, hook: Any, running: Any, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin(hub, {"do": post(hook)})

    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    async with running():
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "_record", full)
            with pytest.raises(StoreError, match="disk is full"):
                await hub.deliver("telemetry", reading(31))
        await hub.deliver("telemetry", reading(31))
        await hook.until(lambda: len(hook.calls) == 1)


async def test_too_many_waiting_are_parked_and_too_many_parked_are_dropped(
    hub: FakeHubClient, hook: Any, running: Any, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 4)
    monkeypatch.setattr(outbox, "MAX_PARKED", 2)
    twin(hub, {"do": post(hook, "slow")})
    async with running():
        for machine in "abcdefg":
            await hub.deliver("telemetry", reading(31, machine))
        await hub.until(lambda: hub.reported.get("deliveries", {}).get("discarded") == 1)
        answer = (await hub.call("parked")).payload
        hook.release.set()
    assert [(one["key"], one["reason"]) for one in answer["parked"]] == [
        ("g", "too many deliveries wait for this action"),
        ("f", "too many deliveries wait for this action"),
    ]
    assert hub.reported["deliveries"]["discarded"] == 1


async def test_a_stop_does_not_wait_for_a_slow_target(
    hub: FakeHubClient,
    hook: Any,
    running: Any,
    tmp_path: Path,
    reading: Reading,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.05)
    twin(hub, {"do": post(hook, "slow")})
    async with asyncio.timeout(5):
        async with running():
            await hub.deliver("telemetry", reading(31))
            await hook.until(lambda: len(hook.calls) == 1)
    left = Outbox.open(tmp_path)
    assert left.counts() == (1, 0)
    await left.close()


async def test_twin_changes_have_an_input_of_their_own(hub: FakeHubClient, hook: Any, running: Any) -> None:
    twin(hub, {"do": post(hook)}, input="twinChanges", condition="$body.battery < 10", key=["$connectionDeviceId"])
    change = Message(b'{"battery": 7}', {}, {"connectionDeviceId": "dev-7", "messageSchema": "twinChangeNotification"})
    async with running():
        await hub.deliver("twinChanges", change)
        await hook.until(lambda: len(hook.calls) == 1)
    assert hook.calls[0].document["subject"] == "dev-7"


async def test_firings_are_reported_and_bad_rules_leave_the_last_good_ones(
    hub: FakeHubClient, hook: Any, running: Any, clock: ManualClock, reading: Reading
) -> None:
    twin(hub, {"do": post(hook)})
    async with running():
        await hub.operator_sets(rules={"do": {"condition": "$body.t >"}})
        assert hub.reported["rules"]["ac"] == 400
        assert hub.reported["rules"]["ad"].startswith("do.condition: expected a value")
        await hub.deliver("telemetry", reading(31))
        await hub.until(lambda: hub.reported.get("firings", {}).get("do", {}).get("fired") == 1)
    assert hub.reported["firings"]["do"]["lastKey"] == "a"
    assert hub.reported["firings"]["do"]["raised"] == 1
