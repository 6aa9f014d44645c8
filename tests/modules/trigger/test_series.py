"""One rule, one key: the state machine."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from iot_core.routing import UNDEFINED, Truth
from modules.trigger.series import IDLE, Phase, Series, Timing, advance, observe

NEVER = Timing(hold=0, cooldown=0)


@dataclass
class Watched:
    """A series with a clock; counts firings."""

    timing: Timing
    series: Series = IDLE
    now: float = 1_000.0
    fired: int = 0

    def see(self, condition: Truth, clear: Truth | None = None, after: float = 0) -> Phase:
        self.now += after
        return self._become(observe(self.series, condition, clear, self.timing, self.now))

    def wait(self, seconds: float) -> Phase:
        self.now += seconds
        return self._become(advance(self.series, self.timing, self.now))

    def _become(self, series: Series) -> Phase:
        self.fired += series.phase is Phase.RAISED and self.series.phase is not Phase.RAISED
        self.series = series
        return series.phase


def test_it_fires_once_until_the_condition_is_false() -> None:
    rule = Watched(NEVER)
    assert [rule.see(truth) for truth in (True, True, False, True)] == ["raised", "raised", "idle", "raised"]
    assert rule.fired == 2


def test_an_undefined_condition_changes_nothing() -> None:
    rule = Watched(NEVER)
    assert rule.see(UNDEFINED) is Phase.IDLE
    rule.see(True)
    assert rule.see(UNDEFINED) is Phase.RAISED


def test_for_fires_in_time_even_if_no_more_messages_come() -> None:
    rule = Watched(Timing(hold=60, cooldown=0))
    assert rule.see(True) is Phase.PENDING
    assert rule.series.due_at(rule.timing) == 1_060
    assert rule.wait(59) is Phase.PENDING
    assert rule.wait(1) is Phase.RAISED


def test_for_begins_anew_when_the_condition_was_false_meanwhile() -> None:
    rule = Watched(Timing(hold=60, cooldown=0))
    rule.see(True)
    assert rule.see(False, after=59) is Phase.IDLE
    rule.see(True)
    assert rule.wait(59) is Phase.PENDING


def test_with_a_clear_condition_only_that_one_ends_it() -> None:
    rule = Watched(NEVER)
    rule.see(True, False)
    assert rule.see(False, False) is Phase.RAISED
    assert rule.see(False, UNDEFINED) is Phase.RAISED
    assert rule.see(False, True) is Phase.IDLE
    assert rule.fired == 1


def test_a_condition_that_is_true_together_with_clear_counts() -> None:
    rule = Watched(NEVER)
    rule.see(True, True)
    assert rule.see(True, True) is Phase.RAISED


def test_while_pending_the_condition_itself_ends_it() -> None:
    rule = Watched(Timing(hold=60, cooldown=0))
    rule.see(True, False)
    assert rule.see(False, False) is Phase.IDLE


def test_after_a_firing_it_is_quiet_for_the_cool_down_and_then_fires_if_it_still_holds() -> None:
    rule = Watched(Timing(hold=0, cooldown=300))
    rule.see(True)
    rule.see(False)
    assert rule.see(True, after=10) is Phase.PENDING
    assert rule.series.due_at(rule.timing) == 1_300
    assert rule.wait(290) is Phase.RAISED


@pytest.mark.parametrize(("seconds", "forgettable"), [(299, False), (300, True)])
def test_it_is_forgotten_when_the_cool_down_is_over(seconds: float, forgettable: bool) -> None:
    rule = Watched(Timing(hold=0, cooldown=300))
    rule.see(True)
    rule.see(False)
    assert rule.series.is_forgettable(rule.timing, rule.now + seconds) is forgettable
