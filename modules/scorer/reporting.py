"""The reported property `models`: the acknowledgement of the desired one, and what became of each model, together.

    {"value": {…}, "ac": 200, "av": 7, "ad": "applied",
     "emotion": {"status": "ready", "sha256": "…", "provider": "CPUExecutionProvider"}, …}

`ac` is 202 while models are loading and 400 when one could not be loaded; `value` then holds for that model what was
last in force ("IoT Plug and Play conventions", "Acknowledgment responses").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.scorer.catalogue import Catalogue

__all__ = ["ModelsReport"]

Json = dict[str, Any]
PENDING, REFUSED = 202, 400
LONGEST_REASON = 256  # characters, as of every other setting


class ModelsReport:
    """Follows acknowledgements and the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._acknowledgement: Json = {}
        self._in_force: Json = {}
        self._settled = True

    def acknowledged(self, acknowledgement: Mapping[str, Any]) -> None:
        """The settings were applied or refused: what would be reported for `models`."""
        if acknowledgement["value"] != self._acknowledgement.get("value"):
            self._settled = False
        self._acknowledgement = dict(acknowledgement)

    def settled(self) -> None:
        """The catalogue is as the settings last acknowledged want it, or could not be."""
        self._settled = True
        statuses, wanted = self._catalogue.statuses(), self._acknowledgement.get("value", {})
        good = [name for name in wanted if statuses.get(name, {}).get("status") in ("ready", "disabled")]
        self._in_force = {**self._in_force, **{name: wanted[name] for name in good}}

    def property(self) -> Json:
        """The reported property as it is now."""
        statuses = self._catalogue.statuses()
        return {**self._outcome(statuses), **statuses}

    def _outcome(self, statuses: Mapping[str, Mapping[str, str]]) -> Json:
        found = self._acknowledgement
        if not found or found["ac"] == REFUSED:
            return found
        wanted: Json = found["value"]
        states = {name: statuses.get(name, {}).get("status") for name in wanted}
        if wanted and (not self._settled or "loading" in states.values()):
            return {**found, "ac": PENDING, "ad": "loading"}
        refused = [name for name, state in states.items() if state == "failed"]
        if not refused:
            return found
        value = {name: spec for name, spec in wanted.items() if name not in refused}
        value |= {name: self._in_force[name] for name in refused if name in self._in_force}
        reasons = "; ".join(f"{name}: {statuses[name].get('reason')}" for name in refused)
        return {**found, "value": value, "ac": REFUSED, "ad": reasons[:LONGEST_REASON]}
