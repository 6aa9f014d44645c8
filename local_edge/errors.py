"""The errors of the local edge, as a tree.

EdgeyardError
├── InputError
│   ├── ManifestError
│   │   └── DeploymentError        the desired properties of $edgeAgent or $edgeHub cannot be applied
│   └── SettingsError
│       └── EdgeSettingsError      the edge was configured wrongly
└── EdgeError                      the edge cannot do what it was asked to do
    ├── AddressError               the listening address or port cannot be taken
    ├── AlreadyRunningError        another edge uses the same home
    ├── NotRunningError            no edge answers for this home
    ├── EngineError                a module cannot be started or stopped
    ├── RegistryRefusedError       the hub refused an identity call for good
    ├── TwinRefusedError           the hub refused a reported patch for good
    └── UpstreamError              the hub cannot be reached now; try again later
"""

from __future__ import annotations

from iot_core.errors import EdgeyardError, ManifestError, SettingsError

__all__ = [
    "AddressError",
    "AlreadyRunningError",
    "DeploymentError",
    "EdgeError",
    "EdgeSettingsError",
    "EngineError",
    "NotRunningError",
    "RegistryRefusedError",
    "TwinRefusedError",
    "UpstreamError",
]


class DeploymentError(ManifestError):
    """A deployment that cannot be applied; `code` is the lastDesiredStatus code to report."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.code = code


class EdgeSettingsError(SettingsError):
    """Wrong configuration of the edge itself, such as a malformed engine table."""


class EdgeError(EdgeyardError):
    """Base of what goes wrong while the edge runs."""


class AddressError(EdgeError):
    """The address or port to listen on is taken or does not exist."""


class AlreadyRunningError(EdgeError):
    """Another edge holds the lock of this home."""


class NotRunningError(EdgeError):
    """No running edge answers for this home."""


class EngineError(EdgeError):
    """A module could not be started, stopped or read."""


class RegistryRefusedError(EdgeError):
    """The hub's registry answered with a refusal that trying again does not cure."""


class TwinRefusedError(EdgeError):
    """The hub says that a reported patch breaks its rules."""


class UpstreamError(EdgeError):
    """The hub is away, slow or busy: the operation may succeed later."""
