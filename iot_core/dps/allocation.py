"""Custom allocation: what a webhook is asked, and what it may answer (DPS documentation, "Understand custom allocation
policies").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from iot_core.dps.errors import provisioning_error
from iot_core.dps.fields import bad, object_of, text_of
from iot_core.dps.registration import Registration
from iot_core.dps.twins import parse_initial_twin
from iot_core.errors import HubError, TwinError
from iot_core.json_types import JsonObject

__all__ = ["Allocation", "CustomAllocation", "allocation_request", "parse_allocation", "parse_custom_allocation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomAllocation:
    """Who decides; the URL may hold a key, so it stays out of the repr."""

    webhook_url: str = field(repr=False)
    api_version: str

    @property
    def document(self) -> JsonObject:
        return {"webhookUrl": self.webhook_url, "apiVersion": self.api_version}


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """What was decided; ``payload`` goes to the device as it is."""

    iot_hub: str
    initial_twin: JsonObject | None = None
    payload: Any = None


def parse_custom_allocation(body: JsonObject, policy: str) -> CustomAllocation | None:
    """The webhook of an enrolment with the policy "custom", else None; HubError BadRequest."""
    given = object_of(body, "customAllocationDefinition")
    if policy != "custom":
        return None
    url = text_of(given or {}, "webhookUrl")
    version = text_of(given or {}, "apiVersion")
    if not url or not version:
        raise bad("allocationPolicy custom needs customAllocationDefinition with webhookUrl and apiVersion.")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise bad("customAllocationDefinition.webhookUrl must be an http or https URL.")
    return CustomAllocation(webhook_url=url, api_version=version)


def allocation_request(
    enrollment: JsonObject,
    *,
    registration_id: str,
    attested: JsonObject,
    previous: Registration | None,
    payload: Any,
    linked_hubs: Sequence[str],
) -> JsonObject:
    """The body of the call: ``enrollment`` as services read it, ``attested`` the block of the attestation used.

    The key in the webhook's URL is not sent along.
    """
    kind = "enrollmentGroup" if "enrollmentGroupId" in enrollment else "individualEnrollment"
    context: JsonObject = {"registrationId": registration_id}
    if previous is not None and previous.assigned_hub:
        context |= {"currentIotHubHostName": previous.assigned_hub, "currentDeviceId": previous.device_id}
    context |= attested
    if payload is not None:
        context["payload"] = payload
    return {kind: _without_key(enrollment), "deviceRuntimeContext": context, "linkedHubs": list(linked_hubs)}


def parse_allocation(answer: Any) -> Allocation:
    """What a webhook answered; HubError CustomAllocationFailed for one that allocates nothing."""
    try:
        if not isinstance(answer, dict):
            raise bad("the answer is not a JSON object.")
        # The documentation spells it both ways.
        host = text_of(answer, "iotHubHostName") or text_of(answer, "iotHubHostname")
        if not host:
            raise bad("iotHubHostName is missing.")
        twin = parse_initial_twin(answer)
    except (HubError, TwinError) as error:
        text = error.message if isinstance(error, HubError) else f"{error}."
        raise provisioning_error("CustomAllocationFailed", f"Custom allocation failed: {text}") from error
    return Allocation(iot_hub=host, initial_twin=twin, payload=answer.get("payload"))


def _without_key(enrollment: JsonObject) -> JsonObject:
    definition = enrollment.get("customAllocationDefinition")
    if not isinstance(definition, dict):
        return enrollment
    url, mark, _ = str(definition.get("webhookUrl", "")).partition("?")
    shown = f"{url}?****" if mark else url
    return {**enrollment, "customAllocationDefinition": {**definition, "webhookUrl": shown}}
