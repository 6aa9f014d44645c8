"""Rules and actions in the twin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from device.settings import SettingsSession
from modules.trigger.settings import HttpAction, TriggerSettings

HOOK = {"type": "http", "url": "https://hooks.example/alarm?code=s3cret"}
OUTPUT = {"type": "output", "output": "alerts"}
HOT = {"condition": "$body.t > 30", "actions": ["out"]}


class Twin:
    """Desired properties as an operator patches them."""

    def __init__(self) -> None:
        self._session = SettingsSession(TriggerSettings)
        self._version = 0

    def sets(self, **patch: Any) -> dict[str, Any]:
        self._version += 1
        return self._session.apply({**patch, "$version": self._version}).reported

    @property
    def settings(self) -> TriggerSettings:
        return self._session.settings


@pytest.fixture
def twin() -> Twin:
    made = Twin()
    made.sets(actions={"out": OUTPUT}, rules={"hot": HOT})
    return made


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"condition": "$body.t >"}, "cold.condition: expected a value, found the end of the text (at character 10)"),
        ({"clear": "nosuch(1)"}, "cold.clear: "),
        ({"key": ["$body."]}, "cold.key.0: "),
        ({"for": -1}, "cold.for: "),
        ({"actions": []}, "cold.actions: "),
        ({"actions": ["nobody"]}, "rules.cold.actions.0: there is no action 'nobody'; there are: out"),
        ({"each": True, "for": 5}, "cold: each fires for every message"),
        ({"wehn": 1}, "cold.wehn: "),
    ],
)
def test_a_bad_rule_is_refused_by_name_and_place_and_the_last_good_ones_stay(
    twin: Twin, rule: dict[str, Any], reason: str
) -> None:
    answer = twin.sets(rules={"cold": {**HOT, **rule}})["rules"]
    assert (answer["ac"], answer["ad"][: len(reason)]) == (400, reason)
    assert list(answer["value"]) == list(twin.settings.rules) == ["hot"]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"type": "http", "url": "hooks.example"}, "new.http.url: give an absolute URL"),
        ({"type": "http", "url": "https://me:pw@hooks.example"}, "new.http.url: no user name or password"),
        ({**HOOK, "keyEnvironment": "NO_SUCH_KEY"}, "new.http.keyEnvironment: the environment of this module has no"),
        ({"type": "method", "method": "reboot"}, "new.method: name the module, the device, or both"),
        ({"type": "fax"}, "new: "),
    ],
)
def test_a_bad_action_is_refused_by_name_and_place(twin: Twin, action: dict[str, Any], reason: str) -> None:
    answer = twin.sets(actions={"new": action})["actions"]
    assert (answer["ac"], answer["ad"][: len(reason)]) == (400, reason)


def test_an_action_that_a_rule_needs_cannot_be_removed(twin: Twin) -> None:
    answer = twin.sets(actions={"out": None})["actions"]
    assert (answer["ac"], answer["ad"][:19]) == (400, "rules.hot.actions.0")
    answer = twin.sets(actions={"out": None}, rules={"hot": None})
    assert (answer["actions"]["ac"], answer["rules"]["ac"]) == (200, 200)


def test_keys_are_never_told(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "s3cret")
    actions = {"a": {**HOOK, "key": "s3cret"}, "b": {**HOOK, "keyEnvironment": "HOOK_KEY"}}
    answer = twin.sets(actions=actions)["actions"]
    assert answer["ac"] == 200
    assert (answer["value"]["a"]["key"], answer["value"]["a"]["url"]) == ("***", "https://hooks.example/alarm?***")
    assert "s3cret" not in json.dumps(answer) + repr(twin.settings)
    keys = [action.key_value() for action in twin.settings.actions.values() if isinstance(action, HttpAction)]
    assert keys == ["s3cret", "s3cret"]
    refused = twin.sets(actions={"a": {"key": 5}})["actions"]
    assert refused["ac"] == 400
    assert "s3cret" not in json.dumps(refused)
