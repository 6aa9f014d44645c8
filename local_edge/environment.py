"""The environment variables that every module gets.

Names: IoT Edge runtime, "EdgeAgent and EdgeHub environment" (the IOTEDGE_* family), which the Azure SDKs read in
`create_from_edge_environment`. Order of precedence, lowest first: manifest `env`, IOTEDGE_*, createOptions `Env`.
"""

from __future__ import annotations

from iot_core.manifest.model import ModuleSpec
from local_edge.agent import create_options

__all__ = ["WORKLOAD_API_VERSION", "module_environment"]

WORKLOAD_API_VERSION = "2022-08-03"


def module_environment(
    module: ModuleSpec, *, hub: str, device: str, gateway: str, generation: str, workload_uri: str
) -> dict[str, str]:
    """All variables of one module, manifest and createOptions included."""
    injected = {
        "IOTEDGE_WORKLOADURI": workload_uri,
        "IOTEDGE_APIVERSION": WORKLOAD_API_VERSION,
        "IOTEDGE_AUTHSCHEME": "sasToken",
        "IOTEDGE_IOTHUBHOSTNAME": hub,
        "IOTEDGE_DEVICEID": device,
        "IOTEDGE_MODULEID": module.name,
        "IOTEDGE_MODULEGENERATIONID": generation,
        "IOTEDGE_GATEWAYHOSTNAME": gateway,
    }
    defaults = {"RuntimeLogLevel": "info"}
    return defaults | dict(module.env) | injected | create_options.environment(module)
