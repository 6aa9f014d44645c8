"""File upload."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_HTTP = "tests/local_hub/fronts/test_file_upload.py"
_CORE = "tests/local_hub/files"

ROWS = area(
    "File upload",
    row(
        "POST /devices/{device}/files",
        _EXACT,
        f"{_HTTP}::test_a_file_is_uploaded_and_services_are_told",
        "10 at a time; hostName is that of the built-in blob endpoint, with the account's name as a path, or it is "
        "that of the configured account.",
    ),
    row(
        "POST /devices/{device}/files/notifications",
        _APPROXIMATE,
        f"{_CORE}/test_uploads.py::test_a_success_without_a_blob_is_refused_and_can_be_put_right",
        "A success without a blob is 400020, a second or a late notification 400015 or 400016, as their names say.",
    ),
    row(
        "POST /devices/{device}/files/notifications/{correlation}",
        _DOCUMENTED,
        f"{_HTTP}::test_node_s_form_has_the_correlation_id_in_the_path",
        "As Node's SDK sends it.",
    ),
    row(
        "Notifications",
        _APPROXIMATE,
        f"{_CORE}/test_notifications.py::test_they_come_in_order_and_one_at_a_time",
        "On at first, where the service's are off; one hour, locks of a minute, 100 deliveries, of which only "
        "abandoned ones count.",
        "local_hub/files/notifications.py::FileNotifications",
    ),
    row(
        "Hub options (fileNotifications, sasTtlAsIso8601)",
        _DOCUMENTED,
        f"{_CORE}/test_uploads.py::test_options_have_the_ranges_of_the_service",
        "Ranges and defaults of the service.",
        "local_hub/files/options.py::FileUploadOptions",
    ),
    row(
        "Storage account",
        _EXACT,
        f"{_HTTP}::test_with_an_account_elsewhere_files_go_there",
        "Built in, none (400014), or one elsewhere, whose container must be there.",
        "local_hub/files/storage.py::FileStorage",
    ),
)
