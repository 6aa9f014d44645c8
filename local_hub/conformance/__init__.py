"""The conformance ledger: how close each operation of this hub is to IoT Hub, as data and as docs/conformance.md."""

from local_hub.conformance.entries import Entry, State
from local_hub.conformance.ledger import LEDGER
from local_hub.conformance.page import render_markdown

__all__ = ["LEDGER", "Entry", "State", "render_markdown"]
