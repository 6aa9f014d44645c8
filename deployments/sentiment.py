"""The sentiment layer: Azure's sentiment container, and the module that has it judge texts."""

from __future__ import annotations

from images import ImageOf

from hub_tools.groups import Group
from hub_tools.manifests import CreateOptions, Layer, Module, Route, secret, upstream

__all__ = ["sentiment"]

CONTAINER = "mcr.microsoft.com/azure-cognitive-services/textanalytics/sentiment:3.0-en"


def sentiment(devices: Group, image_of: ImageOf, texts: Module, *, billing: str) -> Layer:
    """Texts of the output "texts" are scored on the device; `billing` is the endpoint of a Language resource."""
    container = Module(
        name="sentiment-container",
        image=CONTAINER,
        version="1.0",
        startup_order=1,
        create_options=CreateOptions.of(
            env={"Eula": "accept", "Billing": billing, "ApiKey": secret("TEXT_ANALYTICS_KEY")}, memory="4g"
        ),
        ports={5000: 5000},
    )
    scoring = Module(
        name="sentiment",
        image=image_of("sentiment"),
        version="1.0",
        create_options=CreateOptions.of(memory="256m"),
        desired={"reportingInterval": 10},
    )
    return Layer(
        name="sentiment",
        target=devices,
        priority=20,
        modules=[container, scoring],
        routes=[
            Route("textsToSentiment", texts.output("texts") >> scoring.input("texts")),
            Route("scoredTextsToHub", scoring.output("scored") >> upstream),
        ],
    )
