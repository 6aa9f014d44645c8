"""azure-iot-hub's registry manager, ended in the thread that made it.

The manager's own finaliser closes its uamqp connection in whichever thread the garbage collector happens to run, and
uamqp crashes the interpreter when that is another one.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

__all__ = ["registry_manager"]


@contextlib.contextmanager
def registry_manager(connection_string: object, **options: Any) -> Iterator[Any]:
    """An IoTHubRegistryManager for a policy's connection string; `options` as `from_connection_string` takes them."""
    from azure.iot.hub import IoTHubRegistryManager

    manager = IoTHubRegistryManager.from_connection_string(str(connection_string), **options)
    try:
        yield manager
    finally:
        manager.protocol.close()
        manager.amqp_svc_client.disconnect_sync()
        manager.amqp_svc_client = None
        gc.collect()
