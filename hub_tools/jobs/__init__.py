"""Bulk jobs: one change for every device that a query matches, forecast, journalled, followed and undone.

spec = JobSpec(where="tags.building = 'B1'", desired={"reportingInterval": 5})
plan = await make_plan(service, spec, capacity=Capacity.parse("S2:10"))
report = await run_job(service, spec, make_path(plan.path, service, spec), journal=journal)
"""

from __future__ import annotations

from hub_tools.jobs.forecast import Plan
from hub_tools.jobs.job import JobSpec, MethodCall, TwinPath
from hub_tools.jobs.job_service import JobFailedError
from hub_tools.jobs.outcomes import DeviceState, Outcome
from hub_tools.jobs.paths import Path, make_path
from hub_tools.jobs.planning import NoDeviceMatchesError, PlanDriftError, make_plan
from hub_tools.jobs.progress import JobProgress, JobReport, Phase
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_forecast import RolloutPlan, make_rollout_plan
from hub_tools.jobs.rollout_run import run_rollout
from hub_tools.jobs.runner import JobInterruptedError, run_job
from hub_tools.jobs.throttles import Capacity
from hub_tools.jobs.window import Window

__all__ = [
    "Capacity",
    "DeviceState",
    "JobFailedError",
    "JobInterruptedError",
    "JobProgress",
    "JobReport",
    "JobSpec",
    "MethodCall",
    "NoDeviceMatchesError",
    "Outcome",
    "Path",
    "Phase",
    "Plan",
    "PlanDriftError",
    "Rollout",
    "RolloutPlan",
    "TwinPath",
    "Window",
    "make_path",
    "make_plan",
    "make_rollout_plan",
    "run_job",
    "run_rollout",
]
