"""Scheduled jobs."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_CORE = "tests/local_hub/test_jobs.py"

ROWS = area(
    "Jobs (HTTPS)",
    row(
        "PUT /jobs/v2/{job}",
        _EXACT,
        "tests/local_hub/fronts/test_service_sdk.py::test_a_job_changes_every_twin_that_its_condition_names",
        "At most 168 hours ahead; one hour where maxExecutionTimeInSeconds is left out.",
    ),
    row(
        "GET /jobs/v2/{job}",
        _EXACT,
        "tests/local_hub/fronts/test_service_sdk.py::test_a_job_changes_every_twin_that_its_condition_names",
        "An unknown id is 200 with type and status unknown.",
    ),
    row(
        "POST /jobs/v2/{job}/cancel",
        _EXACT,
        "tests/node/test_node_service.py::test_a_job_for_later_is_cancelled",
        "A job that runs or has ended is 405102.",
    ),
    row("GET /jobs/v2/query", _DOCUMENTED, f"{_CORE}::TestRules::test_jobs_are_found_by_type_and_status"),
    row(
        "scheduleUpdateTwin",
        _EXACT,
        "tests/node/test_node_service.py::test_a_twin_job_runs_on_the_devices_it_names",
        "The etag must be a star.",
        "local_hub/jobs/rows.py::WORK_KEYS",
    ),
    row(
        "scheduleDeviceMethod",
        _EXACT,
        "tests/node/test_node_service.py::test_a_method_job_calls_the_devices_it_names",
        "A device that is away fails; the job is completed.",
        "local_hub/jobs/calls.py::MethodCalls",
    ),
    row(
        "Conditions of jobs",
        _APPROXIMATE,
        f"{_CORE}::TestTwinJobs::test_conditions_choose_the_devices",
        "A bad one is found when the job starts, which then fails. FROM devices.modules WHERE is taken, by analogy.",
        "local_hub/jobs/runner.py::JobRunner",
    ),
    row(
        "Statuses of jobs and of their devices",
        _DOCUMENTED,
        f"{_CORE}::TestTwinJobs::test_its_states_are_published",
        "queued at first; cancelled for a job, canceled for a device.",
        "local_hub/jobs/jobs.py::TRANSITIONS",
    ),
    row(
        "Limits of the tier on jobs",
        _DOCUMENTED,
        f"{_CORE}::TestTiers::test_scheduled_jobs_hold_the_slots_of_the_tier",
        "With --throttle: 1, 5 or 10 jobs at once and the documented devices a second. Without it, which is the "
        "default, neither holds.",
        "local_hub/jobs/pace.py::JobPace",
    ),
    row(
        "History of jobs",
        _DOCUMENTED,
        f"{_CORE}::TestRestart::test_jobs_are_forgotten_after_thirty_days",
        "30 days, looked at when the hub starts.",
        "local_hub/jobs/rows.py::forget_before",
    ),
)
