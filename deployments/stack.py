"""What edge devices run, by their tags: the stack of `edgeyard demo`, and a start for your own.

edgeyard preview
edgeyard up
"""

from __future__ import annotations

from aggregator import aggregator
from base import base, replay
from images import images_of
from scorer import emotion, gpu, scorer
from sentiment import sentiment
from trigger import trigger

from hub_tools.groups import Group
from hub_tools.stacks.program import Stack

STACK = "yard"


def program(stack: Stack) -> None:
    """A base for all devices of the environment, and a layer for each thing that a device can do."""
    image_of = images_of(stack.settings)
    devices = Group("all", f"tags.environment = '{stack.environment}'")

    def able(what: str) -> Group:
        return devices & Group(what, f"tags.{what} = true")

    source = replay(image_of)
    stack.add(base(devices, image_of))
    stack.add(sentiment(able("texts"), image_of, source, billing=stack.settings["billing"]))
    stack.add(scorer(able("temperatures"), image_of, source))
    stack.add(emotion(able("faces"), image_of))
    stack.add(gpu(able("temperatures") & Group("gpu", "tags.gpu = true"), image_of))
    stack.add(aggregator(able("windows"), image_of, source))
    stack.add(trigger(able("alerts"), image_of, source))
    stack.output("devices", devices.condition)
    stack.output("scorerImage", image_of("scorer"))
