"""Keys out of AWS Secrets Manager: a secret is a JSON object with ``key`` and ``private``, the texts of the two files.

botocore does the talking, and finds region and credentials as every AWS program does (environment, configuration
files, roles of pods and machines). It is large and of use to few, so it is an extra of the package and imported when
asked for.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from seamark.dns.plugins.dnssec.keys import Key, make_key

MISSING = "it needs botocore, which is not installed: pip install 'seamark[aws]'"


def is_available() -> bool:
    return importlib.util.find_spec("botocore") is not None


def fetch_key(secret: str, region: str | None) -> Key:
    """By the secret's name or ARN; waits for the network. Without a ``region`` it is the configured one. Raises
    ValueError, which says why, and DNSException.
    """
    return parse_key(secret, _fetch(secret, region))


def parse_key(secret: str, text: str) -> Key:
    """Raises ValueError, and DNSException for a bad record."""
    try:
        found = json.loads(text)
        public, private = found["key"], found["private"]
        if not (isinstance(public, str) and isinstance(private, str)):
            raise TypeError
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError('the secret is not a JSON object with the texts "key" and "private"') from None
    return make_key(secret, public, private)


def _fetch(secret: str, region: str | None) -> str:
    import botocore.exceptions
    import botocore.session

    try:
        session: Any = botocore.session.get_session()
        answer = session.create_client("secretsmanager", region_name=region).get_secret_value(SecretId=secret)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise ValueError(str(error)) from error
    if "SecretString" not in answer:
        raise ValueError("the secret is not a text")
    return str(answer["SecretString"])
