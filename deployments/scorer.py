"""The scorer layers: anomalies in temperatures, photographs, faces; and the same on an NVIDIA GPU."""

from __future__ import annotations

from dataclasses import replace

from images import ImageOf

from hub_tools.groups import Group
from hub_tools.manifests import CreateOptions, Layer, Module, Route, upstream

__all__ = ["emotion", "gpu", "scorer"]


def scorer(devices: Group, image_of: ImageOf, temperatures: Module) -> Layer:
    """Anomalies go to the hub before all else, and are kept for a day while it is away. POST /score is on port 5001."""
    scoring = _scorer(image_of("scorer"))
    return Layer(
        name="scorer",
        target=devices,
        priority=30,
        modules=[scoring],
        routes=[
            Route("temperaturesToScorer", temperatures.output("temperature") >> scoring.input("telemetry")),
            Route("anomaliesToHub", scoring.output("anomalies") >> upstream, priority=0, ttl_s=86_400),
        ],
    )


def emotion(devices: Group, image_of: ImageOf) -> Layer:
    """A scorer of its own for faces, which has 5001 inside its container and 5002 on the host."""
    faces = Module(
        name="emotion",
        image=image_of("scorer"),
        version="1.0",
        create_options=CreateOptions.of(memory="512m"),
        ports={5001: 5002},
        desired={
            "reportingInterval": 60,
            "defaultModel": "emotion",
            "models": {"classifier": {"enabled": False}, "anomaly": {"enabled": False}},
        },
    )
    return Layer(name="emotion", target=devices, priority=40, modules=[faces])


def gpu(devices: Group, image_of: ImageOf) -> Layer:
    """The scorer's image for NVIDIA GPUs in place of the other, with all GPUs of the device."""
    accelerated = replace(_scorer(image_of("scorer.gpu.amd64")), gpu=True, desired=None)
    return Layer(
        name="gpu",
        target=devices,
        priority=50,
        modules=[accelerated],
        settings={"scorer": {"providers": ["cuda", "cpu"]}},
    )


def _scorer(image: str) -> Module:
    return Module(
        name="scorer",
        image=image,
        version="1.0",
        create_options=CreateOptions.of(memory="1g"),
        ports={5001: 5001},
        desired={"reportingInterval": 10},
    )
