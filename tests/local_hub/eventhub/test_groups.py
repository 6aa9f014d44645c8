"""Consumer groups, and who may read a partition in one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from local_hub.eventhub import Receivers, ReceiverStolenError
from local_hub.eventhub.groups import ConsumerGroupError
from local_hub.eventhub.receivers import ReceiverRefusedError
from local_hub.hub import Hub


class TestConsumerGroups:
    async def test_default_is_there_and_names_match_in_any_case(self, hub: Hub) -> None:
        groups = hub.event_hub.groups
        assert groups.names == ("$Default",)
        assert groups.find("$default") == "$Default"
        await groups.add("Dashboard")
        await groups.add("dashboard")
        assert groups.names == ("$Default", "Dashboard")
        assert groups.find("DASHBOARD") == "Dashboard"
        assert groups.find("other") is None

    async def test_they_survive_a_restart(self, open_hub: Callable[[], Awaitable[Hub]]) -> None:
        for wanted in (("$Default",), ("$Default", "b", "c")):
            hub = await open_hub()
            assert hub.event_hub.groups.names == wanted
            await hub.event_hub.groups.add("c")
            await hub.event_hub.groups.add("b")
            await hub.stop()
            await hub.store.close()

    async def test_one_can_be_removed_but_not_default(self, hub: Hub) -> None:
        groups = hub.event_hub.groups
        await groups.add("a")
        await groups.remove("A")
        assert groups.find("a") is None
        for name in ("$Default", "a"):
            with pytest.raises(ConsumerGroupError, match="cannot be removed"):
                await groups.remove(name)

    @pytest.mark.parametrize("name", ["", "a b", "-a", "a.", "$x", "a" * 51])
    async def test_a_bad_name_is_refused(self, hub: Hub, name: str) -> None:
        with pytest.raises(ConsumerGroupError, match="cannot name"):
            await hub.event_hub.groups.add(name)

    async def test_twenty_are_possible(self, hub: Hub) -> None:
        for number in range(19):
            await hub.event_hub.groups.add(f"g{number}")
        with pytest.raises(ConsumerGroupError, match="20 consumer groups already"):
            await hub.event_hub.groups.add("one-more")


class TestReceivers:
    def enter(self, receivers: Receivers, level: int | None, told: list[int | None]) -> Callable[[], None]:
        return receivers.enter("$Default", "0", level, lambda: told.append(level))

    def test_five_without_a_level_read_side_by_side(self) -> None:
        receivers, told = Receivers(), list[int | None]()
        leave = [self.enter(receivers, None, told) for _ in range(5)]
        with pytest.raises(ReceiverRefusedError, match="5 readers"):
            self.enter(receivers, None, told)
        leave[0]()
        leave[0]()
        self.enter(receivers, None, told)
        assert told == []

    @pytest.mark.parametrize(("before", "newcomer"), [(None, 0), (0, 0), (1, 7)])
    def test_an_owner_takes_over(self, before: int | None, newcomer: int) -> None:
        receivers, told = Receivers(), list[int | None]()
        self.enter(receivers, before, told)
        self.enter(receivers, newcomer, [])
        assert told == [before]

    @pytest.mark.parametrize(("before", "newcomer"), [(0, None), (3, None), (3, 2)])
    def test_an_owner_keeps_others_out(self, before: int, newcomer: int | None) -> None:
        receivers, told = Receivers(), list[int | None]()
        leave = self.enter(receivers, before, told)
        with pytest.raises(ReceiverStolenError, match=f"owner of level {before}"):
            self.enter(receivers, newcomer, told)
        leave()
        self.enter(receivers, newcomer, told)
        assert told == []

    def test_groups_and_partitions_do_not_meet_and_groups_match_in_any_case(self) -> None:
        receivers, told = Receivers(), list[str]()
        receivers.enter("a", "0", 1, lambda: told.append("a"))
        receivers.enter("a", "1", 0, lambda: told.append("a1"))
        receivers.enter("b", "0", 0, lambda: told.append("b"))
        assert told == []
        receivers.enter("A", "0", 2, lambda: None)
        assert told == ["a"]
