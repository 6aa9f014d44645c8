"""A job on some of the devices that it matches, named by id: those of a wave, or those that get a cohort's tag."""

from __future__ import annotations

from collections.abc import Sequence

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.outcomes import DeviceState, Outcome, Tally
from hub_tools.jobs.population import QUERY_BUDGET_CHARACTERS, DeviceRow, id_conditions, read_devices
from hub_tools.jobs.runner import HOLDS, SECTION_VERSION, Noted, Remaining
from hub_tools.jobs.throttles import Capacity, query_pace
from hub_tools.jobs.timing import Timing
from hub_tools.jobs.twins import Holders
from hub_tools.service import HubService

__all__ = ["note_devices"]

LEAST_ROOM = 400


async def note_devices(
    service: HubService, journal: Journal, devices: Sequence[str], *, capacity: Capacity | None, timing: Timing
) -> Remaining:
    """Read what devices that the journal does not know hold now and note it; what is to be done with them.

    Those that match the job's condition no more are left out, those that hold the values already are skipped.
    """
    spec, taken = journal.head.spec, _Taken(journal)
    condition = "" if spec.where.strip() == EVERY_DEVICE else f" AND ({spec.where})"
    pace = query_pace(capacity, timing)
    holders = Holders(service, spec, capacity=capacity, timing=timing)
    for ids, _ in id_conditions(devices, budget=max(QUERY_BUDGET_CHARACTERS - len(condition), LEAST_ROOM)):
        async for page in read_devices(service, spec, f"{ids}{condition}", pace=pace):
            for row in await holders.checked(page.rows):
                taken.take(row)
            journal.sync()
    matched = taken.tally.counts.total()
    return Remaining(matched=matched, tally=taken.tally, to_write=taken.to_write, versions=taken.versions)


class _Taken:
    """Devices as they are noted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._awaits = journal.head.spec.awaits
        self.tally = Tally()
        self.to_write: dict[str, Noted] = {}
        self.versions: dict[str, int] = {}

    def take(self, row: DeviceRow) -> None:
        self._journal.before(row.device_id, row.previous, {**row.versions, SECTION_VERSION: row.version})
        if row.holds:
            self._journal.outcome(row.device_id, DeviceState.SKIPPED, HOLDS)
            self.tally.add(Outcome(device_id=row.device_id, state=DeviceState.SKIPPED, cause=HOLDS))
            return
        self.tally.add(Outcome(device_id=row.device_id, state=DeviceState.PENDING))
        self.to_write[row.device_id] = Noted.of(row)
        if self._awaits and row.connected:
            self.versions[row.device_id] = row.version
