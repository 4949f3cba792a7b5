"""The bootstrap tokens there are -> the signatures in ``kube-public/cluster-info``; pure.

Who has a token can tell by its signature that the kubeconfig there, which anybody may read, is the cluster's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamark.machinery.bootstraptokens import Data, is_good, sign_detached

SIGNATURE = "jws-kubeconfig-"
CONTENT = "kubeconfig"


def plan_signatures(config: Mapping[str, str], tokens: Iterable[Data], *, now: float) -> dict[str, str | None] | None:
    """What to change in the ConfigMap's data (None = take away); None where nothing is to be done."""
    content = config.get(CONTENT)
    if content is None:
        return None
    wanted: dict[str, str] = {}
    for data in tokens:
        token_id, secret = (data.get(key, b"").decode("utf-8", "replace") for key in ("token-id", "token-secret"))
        if token_id and secret and is_good(data, token_id, secret, usage="signing", now=now):
            wanted.setdefault(SIGNATURE + token_id, sign_detached(content, token_id, secret))
    there = {key: value for key, value in config.items() if key.startswith(SIGNATURE)}
    if there == wanted:
        return None
    return {**dict.fromkeys(there), **wanted}
