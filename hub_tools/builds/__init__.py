"""Building the images of modules with whichever container engine is there."""

from __future__ import annotations

from hub_tools.builds.engines import Engine, NoEngineError, find_engine
from hub_tools.builds.plan import Build, plan_builds
from hub_tools.builds.steps import Steps, steps_of

__all__ = ["Build", "Engine", "NoEngineError", "Steps", "find_engine", "plan_builds", "steps_of"]
