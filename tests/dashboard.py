"""What optuna-dashboard answers about a study, without a server."""

import json
from typing import Any
from wsgiref.util import setup_testing_defaults

from optuna_dashboard import wsgi

from search.study.storage import storage_of


def shown(url: str, name: str) -> dict[str, Any]:
    """A study of a database as the dashboard shows it."""
    app, storage = wsgi(url), storage_of(url)
    environment: dict[str, Any] = {}
    setup_testing_defaults(environment)
    number = storage.get_study_id_from_name(name)
    environment |= {"PATH_INFO": f"/api/studies/{number}", "QUERY_STRING": "after=0"}
    told: list[str] = []
    body = b"".join(app(environment, lambda status, headers, error=None: told.append(status)))
    assert told == ["200 OK"], body
    answer: dict[str, Any] = json.loads(body)
    return answer
