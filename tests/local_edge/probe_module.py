"""A module as users write them, on the unmodified SDK: started by the edge with nothing but the edge environment.

It sends numbered messages to output `out` on method `send`, echoes what comes to input `in` to output `echo`, reports
the desired property `colour`, and on method `call` calls a method of another module.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from azure.iot.device import Message, MethodRequest, MethodResponse
from azure.iot.device.aio import IoTHubModuleClient


class Probe:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def on_message(self, message: Message) -> None:
        body = {
            "input": message.input_name,
            "body": json.loads(message.data),
            "from": message.custom_properties.get("origin"),
        }
        await self._send("echo", body)

    async def on_desired(self, patch: dict[str, Any]) -> None:
        if "colour" in patch:
            await self._client.patch_twin_reported_properties({"colour": patch["colour"]})

    async def on_method(self, request: MethodRequest) -> None:
        payload: Any = request.payload or {}
        if request.name == "send":
            for number in range(payload["first"], payload["first"] + payload["count"]):
                await self._send("out", {"number": number})
            answer: Any = {"sent": payload["count"]}
        elif request.name == "call":
            answer = await self._client.invoke_method(
                {"methodName": "hello", "payload": "from afar", "responseTimeoutInSeconds": 10},
                os.environ["IOTEDGE_DEVICEID"],
                payload["module"],
            )
        else:
            answer = {"me": os.environ["IOTEDGE_MODULEID"], "got": request.payload, "colour": os.environ.get("COLOUR")}
        await self._client.send_method_response(MethodResponse.create_from_method_request(request, 200, answer))

    async def _send(self, output: str, body: dict[str, Any]) -> None:
        message = Message(json.dumps(body))
        message.content_type, message.content_encoding = "application/json", "utf-8"
        message.custom_properties["origin"] = "probe"
        await self._client.send_message_to_output(message, output)


async def main() -> None:
    client = IoTHubModuleClient.create_from_edge_environment()
    probe = Probe(client)
    await client.connect()
    client.on_message_received = probe.on_message
    client.on_twin_desired_properties_patch_received = probe.on_desired
    client.on_method_request_received = probe.on_method
    twin = await client.get_twin()
    await probe.on_desired(twin["desired"])
    print("probe ready", *sys.argv[1:], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
