"""The query language."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_CASES = "tests/iot_core/query/test_query_cases.py"
_LANGUAGE = "tests/iot_core/query/test_query_language.py"
_HTTP = "tests/local_hub/fronts/test_http.py"
_CORE = "tests/local_hub/test_queries.py"
_FUNCTIONS = "iot_core/query/functions.py::FUNCTIONS"

ROWS = area(
    "Queries (HTTPS)",
    row(
        "POST /devices/query",
        _APPROXIMATE,
        "tests/local_hub/fronts/test_service_sdk.py::test_a_query_is_paged",
        "Answers at once, or with --like-azure five seconds late; the service's index lags by seconds to minutes.",
    ),
    row(
        "Conditions: comparisons, AND, OR, NOT, IN, NIN, nested paths, [[escaped]] names",
        _APPROXIMATE,
        f"{_CASES}::test_query_finds_documents",
        "Three-valued: a missing path drops the row, also for !=, NIN and under NOT; inferred, not documented.",
        "iot_core/query/parser.py::parse_condition",
    ),
    row(
        "Projections, AS, COUNT, SUM, AVG, MIN, MAX, GROUP BY, TOP",
        _APPROXIMATE,
        f"{_CASES}::test_query_gives_rows",
        "A path without an alias is named by its last segment; a missing value is left out of the row.",
        "iot_core/query/rows.py::compile_rows",
    ),
    row("IS_DEFINED", _DOCUMENTED, f"{_LANGUAGE}::test_function", "True for null.", _FUNCTIONS),
    row(
        "STARTSWITH, ENDSWITH, ARRAY_CONTAINS",
        _DOCUMENTED,
        f"{_LANGUAGE}::test_function",
        "As Microsoft's tools send them; STARTS_WITH and ENDS_WITH are for routes and refused here.",
        _FUNCTIONS,
    ),
    row(
        "IS_ARRAY, IS_BOOL, IS_NULL, IS_NUMBER, IS_OBJECT, IS_PRIMITIVE, IS_STRING",
        _APPROXIMATE,
        f"{_LANGUAGE}::test_function",
        "Not documented for queries.",
        _FUNCTIONS,
    ),
    row(
        "Mathematics and other text functions in queries",
        _REFUSED,
        f"{_LANGUAGE}::test_refusal_says_what_is_wrong",
        "400: CONTAINS, LOWER, ABS and the like belong to routes.",
        "iot_core/query/functions.py::check_call",
    ),
    row(
        "FROM devices and devices.modules",
        _DOCUMENTED,
        f"{_CORE}::test_projections_and_modules_and_counts",
        "",
        "local_hub/queries/queries.py::Queries",
    ),
    row(
        "FROM devices.jobs",
        _DOCUMENTED,
        f"{_CORE}::TestFilters::test_device_jobs_have_columns_of_their_own",
        "createdTimeUtc and createdDateTimeUtc name the same.",
        "local_hub/queries/queries.py::Queries",
    ),
    row(
        "Pages and continuation tokens",
        _APPROXIMATE,
        f"{_HTTP}::test_a_query_is_paged_until_no_token_comes",
        "100 rows unless asked for more, 1,000 at most; a token is for its own query alone.",
        "local_hub/fronts/rest/paging.py::page_size",
    ),
    row(
        "x-ms-item-type",
        _DOCUMENTED,
        f"{_CASES}::test_query_names_its_item_type",
        "Twin, Raw or DeviceJob.",
        "local_hub/fronts/rest/paging.py::page_reply",
    ),
    row(
        "Bad queries",
        _DOCUMENTED,
        f"{_HTTP}::test_a_bad_query_says_no_more_than_the_service_does",
        "ErrorCode:ArgumentInvalid;BadRequest; the hub's log says where.",
        "local_hub/queries/queries.py::Queries",
    ),
)
