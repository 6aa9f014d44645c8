"""All rules over all messages: which series change, and what fires; no I/O.

The caller makes a change durable and only then goes on; `undo` takes it back where that fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from iot_core.message import Message
from iot_core.routing import RoutedMessage, Truth
from modules.trigger.conditions import compile_rule_condition, key_of, routed
from modules.trigger.firing import Firing, firing_id
from modules.trigger.series import IDLE, Phase, Series, Timing, advance, observe
from modules.trigger.settings import Rule

__all__ = ["Change", "Engine", "Kept", "SeriesName", "rule_digest"]

MAX_SERIES = 10_000
"""Of one rule: each that is pending holds a message in memory. Keys that are made up for every message end here."""
NOTHING = Message(b"")


@dataclass(frozen=True, kw_only=True)
class SeriesName:
    """Which series: a rule, and a key."""

    rule: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is remembered of a series: its state, the message that made the condition true and the input it came to."""

    series: Series
    message: Message
    input: str
    digest: str
    """Of the rule; another one makes the state meaningless."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A step of one series: what is to be remembered from now on (None: nothing), and what fired."""

    name: SeriesName
    before: Kept | None
    after: Kept | None
    wakes_at: float | None = None
    """Unix seconds at which time alone changes the series next."""
    firing: Firing | None = None
    actions: tuple[str, ...] = ()


@dataclass(kw_only=True)
class _Compiled:
    rule: Rule
    digest: str
    timing: Timing
    series: dict[str, Kept] = field(default_factory=dict)


class Engine:
    """The rules in force and their series that are not idle."""

    def __init__(self) -> None:
        self._rules: dict[str, _Compiled] = {}
        self.refused = 0
        """Messages for which a rule had too many series already."""

    def configure(self, rules: Mapping[str, Rule]) -> list[SeriesName]:
        """Use these rules from now on. Series of rules that are gone, switched off or ask something else are forgotten;
        their names."""
        before, self._rules = self._rules, {name: _compiled(rule) for name, rule in rules.items() if rule.enabled}
        forgotten: list[SeriesName] = []
        for name, old in before.items():
            new = self._rules.get(name)
            if new is not None and new.digest == old.digest:
                new.series = old.series
            else:
                forgotten += [SeriesName(rule=name, key=key) for key in old.series]
        return forgotten

    def restore(self, kept: Iterable[tuple[SeriesName, Kept]]) -> list[SeriesName]:
        """Take up what an earlier run remembered; the names of series whose rule is not in force any more."""
        stale: list[SeriesName] = []
        for name, one in kept:
            compiled = self._rules.get(name.rule)
            if compiled is None or compiled.digest != one.digest:
                stale.append(name)
            else:
                compiled.series.setdefault(name.key, one)
        return stale

    def take(self, input_name: str, message: Message, now: float) -> list[Change]:
        """The changes that a message makes, done here already."""
        view = routed(message)
        watching = [(name, c) for name, c in self._rules.items() if c.rule.input == input_name]
        changes = (self._observe(name, compiled, view, message, now) for name, compiled in watching)
        return [change for change in changes if change is not None]

    def due(self, now: float) -> list[Change]:
        """The changes that time makes by `now`, done here already: firings, and what need not be remembered longer."""
        changes: list[Change] = []
        for name, compiled in self._rules.items():
            for key, kept in list(compiled.series.items()):
                after = advance(kept.series, compiled.timing, now)
                if after is not kept.series or after.is_forgettable(compiled.timing, now):
                    changes.append(self._changed(name, compiled, key, replace(kept, series=after), now))
        return changes

    def next_due(self) -> float | None:
        """Unix seconds at which `due` has something to do next."""
        times = (_wakes_at(kept.series, c.timing) for c in self._rules.values() for kept in c.series.values())
        return min((time for time in times if time is not None), default=None)

    def undo(self, changes: Iterable[Change]) -> None:
        """Take back changes that could not be made durable."""
        for change in changes:
            compiled = self._rules.get(change.name.rule)
            if compiled is not None:
                _put(compiled.series, change.name.key, change.before)

    def raised(self) -> dict[str, int]:
        """How many series of each rule are raised."""
        return {
            name: sum(kept.series.phase is Phase.RAISED for kept in compiled.series.values())
            for name, compiled in self._rules.items()
        }

    def _observe(
        self, name: str, compiled: _Compiled, view: RoutedMessage, message: Message, now: float
    ) -> Change | None:
        rule = compiled.rule
        condition = compile_rule_condition(rule.condition)(view)
        if condition is not True and not compiled.series:
            return None
        key = key_of(rule.key, view)
        kept = compiled.series.get(key, Kept(series=IDLE, message=message, input=rule.input, digest=compiled.digest))
        before = kept.series
        if rule.each:
            after = _each(before, condition, compiled.timing, now)
        else:
            clear = None if rule.clear is None else compile_rule_condition(rule.clear)(view)
            after = observe(before, condition, clear, compiled.timing, now)
        if after is before:
            return None
        if key not in compiled.series and len(compiled.series) >= MAX_SERIES:
            self.refused += 1
            return None
        told = message if before.phase is Phase.IDLE else kept.message
        return self._changed(name, compiled, key, replace(kept, series=after, message=told), now)

    def _changed(self, name: str, compiled: _Compiled, key: str, after: Kept, now: float) -> Change:
        before = compiled.series.get(key)
        remembered = None if after.series.is_forgettable(compiled.timing, now) else _slim(after)
        _put(compiled.series, key, remembered)
        fired = _fires(before, after, compiled.rule)
        return Change(
            name=SeriesName(rule=name, key=key),
            before=before,
            after=remembered,
            wakes_at=None if remembered is None else _wakes_at(remembered.series, compiled.timing),
            firing=_firing(name, key, compiled.rule, after, now) if fired else None,
            actions=compiled.rule.actions if fired else (),
        )


def rule_digest(rule: Rule) -> str:
    """A text that changes when the rule asks something else; times and actions may change without."""
    question = [rule.condition, rule.clear, rule.input, list(rule.key), rule.each]
    return hashlib.sha256(orjson.dumps(question)).hexdigest()[:16]


def _compiled(rule: Rule) -> _Compiled:
    return _Compiled(rule=rule, digest=rule_digest(rule), timing=Timing(hold=rule.hold, cooldown=rule.cooldown))


def _each(before: Series, condition: Truth, timing: Timing, now: float) -> Series:
    """A rule that fires for every message has no phases, only a cool-down."""
    if condition is not True or now < before.quiet_until(timing):
        return before
    return replace(before, since=now, fired_at=now)


def _fires(before: Kept | None, after: Kept, rule: Rule) -> bool:
    """True for a change to raised; of a rule that fires for every message, for every change that a message makes."""
    if rule.each:
        return before is None or before.series is not after.series
    return after.series.phase is Phase.RAISED and (before is None or before.series.phase is not Phase.RAISED)


def _firing(name: str, key: str, rule: Rule, kept: Kept, now: float) -> Firing:
    return Firing(
        id=firing_id(name, key, kept.message, each=rule.each),
        rule=name,
        key=key,
        since=kept.series.since,
        at=now,
        input=kept.input,
        message=kept.message,
    )


def _wakes_at(series: Series, timing: Timing) -> float | None:
    """When a pending series fires, or an idle one need not be remembered any longer."""
    return series.quiet_until(timing) if series.phase is Phase.IDLE else series.due_at(timing)


def _slim(kept: Kept) -> Kept:
    """Without the message, once it has been told or need not be."""
    return kept if kept.series.phase is Phase.PENDING else replace(kept, message=NOTHING)


def _put(series: dict[str, Kept], key: str, kept: Kept | None) -> None:
    if kept is None:
        series.pop(key, None)
    else:
        series[key] = kept
