"""The trigger layer: alerts for sensors that are too hot, and for modules that refuse their reporting interval."""

from __future__ import annotations

from images import ImageOf

from hub_tools.groups import Group
from hub_tools.manifests import CreateOptions, Layer, Module, Route, upstream

__all__ = ["trigger"]


def trigger(devices: Group, image_of: ImageOf, temperatures: Module) -> Layer:
    """Rules on the output "temperature" and on what modules report. Alerts that wait are in a volume, which outlives
    the container.
    """
    rules = Module(
        name="trigger",
        image=image_of("trigger"),
        version="1.0",
        create_options=CreateOptions.of(memory="256m", binds=["trigger:/data"]),
        desired={
            "reportingInterval": 10,
            "actions": {"alert": {"type": "output", "output": "alerts"}},
            "rules": {
                "hot": {
                    "condition": "$body.temperature > 30",
                    "clear": "$body.temperature < 27",
                    "cooldown": 600,
                    "key": ["$body.sensor"],
                    "actions": ["alert"],
                },
                "refused": {
                    "input": "twinChanges",
                    "condition": "$body.reportingInterval.ac >= 400",
                    "clear": "$body.reportingInterval.ac < 400",
                    "actions": ["alert"],
                },
            },
        },
    )
    return Layer(
        name="trigger",
        target=devices,
        priority=70,
        modules=[rules],
        routes=[
            Route("temperaturesToTrigger", temperatures.output("temperature") >> rules.input("telemetry")),
            Route("twinChangesToTrigger", f"FROM /twinChangeNotifications INTO {rules.input('twinChanges')}"),
            Route("alertsToHub", rules.output("alerts") >> upstream, priority=0),
        ],
    )
