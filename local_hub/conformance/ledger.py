"""All rows, grouped by area."""

from __future__ import annotations

from local_hub.conformance import (
    amqp,
    blobs,
    configurations,
    digital_twins,
    events,
    files,
    jobs,
    messages,
    mqtt,
    provisioning,
    queries,
    registry,
    security,
    twins,
)
from local_hub.conformance.entries import Entry

__all__ = ["LEDGER"]

LEDGER: tuple[Entry, ...] = (
    *security.ROWS,
    *registry.ROWS,
    *twins.ROWS,
    *queries.ROWS,
    *digital_twins.ROWS,
    *jobs.ROWS,
    *configurations.ROWS,
    *messages.ROWS,
    *files.ROWS,
    *blobs.ROWS,
    *mqtt.ROWS,
    *amqp.ROWS,
    *events.ROWS,
    *provisioning.ROWS,
)
"""Every operation, grouped by area."""
