"""How the lines of ``seamark proxy`` look: text, or with ``logging.format: json`` an object each, of klog's fields."""

from __future__ import annotations

import json
import logging

from seamark.proxy.configdocument import Logging

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
DEBUG_FROM = 4
"""The verbosity from which debug lines are shown."""


def configure_logging(given: Logging) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if given.format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.DEBUG if given.verbosity >= DEBUG_FROM else logging.INFO, handlers=[handler])


class JsonFormatter(logging.Formatter):
    """``v`` is there where nothing is wrong, ``err`` where an exception tells why."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, object] = {
            "ts": record.created * 1000,
            "caller": f"{record.name}:{record.lineno}",
            "msg": record.getMessage(),
        }
        if record.levelno < logging.WARNING:
            found["v"] = 0 if record.levelno > logging.DEBUG else DEBUG_FROM
        if record.exc_info:
            found["err"] = self.formatException(record.exc_info)
        return json.dumps(found)
