"""The aggregator layer: temperatures by sensor and minute, in place of every reading."""

from __future__ import annotations

from images import ImageOf

from hub_tools.groups import Group
from hub_tools.manifests import CreateOptions, Layer, Module, Route, upstream

__all__ = ["aggregator"]


def aggregator(devices: Group, image_of: ImageOf, temperatures: Module) -> Layer:
    """Windows of the output "temperature"; their state is in a volume, which outlives the container."""
    windows = Module(
        name="aggregator",
        image=image_of("aggregator"),
        version="1.0",
        create_options=CreateOptions.of(memory="256m", binds=["aggregator:/var/lib/aggregator"]),
        desired={
            "reportingInterval": 10,
            "definitions": {
                "perMinute": {
                    "window": {"type": "tumbling", "size": 60},
                    "groupBy": {"sensor": "$body.sensor"},
                    "aggregates": {
                        "readings": {"function": "count"},
                        "lowest": {"function": "min", "of": "$body.temperature"},
                        "mean": {"function": "avg", "of": "$body.temperature"},
                        "highest": {"function": "max", "of": "$body.temperature"},
                    },
                }
            },
        },
    )
    return Layer(
        name="aggregator",
        target=devices,
        priority=60,
        modules=[windows],
        routes=[
            Route("temperaturesToAggregator", temperatures.output("temperature") >> windows.input("messages")),
            Route("resultsToHub", windows.output("results") >> upstream),
            Route("lateRecordsToHub", windows.output("late") >> upstream),
        ],
    )
