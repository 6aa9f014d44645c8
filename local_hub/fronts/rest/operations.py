"""Which class of throttles a route of the REST API counts in (IoT Hub documentation, "Quotas and throttling")."""

from __future__ import annotations

import re
from functools import cache

from local_hub.controls.throttles import Operation
from local_hub.fronts.rest.routes import Route

__all__ = ["operation_of"]

_READS = frozenset({"GET"})
# Pattern of the path, the class of reads, the class of all else; the first pattern that is found counts.
_CLASSES: tuple[tuple[str, Operation | None, Operation | None], ...] = (
    (r"^/devices/query$", Operation.QUERY, Operation.QUERY),
    (r"^/devices/\{device\}/messages/events$", None, Operation.DEVICE_TO_CLOUD),
    (r"^/devices/\{device\}/messages/deviceBound", Operation.CLOUD_TO_DEVICE_RECEIVE, None),
    (r"^/devices/\{device\}/files$", None, Operation.UPLOAD),
    (r"^/devices/\{device\}/files/", None, None),
    (r"/applyConfigurationContent$", None, Operation.CONFIGURATION_WRITE),
    (r"^/configurations/testQueries$", None, Operation.CONFIGURATION_READ),
    (r"^/configurations", Operation.CONFIGURATION_READ, Operation.CONFIGURATION_WRITE),
    (r"^/twins/.*/methods$", None, Operation.METHOD),
    (r"^/digitaltwins/.*/commands/", None, Operation.METHOD),
    (r"^/(digital)?twins/", Operation.TWIN_READ, Operation.TWIN_UPDATE),
    (r"^/jobs", Operation.JOB, Operation.JOB),
    (r"^/(devices|statistics)", Operation.REGISTRY_READ, Operation.REGISTRY_WRITE),
)


@cache
def operation_of(route: Route) -> Operation | None:
    """The class; None for what no throttle of the service counts, such as feedback."""
    for pattern, read, other in _CLASSES:
        if re.search(pattern, route.path):
            return read if route.verb in _READS else other
    return None
