"""Automatic configurations and edge deployments."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_HTTP = "tests/local_hub/fronts/test_configurations.py"
_CORE = "tests/local_hub/test_configurations.py"
_RULES = "tests/iot_core/configurations"
_DEPLOYMENTS = "tests/local_hub/test_deployments.py"
_LIFE = f"{_HTTP}::test_the_whole_life_of_a_device_configuration"

ROWS = area(
    "Configurations and deployments (HTTPS)",
    row(
        "POST /devices/{device}/applyConfigurationContent",
        _EXACT,
        f"{_HTTP}::test_an_edge_deployment",
        "Makes the module identities it names; stays until a deployment is evaluated for the device again.",
    ),
    row("GET /configurations", _EXACT, _LIFE, "All of them; top is ignored."),
    row(
        "GET /configurations/{id}",
        _APPROXIMATE,
        _LIFE,
        "Metrics are those of the moment of reading, where the service's are up to five minutes old.",
    ),
    row(
        "PUT /configurations/{id}",
        _EXACT,
        f"{_HTTP}::TestIfMatch::test_refusals_carry_their_names",
        "Content in an update is ignored; an etag without quotes counts for none. A base deployment that IoT Edge "
        "could not run (no runtime, no system modules) is refused. At most 5 custom metrics.",
    ),
    row("DELETE /configurations/{id}", _EXACT, _LIFE, "What it wrote stays in the twins."),
    row("POST /configurations/testQueries", _EXACT, f"{_HTTP}::test_queries_are_tried", "* is an error here."),
    row(
        "Ids and members of configurations",
        _DOCUMENTED,
        f"{_RULES}/test_model.py::test_what_cannot_be_is_refused",
        "",
        "iot_core/configurations/model.py::parse_settings",
    ),
    row(
        "Target conditions",
        _APPROXIMATE,
        f"{_RULES}/test_target.py::test_conditions_on_devices",
        "Also without AND before NOT, as in the documentation's sample.",
        "iot_core/configurations/target.py::compile_target",
    ),
    row(
        "Device and module configurations",
        _APPROXIMATE,
        f"{_CORE}::TestDevices::test_it_is_applied_to_the_devices_it_targets",
        "Applied at once and checked every five minutes of the hub's clock; content at properties.desired replaces all "
        "desired properties; what a configuration wrote is taken back when a twin stops matching.",
        "local_hub/configurations/evaluator.py::Evaluator",
    ),
    row(
        "Priorities",
        _DOCUMENTED,
        f"{_RULES}/test_rules.py::test_the_higher_priority_wins_a_path_and_the_other_still_applies_elsewhere",
        "The higher wins a path, the newer of equal ones; who loses everywhere is Targeted.",
        "iot_core/configurations/rules.py::Rules",
    ),
    row(
        "Metrics",
        _DOCUMENTED,
        f"{_CORE}::TestMetrics::test_they_count_the_rows_of_their_queries",
        "",
        "local_hub/configurations/metrics.py::measure",
    ),
    row(
        "Edge deployments and layers",
        _APPROXIMATE,
        f"{_DEPLOYMENTS}::test_a_layer_is_put_on_top_and_taken_off_again",
        "Applied at once; module identities come and go with them. A twin that has no room, or a device with too many "
        "modules, is left as it was, with a line in the hub's log.",
        "local_hub/configurations/edge_modules.py::set_modules",
    ),
)
