"""What an App tells about itself while it works, for metrics and health."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Observer", "Silent"]


class Observer(Protocol):
    """Called on the event loop, after the fact; must not raise or wait."""

    def connected(self, connected: bool) -> None:
        """The connection to the hub was made or lost."""

    def in_step(self, in_step: bool) -> None:
        """The twin has been read and applied on this connection, or that no longer holds."""

    def received(self, name: str) -> None:
        """A message came to the input `name`."""

    def sent(self, output: str | None) -> None:
        """The hub acknowledged a message to `output`, or telemetry (None)."""

    def failed(self, kind: str) -> None:
        """Something went wrong; `kind` is one of few fixed texts, such as the class of an error."""

    def settings_applied(self, version: int) -> None:
        """The desired properties of this $version are in force, or refused one by one."""

    def patch_reported(self) -> None:
        """The hub acknowledged a patch of the reported properties."""


class Silent:
    """An Observer that does nothing."""

    def connected(self, connected: bool) -> None: ...
    def in_step(self, in_step: bool) -> None: ...
    def received(self, name: str) -> None: ...
    def sent(self, output: str | None) -> None: ...
    def failed(self, kind: str) -> None: ...
    def settings_applied(self, version: int) -> None: ...
    def patch_reported(self) -> None: ...
