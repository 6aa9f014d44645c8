"""``python -m local_hub``: the hub alone, without the rest of Edgeyard's commands."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from iot_core.errors import EdgeyardError, InputError
from iot_core.limits import TIERS
from local_hub.config import HubConfig
from local_hub.controls.like_azure import LIKE_AZURE_VARIABLE, like_azure
from local_hub.eventhub.retention import RetentionOptions
from local_hub.files.options import BUILT_IN, CONTAINER, FileUploadOptions
from local_hub.local_hub import serve


def main(arguments: list[str] | None = None) -> int:
    """Run a hub until SIGTERM or SIGINT; 0 done, 1 failed, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m local_hub", description="A local Azure IoT Hub.")
    parser.add_argument("--home", type=Path, default=Path(".edgeyard"), help="data folder (default: .edgeyard)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--http-port", type=int, help="HTTPS port (default: 443, or 8443 where that is not permitted)")
    parser.add_argument("--mqtt-port", type=int, default=8883, help="MQTT port (default: 8883)")
    parser.add_argument("--amqp-port", type=int, default=5671, help="AMQP port (default: 5671)")
    parser.add_argument("--eventhub-plain-port", type=int, help="serve AMQP without TLS too, such as on 5672")
    parser.add_argument("--partitions", type=int, help="of the built-in endpoint of a new hub (default: 4)")
    parser.add_argument("--retention-days", type=int, default=1, help="how long it keeps events, 1 to 7 (default: 1)")
    parser.add_argument("--tier", default="S3", choices=sorted(TIERS), help="whose limits hold (default: S3)")
    parser.add_argument("--throttle", action="store_true", help="rates, quota and job limits of the tier hold")
    parser.add_argument(
        "--like-azure",
        metavar="TIER[:UNITS]",
        default=os.environ.get(LIKE_AZURE_VARIABLE),
        help=f"as slow and as late as a real hub, such as S2:10 (default: {LIKE_AZURE_VARIABLE})",
    )
    parser.add_argument("--seed", type=Path, help="JSON file of devices and configurations that the hub has to hold")
    parser.add_argument(
        "--storage", default=BUILT_IN, help="for uploads: built-in (default), off, or a connection string"
    )
    parser.add_argument("--storage-container", default=CONTAINER, help=f"container in it (default: {CONTAINER})")
    parser.add_argument("--log-level", default="WARNING", type=str.upper, help="INFO tells why devices are refused")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=given.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return _serve(given)
    except EdgeyardError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


def _serve(given: argparse.Namespace) -> int:
    config = HubConfig(
        home=given.home,
        host=given.host,
        http_port=given.http_port,
        mqtt_port=given.mqtt_port,
        amqp_port=given.amqp_port,
        eventhub_plain_port=given.eventhub_plain_port,
        partitions=given.partitions,
        retention=RetentionOptions(days=given.retention_days),
        tier=given.tier,
        throttle=given.throttle,
        seed=given.seed,
        file_upload=FileUploadOptions(storage=given.storage, container=given.storage_container),
    )
    if given.like_azure:
        config = like_azure(config, given.like_azure)
    serve(config, announce=lambda line: print(line, flush=True), warn=lambda line: print(line, file=sys.stderr))
    return 0


if __name__ == "__main__":
    sys.exit(main())
