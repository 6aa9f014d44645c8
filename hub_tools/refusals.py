"""What a refusal means to whoever is refused: where a right lacks, which one."""

from __future__ import annotations

from hub_tools.replies import Reply, error_of
from hub_tools.rights import entra_role_of, right_of
from iot_core.errors import HubError

__all__ = ["refusal_of"]

UNAUTHORIZED = frozenset({"IotHubUnauthorized", "IotHubUnauthorizedAccess", "Http401", "Http403"})


def refusal_of(reply: Reply, method: str, path: str, caller: str) -> HubError:
    """The refusal of an operation by verb and path; where ``caller`` may not do this, it names the missing right."""
    error = error_of(reply)
    if reply.status not in (401, 403) or error.name not in UNAUTHORIZED:
        return error
    right = right_of(method, path)
    needs = f"{method} {path} needs {right} (in Entra: {entra_role_of(right)}), which {caller} "
    return HubError(error.code, error.name, error.status, f"{needs}may not have. The hub says: {error.message}")
