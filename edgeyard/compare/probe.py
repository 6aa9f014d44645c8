"""Runs scenarios on one hub, under a prefix of its own, and takes everything away again, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from edgeyard.compare.doors import Doors, Side
from edgeyard.compare.live_cases import LiveScenario
from edgeyard.compare.observation import STATUS, Facts, observe, observe_document
from edgeyard.compare.steps import DEVICE_KEY, Caller, Scenario, Step, filled, value_at
from hub_tools.replies import Reply
from hub_tools.service import HubUnreachableError
from iot_core import sas
from iot_core.errors import EdgeyardError
from iot_core.identity import generate_key
from iot_core.json_types import JsonObject

__all__ = ["AnyScenario", "LeftBehindError", "Observed", "Probe"]

AnyScenario: TypeAlias = Scenario | LiveScenario

WAIT_S = 120.0
"""For what a hub does later: a job on Azure takes seconds, a query sees a new twin after a minute at worst."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Between two looks; doubled each time."""
CLEANING_PAUSES_S = (0.1, 1.0, 3.0)
"""After each attempt to remove something that the hub did not answer."""
NO_FURTHER = "as far as it went"
"""The step that says why a live scenario ended early."""
TOKEN_S = 600
THROTTLED = frozenset({429, 503})
CLEANED = frozenset({200, 204, 400, 404})
"""Answers after which something is not there: 400 is for an id that the hub does not take at all."""
NOT_RUNNING = CLEANED | {405}
"""Answers to a cancelled job, 405 for one that had ended."""
Observed = dict[tuple[str, str], Facts]
"""Scenario and step → the facts of the answer."""


class LeftBehindError(EdgeyardError):
    """Something that the probe made could not be removed."""


class Probe:
    """One hub and one run; nothing that exists without the prefix is changed."""

    def __init__(self, side: Side, prefix: str) -> None:
        self._side = side
        self._hub = hub = side.rest
        self._prefix = prefix
        self._names = {prefix: "{p}", hub.host_name: "{hub}", hub.host_name.partition(":")[0]: "{hub}"}

    async def run(self, scenarios: Sequence[AnyScenario]) -> Observed:
        """The facts of every step; LeftBehindError when something could not be removed, HubUnreachableError."""
        observed: Observed = {}
        for scenario in scenarios:
            run = self._run(scenario) if isinstance(scenario, Scenario) else self._live(scenario)
            try:
                observed.update(await run)
            finally:
                await _undisturbed(self._clean(scenario))
        return observed

    async def _live(self, scenario: LiveScenario) -> Observed:
        """The facts of the steps that were reached; where it went no further, the reason is one of them."""
        observed = Observed()
        try:
            async with AsyncExitStack() as stack:
                async for name, seen in scenario.run(Doors(self._side, self._prefix, stack)):
                    observed[scenario.name, name] = self._facts_of(seen)
        except HubUnreachableError:
            raise
        except (EdgeyardError, OSError, TimeoutError) as error:
            observed[scenario.name, NO_FURTHER] = {STATUS: f"{type(error).__name__} after {len(observed)} steps"}
        return observed

    def _facts_of(self, seen: Reply | JsonObject) -> Facts:
        return observe(seen, self._names) if isinstance(seen, Reply) else observe_document(seen, self._names)

    async def _run(self, scenario: Scenario) -> Observed:
        names, observed = {"p": self._prefix}, Observed()
        for step in scenario.steps:
            reply = await self._ask_until(filled_step(step, names))
            names |= {name: str(value_at(_json(reply), place)) for name, place in step.remember.items()}
            observed[scenario.name, step.name] = observe(reply, self._names)
        return observed

    async def _ask_until(self, step: Step) -> Reply:
        """The answer once it is what the step waits for, or the last one when time is up."""
        deadline, pause = time.monotonic() + WAIT_S, FIRST_PAUSE_S
        while True:
            reply = await self._ask(step)
            met = step.until is None or reply.status >= 300 or step.until.met_by(_json(reply))
            if (met and reply.status not in THROTTLED) or time.monotonic() > deadline:
                return reply
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _ask(self, step: Step) -> Reply:
        own = {"Authorization": self._token_of(step)} if step.caller in (Caller.FORGER, Caller.DEVICE) else {}
        return await self._hub.exchange(
            step.verb,
            step.path,
            step.body,
            data=step.data,
            query=step.query,
            headers={**step.headers, **own},
            authorized=step.caller is Caller.OWNER,
        )

    def _token_of(self, step: Step) -> str:
        """The forger's, or that of the device in the path."""
        host, expiry = self._hub.host_name.partition(":")[0], int(time.time()) + TOKEN_S
        if step.caller is Caller.FORGER:
            return sas.sign(host, generate_key(), expiry, "iothubowner")
        return sas.sign(f"{host}/devices/{step.path.split('/')[2]}", DEVICE_KEY, expiry)

    async def _clean(self, scenario: AnyScenario) -> None:
        names, left = {"p": self._prefix}, list[str]()
        jobs = scenario.jobs if isinstance(scenario, Scenario) else ()
        for path in filled(list(jobs), names):
            if not await self._gone("POST", f"{path}/cancel", NOT_RUNNING):
                left.append(path)
        for path in filled(list(scenario.makes), names):
            if not await self._gone("DELETE", path, CLEANED):
                left.append(path)
        if left:
            raise LeftBehindError(f"{', '.join(left)} could not be removed from {self._hub.host_name}: remove by hand")

    async def _gone(self, verb: str, path: str, statuses: frozenset[int]) -> bool:
        step = Step(name="clean up", verb=verb, path=path, headers={"If-Match": "*"} if verb == "DELETE" else {})
        for pause in CLEANING_PAUSES_S:
            with contextlib.suppress(EdgeyardError):
                return (await self._ask_until(step)).status in statuses
            await asyncio.sleep(pause)
        return False


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Let work come to its end, though the caller is cancelled meanwhile; the cancellation is raised after it."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
        except EdgeyardError:
            break
    task.result()
    if cancelled:
        raise asyncio.CancelledError


def filled_step(step: Step, names: Mapping[str, str]) -> Step:
    """The step with its placeholders replaced."""
    return Step(
        name=step.name,
        verb=step.verb,
        path=filled(step.path, names),
        body=filled(step.body, names),
        data=step.data,
        query=filled(step.query, names),
        headers=filled(step.headers, names),
        caller=step.caller,
        until=step.until,
    )


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        return None
