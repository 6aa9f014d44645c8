"""The identity registry, and its export and import."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_SDK = "tests/local_hub/fronts/test_service_sdk.py"
_HTTP = "tests/local_hub/fronts/test_registry_http.py"
_CORE = "tests/local_hub/test_registry.py"
_RULES = "tests/local_hub/test_registry_rules.py"
_JOBS = "tests/local_hub/fronts/test_transfers_sdk.py"
_TRANSFERS = "tests/local_hub/transfer/test_transfers.py"

_DEVICE, _MODULE = "/devices/{device}", "/devices/{device}/modules/{module}"
_MADE, _MODULE_MADE = (
    f"{_SDK}::test_a_device_is_made_read_changed_and_deleted",
    f"{_SDK}::test_a_module_is_made_read_and_deleted",
)

_IDENTITIES = area(
    "Identity registry (HTTPS)",
    row("GET /devices", _EXACT, f"{_SDK}::test_lists_and_counts", "A top out of range means 1,000."),
    row("POST /devices", _EXACT, f"{_SDK}::test_a_bulk_change_makes_many_devices", "Up to 100 items."),
    row(f"GET {_DEVICE}", _EXACT, _MADE),
    row(f"PUT {_DEVICE}", _EXACT, _MADE, "Create-only without If-Match; omitted keys are generated anew."),
    row(f"DELETE {_DEVICE}", _EXACT, _MADE, "412 without If-Match."),
    row(
        f"GET {_DEVICE}/modules",
        _EXACT,
        _MODULE_MADE,
        "Also with the edge device's own token, as the IoT Edge daemon does.",
    ),
    row(f"GET {_MODULE}", _EXACT, _MODULE_MADE),
    row(f"PUT {_MODULE}", _EXACT, _MODULE_MADE),
    row(f"DELETE {_MODULE}", _EXACT, _MODULE_MADE),
    row(
        "POST /devices/keys/regenerate",
        _APPROXIMATE,
        f"{_HTTP}::test_keys_are_regenerated",
        "Not documented by the service: shapes as the Azure CLI sends and reads them; those of errors are ours.",
    ),
    row("GET /statistics/devices", _EXACT, f"{_SDK}::test_lists_and_counts"),
    row("GET /statistics/service", _EXACT, f"{_SDK}::test_lists_and_counts"),
)

_RULES_ROWS = area(
    "Rules of identities",
    row(
        "Ids",
        _DOCUMENTED,
        f"{_RULES}::TestFields::test_ids_that_are_taken",
        "128 characters, case counts; module ids that begin with $ are the hub's own.",
        "iot_core/identity.py::validate_device_id",
        "iot_core/identity.py::validate_module_id",
    ),
    row(
        "Members of documents",
        _DOCUMENTED,
        f"{_CORE}::TestCreateAndRead::test_the_documents_have_the_services_members",
        "",
        "local_hub/documents.py::Documents",
    ),
    row(
        "Etags",
        _DOCUMENTED,
        f"{_CORE}::TestIfMatch::test_the_etag_moves_on_identity_writes_only",
        "Written as observed on the service: a number in base64.",
        "local_hub/documents.py::identity_etag",
    ),
    row(
        "Authentication blocks",
        _DOCUMENTED,
        f"{_RULES}::TestFields::test_what_is_taken",
        "Keys of 16 to 64 bytes, both or neither; thumbprints of 40 or 64 digits; none is for modules of the hub.",
        "local_hub/registry/identity_body.py::authentication_of",
    ),
    row(
        "Module calls on a missing or disabled device",
        _DOCUMENTED,
        f"{_HTTP}::test_module_calls_on_a_missing_or_disabled_device_are_401",
        "401, as observed on the service.",
        "local_hub/registry/registry.py::_usable_device",
    ),
    row(
        "Modules of a device",
        _APPROXIMATE,
        f"{_CORE}::TestModules::test_a_device_may_have_fifty",
        "50; the service's number was not found in a document of this year.",
        "local_hub/registry/registry.py::Registry.create_module",
    ),
    row(
        "IoT Edge capability, scopes and parents",
        _APPROXIMATE,
        f"{_RULES}::TestScopes::test_an_edge_device_becomes_a_child_by_parent_scopes_and_is_detached_without",
        "As observed live; 5 levels and 100 children are checked when a device is written, not when its parent is.",
        "local_hub/registry/edge_scopes.py::on_update",
    ),
    row(
        "importMode create, update, updateIfMatchETag, delete, deleteIfMatchETag, updateTwin, updateTwinIfMatchETag, "
        "createOrUpdate, createOrUpdateIfMatchETag",
        _DOCUMENTED,
        f"{_CORE}::TestBulk::test_items_are_applied_each_on_its_own",
        "In bulk calls and in imports.",
        "local_hub/registry/bulk.py::MODES",
    ),
)

_MOVES = area(
    "Import and export jobs (HTTPS)",
    row(
        "POST /jobs/create",
        _EXACT,
        f"{_JOBS}::test_an_import_makes_devices_and_logs_what_it_could_not_do",
        "Into and out of any container by its signed address, the built-in blob endpoint's too; one job at a time. A "
        "signature must grant r on the input, rwdl on the output.",
    ),
    row("GET /jobs", _EXACT, f"{_JOBS}::test_an_export_is_in_the_container", "Those of 30 days."),
    row("GET /jobs/{job}", _EXACT, f"{_JOBS}::test_an_export_is_in_the_container", "Container addresses are not told."),
    row(
        "DELETE /jobs/{job}",
        _APPROXIMATE,
        f"{_TRANSFERS}::test_a_cancelled_job_stops",
        "204, also for a job that has ended; an unknown one is 404, where the service was seen to answer 500.",
    ),
    row(
        "devices.txt",
        _APPROXIMATE,
        f"{_TRANSFERS}::test_an_export_imports_into_an_empty_hub",
        "A line an identity, modules on lines of their own. An import leaves reported properties, merges twins, and "
        "gives an edge device a new scope.",
        "local_hub/transfer/lines.py::device_line",
        "local_hub/transfer/lines.py::item_of",
    ),
    row(
        "excludeKeysInExport",
        _APPROXIMATE,
        f"{_TRANSFERS}::test_an_export_without_keys_begins_with_a_warning",
        "Keys are null and the first line is a warning, in our words; a file with that line is not imported (400009).",
        "local_hub/transfer/lines.py::WITHOUT_KEYS",
    ),
    row(
        "importErrors.log",
        _DOCUMENTED,
        f"{_TRANSFERS}::test_what_a_mode_does_not_allow_is_in_the_log",
        "Always there, empty when nothing went wrong; the job is completed all the same.",
        "local_hub/transfer/lines.py::error_line",
    ),
    row(
        "includeConfigurations and configurations.txt",
        _APPROXIMATE,
        f"{_TRANSFERS}::test_configurations_come_and_go_in_pascal_case",
        "Members in Pascal case; createOrUpdateIfMatchETag alone, as the SDKs know it.",
        "local_hub/transfer/lines.py::configuration_line",
        "local_hub/transfer/lines.py::configuration_of",
    ),
    row(
        "Jobs over a restart",
        _APPROXIMATE,
        f"{_TRANSFERS}::test_an_import_goes_on_after_a_restart_behind_what_it_had_done",
        "An export begins again; an import goes on with the last hundred lines, of which some may be applied twice.",
        "local_hub/transfer/transfers.py::Transfers.start",
    ),
    row(
        "storageAuthenticationType identityBased",
        _REFUSED,
        f"{_TRANSFERS}::test_a_bad_order_is_refused",
        "400032 ManagedIdentityNotEnabled, as from a hub without a managed identity.",
        "local_hub/transfer/order.py::Order.parse",
    ),
)

ROWS = (*_IDENTITIES, *_RULES_ROWS, *_MOVES)
