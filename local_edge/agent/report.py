"""The reported properties of `$edgeAgent`, built from what is wanted and what is.

Shape: IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins" (reported properties).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iot_core.clock import UNSET_TIME, iso
from iot_core.limits import CREATE_OPTIONS_CHUNK_CHARACTERS
from iot_core.manifest.model import STARTUP_ORDER_LAST, ModuleSpec
from local_edge.agent.deployment import Deployment
from local_edge.agent.plan import ActualModule, verdict
from local_edge.agent.restart import RestartRules, Verdict

__all__ = ["RUNTIME_VERSION", "AgentState", "DesiredStatus", "reported_properties", "runtime_status"]

RUNTIME_VERSION = "1.5.0"
"""The runtime version whose documented behaviour is followed, with build "edgeyard" beside it."""


@dataclass(frozen=True, kw_only=True)
class DesiredStatus:
    """What became of the desired properties.

    Codes: 200 applied, 400 format, 406 agent not running, 412 schema version, 417 empty, 500 failed.
    """

    version: int = 0
    code: int = 417
    description: str = "no deployment has come yet"


@dataclass(frozen=True, kw_only=True)
class AgentState:
    """All that the report shows."""

    status: DesiredStatus
    deployment: Deployment | None
    actual: Mapping[str, ActualModule]
    started_at: float
    now: float
    rules: RestartRules


def reported_properties(state: AgentState) -> dict[str, Any]:
    """The whole reported section; the agent sends only its difference to the last one."""
    document: dict[str, Any] = {
        "schemaVersion": "1.0",
        "version": {"version": RUNTIME_VERSION, "build": "edgeyard", "commit": ""},
        "lastDesiredVersion": state.status.version,
        "lastDesiredStatus": {"code": state.status.code, "description": state.status.description},
        "modules": {name: _module(name, module, state) for name, module in state.actual.items()},
    }
    if state.deployment is not None:
        document["runtime"] = _runtime(state.deployment)
        document["systemModules"] = _system_modules(state.deployment, state.started_at)
    return document


def runtime_status(desired: ModuleSpec, actual: ActualModule, now: float, rules: RestartRules) -> str:
    """The word of the real runtime: running, stopped, backoff or failed."""
    if actual.phase != "exited":
        return actual.phase
    match verdict(desired, actual, now, rules):
        case Verdict.LEAVE:
            return "stopped" if actual.exit_code == 0 else "failed"
        case Verdict.GIVE_UP:
            return "failed"
        case Verdict.WAIT | Verdict.RESTART:
            return "backoff"


def _module(name: str, actual: ActualModule, state: AgentState) -> dict[str, Any]:
    wanted = actual.applied
    if state.deployment is not None and name in state.deployment.modules:
        wanted = state.deployment.modules[name]
    status = runtime_status(wanted, actual, state.now, state.rules)
    entry: dict[str, Any] = {
        "exitCode": actual.exit_code,
        "statusDescription": _description(status, actual),
        "lastStartTimeUtc": _time(actual.started_at),
        "lastExitTimeUtc": _time(actual.exited_at),
        "restartCount": actual.restarts,
        "lastRestartTimeUtc": _time(actual.last_restart_at),
        "runtimeStatus": status,
        "version": wanted.version,
        "status": wanted.status,
        "restartPolicy": wanted.restart_policy,
    }
    if wanted.startup_order != STARTUP_ORDER_LAST:
        entry["startupOrder"] = wanted.startup_order
    return entry | _settings(wanted)


def _description(status: str, actual: ActualModule) -> str:
    return status if actual.phase != "exited" else f"{status} (exit code {actual.exit_code})"


def _settings(module: ModuleSpec) -> dict[str, Any]:
    text = json.dumps(dict(module.create_options), separators=(",", ":"))
    chunks = [
        text[start : start + CREATE_OPTIONS_CHUNK_CHARACTERS]
        for start in range(0, len(text), CREATE_OPTIONS_CHUNK_CHARACTERS)
    ]
    names = ["createOptions", *(f"createOptions{number:02d}" for number in range(1, len(chunks)))]
    return {
        "imagePullPolicy": module.pull_policy,
        "type": module.type,
        "settings": {"image": module.image, "imageHash": "", **dict(zip(names, chunks, strict=True))},
        "env": {name: {"value": value} for name, value in module.env.items()},
    }


def _runtime(deployment: Deployment) -> dict[str, Any]:
    system = {"os": platform.system().lower(), "architecture": platform.machine(), "version": RUNTIME_VERSION}
    return {"platform": system, "type": "docker", "settings": dict(deployment.runtime_settings)}


def _system_modules(deployment: Deployment, started_at: float) -> dict[str, Any]:
    """Agent and hub are this program: they run as long as it does."""
    common = {
        "exitCode": 0,
        "statusDescription": "running",
        "lastStartTimeUtc": _time(started_at),
        "lastExitTimeUtc": UNSET_TIME,
        "runtimeStatus": "running",
    }
    agent = common | _settings(deployment.system_modules["edgeAgent"])
    wanted = deployment.system_modules["edgeHub"]
    hub = common | {
        "restartCount": 0,
        "lastRestartTimeUtc": UNSET_TIME,
        "status": wanted.status,
        "restartPolicy": wanted.restart_policy,
    }
    return {"edgeAgent": agent, "edgeHub": hub | _settings(wanted)}


def _time(at: float) -> str:
    return iso(at) if at else UNSET_TIME
