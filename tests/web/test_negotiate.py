from __future__ import annotations

import pytest

from jouled.web.negotiate import Form, choices, form_of, takes_gzip

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.TEXT),
        ("*/*", Form.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Form.TEXT),
        (PROMETHEUS, Form.OPENMETRICS),
        ("application/openmetrics-text", Form.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", Form.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', Form.OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0", Form.TEXT),
        ("application/openmetrics-text;q=0", Form.TEXT),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.9", Form.TEXT),
        ("application/openmetrics-text;q=many", Form.TEXT),
        ("image/png", Form.TEXT),
        (";;,,;=,", Form.TEXT),
    ],
)
def test_forms(accept: str, form: Form) -> None:
    assert form_of(accept) is form


@pytest.mark.parametrize(
    ("accept_encoding", "is_gzip"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("GZIP;q=1.0", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("br", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=1.0", True),
        ("gzip;q=nan", False),
    ],
)
def test_encodings(accept_encoding: str, is_gzip: bool) -> None:
    assert takes_gzip(accept_encoding) is is_gzip


def test_a_header_of_commas_is_bounded() -> None:
    assert len(choices("a," * 10_000)) == 50
