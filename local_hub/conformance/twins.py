"""Twins and direct methods."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_SDK = "tests/local_hub/fronts/test_service_sdk.py"
_CORE = "tests/local_hub/test_twins.py"
_KERNEL = "tests/iot_core/test_twin.py"
_METHODS = "tests/local_hub/test_methods.py"

_TWIN, _MODULE = "/twins/{device}", "/twins/{device}/modules/{module}"
_PATCHED = f"{_SDK}::test_a_twin_is_patched_and_replaced"

_TWINS = area(
    "Twins (HTTPS)",
    row(f"GET {_TWIN}", _EXACT, _PATCHED),
    row(f"PATCH {_TWIN}", _EXACT, _PATCHED),
    row(f"PUT {_TWIN}", _EXACT, _PATCHED, "What the body lacks is gone; reported properties stay."),
    row(f"GET {_MODULE}", _EXACT, f"{_SDK}::test_a_module_twin_is_patched"),
    row(f"PATCH {_MODULE}", _EXACT, f"{_SDK}::test_a_module_twin_is_patched"),
    row(
        f"PUT {_MODULE}", _DOCUMENTED, "tests/local_hub/fronts/test_refused_by_name.py::test_a_module_twin_is_replaced"
    ),
    row(
        "Merging",
        _DOCUMENTED,
        f"{_KERNEL}::test_a_patch_merges_as_documented",
        "null removes, arrays replace whole, {} stays, null in an array is refused.",
        "iot_core/twin.py::merge_patch",
    ),
    row(
        "Limits of twins",
        _DOCUMENTED,
        f"{_KERNEL}::test_what_a_section_does_not_take",
        "8 KB of tags, 32 KB of desired and of reported properties, 10 levels, 4 KB a text, 2^52.",
        "iot_core/twin.py::validate_section",
    ),
    row(
        "Versions, etags and $metadata",
        _APPROXIMATE,
        f"{_CORE}::TestPatch::test_tags_and_desired_are_merged_and_versions_move",
        "A write that changes no value moves the versions too, which no document says.",
        "iot_core/twin.py::Section",
        "local_hub/documents.py::twin_etag",
    ),
    row(
        "Members of twins",
        _APPROXIMATE,
        f"{_CORE}::TestShape::test_a_new_twin",
        "Thumbprints are spelled in camel case, as documented; a live hub was seen to spell them in Pascal case.",
        "local_hub/documents.py::Documents.twin",
    ),
)

_CALLS = area(
    "Direct methods (HTTPS)",
    row(f"POST {_TWIN}/methods", _EXACT, f"{_SDK}::test_a_method_reaches_a_device_on_its_own_sdk"),
    row(
        f"POST {_MODULE}/methods",
        _EXACT,
        "tests/node/test_node_device.py::test_a_module_sends_and_has_a_twin_and_methods",
    ),
    row(
        "Time-outs of methods",
        _DOCUMENTED,
        f"{_METHODS}::test_a_bad_call_is_refused",
        "Response 5 to 300 s, 30 by default; connect 0 to 300 s, never above the response's.",
        "local_hub/methods.py::parse_call",
    ),
    row(
        "A device that is away",
        _EXACT,
        f"{_SDK}::test_a_method_on_a_device_that_is_away_fails",
        "404103 at once, or when the connect time-out is over; nothing is queued.",
        "local_hub/methods.py::Methods.invoke",
    ),
    row(
        "A device that does not answer, or not with JSON",
        _APPROXIMATE,
        f"{_METHODS}::test_an_answer_that_is_not_json_is_an_error",
        "504101 and 400000; the bodies of these were not seen on the service. A connection that ends is 404104.",
        "local_hub/methods.py::Methods.invoke",
    ),
)

ROWS = (*_TWINS, *_CALLS)
