"""What only the API server can say of a CertificateSigningRequest: who asks, who may approve and sign, and when.

Kubernetes' admission plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction. To approve
takes the right ``approve`` on the resource ``signers`` by the signer's name, to sign the right ``sign``;
``example.com/*`` is every signer of a domain.
"""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.objects import Obj, same
from seamark.machinery.authorize import Attributes
from seamark.machinery.gvr import CERTIFICATESIGNINGREQUESTS
from seamark.machinery.signing import KUBE_CLIENT, decode_bytes, parse_request
from seamark.machinery.status import Cause, StatusError, forbidden
from seamark.machinery.wire import ADMIN_GROUP
from seamark.resources.access import section, text
from seamark.resources.certificates.certificatesigningrequest import validate_approval


def is_request(call: Call) -> bool:
    return call.target.row.gvr == CERTIFICATESIGNINGREQUESTS


def note_requestor(call: Call, obj: Obj) -> None:
    """Raises Forbidden for a client certificate of administrators: those are made outside of the API."""
    spec, who = section(obj, "spec"), call.identity
    spec["username"], spec["groups"] = who.user, list(who.groups)
    if who.uid:
        spec["uid"] = who.uid
    if who.extra:
        spec["extra"] = {key: list(values) for key, values in who.extra.items()}
    if text(spec, "signerName") != KUBE_CLIENT:
        return
    try:
        groups = parse_request(decode_bytes(spec.get("request"))).organizations
    except ValueError:
        return  # validation says so
    if ADMIN_GROUP in groups:
        raise _refused(obj, f"use of {KUBE_CLIENT} signer with {ADMIN_GROUP} group is not allowed")


async def check_signer(core: Core, call: Call, new: Obj, old: Obj) -> None:
    """Raises Forbidden for who may not approve or sign for the request's signer."""
    subresource, signer = call.target.subresource, text(old, "spec", "signerName")
    status, before = section(new, "status"), section(old, "status")
    if subresource == "approval":
        verb, doing = "approve", "approve"
    elif subresource == "status" and not all(same(status.get(f), before.get(f)) for f in ("certificate", "conditions")):
        verb, doing = "sign", "sign"
    else:
        return
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        asked = Attributes(verb, CERTIFICATESIGNINGREQUESTS.group, "signers", name=name)
        if (await core.authorizer.decide(call.identity, asked)).allowed:
            return
    raise _refused(old, f'user not permitted to {doing} requests with signerName "{signer}"')


def _refused(obj: Obj, why: str) -> StatusError:
    gvr, name = CERTIFICATESIGNINGREQUESTS, str(obj["metadata"].get("name") or "")
    return forbidden(gvr.resource, name, why, group=gvr.group)


def prepare_approval(new: Obj, old: Obj) -> list[Cause]:
    """Of the whole object only the conditions change, and metadata."""
    conditions = section(new, "status").get("conditions")
    for field in (new.keys() | old.keys()) - {"metadata", "kind", "apiVersion"}:
        new.pop(field, None)
        if field in old:
            new[field] = old[field]
    new["status"] = {**section(old, "status"), "conditions": conditions or []}
    return validate_approval(new, old)
