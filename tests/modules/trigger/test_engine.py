"""All rules over all messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iot_core.message import Message
from modules.trigger import engine as engine_module
from modules.trigger.engine import Change, Engine
from modules.trigger.settings import Rule

NOW = 1_000.0


def rule(condition: str = "$body.t > 30", **more: Any) -> Rule:
    document = {"condition": condition, "actions": ["page"], "key": ["$body.id"], **more}
    return Rule.model_validate_json(json.dumps(document))


def engine(**rules: Rule) -> Engine:
    made = Engine()
    made.configure(rules)
    return made


def reading(celsius: float, machine: str = "a", **system: str) -> Message:
    return Message(json.dumps({"t": celsius, "id": machine}).encode(), {}, system)


def fired(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.firing.rule, change.firing.key) for change in changes if change.firing is not None]


def test_each_rule_and_each_key_has_a_state_of_its_own() -> None:
    rules = engine(hot=rule(), very_hot=rule("$body.t > 50"))
    assert fired(rules.take("telemetry", reading(31), NOW)) == [("hot", "a")]
    assert fired(rules.take("telemetry", reading(60, "b"), NOW)) == [("hot", "b"), ("very_hot", "b")]
    assert fired(rules.take("telemetry", reading(60), NOW)) == [("very_hot", "a")]
    assert rules.raised() == {"hot": 2, "very_hot": 2}


def test_a_rule_listens_to_its_own_input_and_not_at_all_when_it_is_off() -> None:
    rules = engine(low=rule("$body.battery < 10", input="twinChanges"), off=rule(enabled=False))
    report = Message(b'{"battery": 7}')
    assert fired(rules.take("telemetry", report, NOW)) == []
    assert fired(rules.take("telemetry", reading(99), NOW)) == []
    assert fired(rules.take("twinChanges", report, NOW)) == [("low", "")]


def test_messages_that_change_nothing_make_no_change() -> None:
    rules = engine(hot=rule())
    rules.take("telemetry", reading(31), NOW)
    assert rules.take("telemetry", reading(32), NOW) == []
    assert rules.take("telemetry", Message(b"not json"), NOW) == []


def test_time_fires_what_holds_and_forgets_what_is_over() -> None:
    rules = engine(hot=rule("$body.t > 30", **{"for": 60, "cooldown": 100}))
    [change] = rules.take("telemetry", reading(31), NOW)
    assert change.wakes_at == rules.next_due() == NOW + 60
    assert rules.due(NOW + 59) == []
    [change] = rules.due(NOW + 60)
    assert change.firing is not None
    assert (change.firing.since, change.firing.at, change.firing.message) == (NOW, NOW + 60, reading(31))
    rules.take("telemetry", reading(1), NOW + 70)
    assert rules.next_due() == NOW + 160
    [change] = rules.due(NOW + 160)
    assert (change.after, change.firing, rules.next_due()) == (None, None, None)


def test_each_fires_for_every_message_outside_the_cool_down() -> None:
    rules = engine(every=rule(each=True), quiet=rule(each=True, cooldown=10))
    moments = (NOW, NOW, NOW + 9, NOW + 10)
    seen = [fired(rules.take("telemetry", reading(31), moment)) for moment in moments]
    assert [[name for name, _ in one] for one in seen] == [["every", "quiet"], ["every"], ["every"], ["every", "quiet"]]


def test_a_message_that_comes_twice_gives_one_firing_by_name() -> None:
    rules = engine(every=rule(each=True))
    ids = {rules.take("telemetry", reading(31, messageId="m1"), NOW + n)[0].firing.id for n in (0, 1)}  # type: ignore[union-attr]
    other = rules.take("telemetry", reading(31, messageId="m2"), NOW)[0].firing
    assert len(ids) == 1
    assert other is not None
    assert other.id not in ids


def test_undo_takes_back_what_could_not_be_stored() -> None:
    rules = engine(hot=rule())
    rules.undo(rules.take("telemetry", reading(31), NOW))
    assert fired(rules.take("telemetry", reading(31), NOW)) == [("hot", "a")]


def test_a_changed_question_begins_anew_and_changed_times_or_actions_do_not() -> None:
    rules = engine(hot=rule())
    rules.take("telemetry", reading(31), NOW)
    assert rules.configure({"hot": rule(actions=["mail"], cooldown=5)}) == []
    assert rules.take("telemetry", reading(32), NOW) == []
    [forgotten] = rules.configure({"hot": rule("$body.t > 31")})
    assert (forgotten.rule, forgotten.key) == ("hot", "a")
    assert fired(rules.take("telemetry", reading(32), NOW)) == [("hot", "a")]


def test_what_was_remembered_is_taken_up_unless_its_rule_is_another_by_now() -> None:
    [change] = engine(hot=rule()).take("telemetry", reading(31), NOW)
    assert change.after is not None
    same, other = engine(hot=rule()), engine(hot=rule("$body.t > 5"))
    assert same.restore([(change.name, change.after)]) == []
    assert same.take("telemetry", reading(32), NOW) == []
    assert other.restore([(change.name, change.after)]) == [change.name]


def test_made_up_keys_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_SERIES", 2)
    rules = engine(hot=rule())
    for number in range(3):
        rules.take("telemetry", reading(31, f"machine-{number}"), NOW)
    assert (rules.raised(), rules.refused) == ({"hot": 2}, 1)
