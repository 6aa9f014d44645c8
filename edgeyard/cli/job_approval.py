"""Asks whether a wave may begin: whoever sits at this terminal, and whoever says so from another one."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from edgeyard.cli.job_status import JobStatus
from edgeyard.cli.render import print_note, stderr
from hub_tools.jobs.journal import operator_name
from hub_tools.jobs.rollout_run import Approval, WaveOffer
from iot_core.errors import StoreError

__all__ = ["Approver"]


class Approver:
    """Waits for the first answer; see `run_rollout`. Where nobody sits at the terminal only others can give one."""

    def __init__(self, status: JobStatus, job_id: str) -> None:
        self._status = status
        self._job_id = job_id

    async def __call__(self, offer: WaveOffer) -> Approval | None:
        elsewhere = asyncio.ensure_future(self._elsewhere(offer.number))
        asking = [elsewhere]
        wave = f"wave {offer.number} of {offer.of}, {offer.devices:,} more devices"
        if sys.stdin.isatty():
            asking.append(asyncio.ensure_future(_here(f"Begin {wave}?")))
        else:
            print_note(f"{wave}, waits for: edgeyard job approve {self._job_id}")
        try:
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            return next(each.result() for each in asking if each.done())
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _elsewhere(self, wave: int) -> Approval | None:
        """Looks for the note of `edgeyard job approve`."""
        while True:
            with suppress(StoreError):  # away for a moment; the journal says so when it stays away
                if (order := await asyncio.to_thread(self._status.approval, wave)) is not None:
                    print_note(f"wave {wave} was approved {order}")
                    return Approval(operator=order.operator, reason=order.reason)
            await asyncio.sleep(self._status.look_every_s)


async def _here(question: str) -> Approval | None:
    """A line that is typed, without a thread that could not be ended."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()
    stderr.print(f"{question} [y/N]: ", end="", markup=False)

    def read() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        agreed = (await typed).strip().lower() in ("y", "yes")
    finally:
        loop.remove_reader(sys.stdin)
    return Approval(operator=operator_name()) if agreed else None
