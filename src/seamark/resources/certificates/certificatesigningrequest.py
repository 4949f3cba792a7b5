"""certificates.k8s.io/v1 CertificateSigningRequest: a certificate that is asked for, approved and signed.

Who asks is written by the API server, the approval through ``/approval``, the certificate through ``/status``; the
request itself never changes. ``api/certificates.py`` has what needs to know who writes.
"""

from __future__ import annotations

from cryptography import x509

from seamark.machinery import gvr, names
from seamark.machinery.signing import LEGACY, decode_bytes, parse_request
from seamark.resources import field
from seamark.resources.access import ensure, entries, keep, section, text
from seamark.resources.columns import NONE, human_duration
from seamark.resources.registry import NAME, Causes, Column, Obj, Resource

USAGES = (
    *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment"),
    *("decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel"),
    *("ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime"),
    *("server auth", "signing", "timestamping"),
)
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
ALWAYS_TRUE = (APPROVED, DENIED, FAILED)
WHO = ("username", "uid", "groups", "extra")
MIN_SECONDS = 600
_CONDITIONS = "status.conditions"


def default_request(obj: Obj) -> None:
    ensure(obj, "spec")
    ensure(obj, "status")


def prepare_create(obj: Obj) -> None:
    for name in WHO:
        obj["spec"].pop(name, None)
    obj["status"] = {}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "spec")
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec, causes = section(obj, "spec"), Causes()
    try:
        parse_request(decode_bytes(spec.get("request")))
    except ValueError as error:
        causes.append(field.invalid("spec.request", spec.get("request"), str(error)))
    causes += _validate_usages("spec.usages", entries(spec, "usages"))
    causes += validate_signer("spec.signerName", text(spec, "signerName"))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < MIN_SECONDS:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        causes.append(field.invalid("spec.expirationSeconds", seconds, detail))
    return causes + validate_conditions(obj)


def _validate_usages(path: str, usages: list[str]) -> Causes:
    causes: Causes = [] if usages else [field.required(path)]
    for i, usage in enumerate(usages):
        if usage not in USAGES:
            causes.append(field.not_supported(field.index(path, i), usage, USAGES))
    repeated = [i for i, usage in enumerate(usages) if usage in usages[:i]]
    return causes + [field.duplicate(field.index(path, i), usages[i]) for i in repeated]


def validate_signer(path: str, signer: str) -> Causes:
    if not signer:
        return [field.required(path)]
    if signer == LEGACY:
        return [field.invalid(path, signer, "the legacy signerName is not allowed via this API version")]
    domain, *rest = signer.split("/")
    if len(rest) != 1:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [field.invalid(path, signer, detail)]
    causes: Causes = []
    for label in domain.split("."):
        wrong = names.validate_dns1123_label(label)
        causes += [field.invalid(path, domain, f'validating label "{label}": {why}') for why in wrong]
        if wrong:
            break
    if "." not in domain:
        causes.append(field.invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    for label in rest[0].split("."):
        wrong = names.validate_dns1123_subdomain(label)
        causes += [field.invalid(path, rest[0], f'validating label "{label}": {why}') for why in wrong]
        if wrong:
            break
    return causes


def validate_conditions(obj: Obj) -> Causes:
    causes, seen = Causes(), list[str]()
    for i, condition in enumerate(entries(obj, "status", "conditions")):
        path, kind, status = field.index(_CONDITIONS, i), text(condition, "type"), text(condition, "status")
        allowed = ("True",) if kind in ALWAYS_TRUE else ("False", "True", "Unknown")
        if not kind:
            causes.append(field.required(f"{path}.type"))
        if not status:
            causes.append(field.required(f"{path}.status"))
        elif status not in allowed:
            causes.append(field.not_supported(f"{path}.status", status, allowed))
        if (kind, True) in ((APPROVED, DENIED in seen), (DENIED, APPROVED in seen)):
            detail = "Approved and Denied conditions are mutually exclusive"
            causes.append(field.invalid(_CONDITIONS, kind, detail))
        if kind in seen:
            causes.append(field.duplicate(f"{path}.type", kind))
        seen.append(kind)
    return causes


def validate_approval(new: Obj, old: Obj) -> Causes:
    return validate_conditions(new) + _validate_removals(new, old)


def validate_status(new: Obj, old: Obj) -> Causes:
    """The certificate is set once, and nobody approves on the way."""
    causes = validate_conditions(new) + _validate_removals(new, old)
    for kind in (APPROVED, DENIED):
        if len(_of_type(new, kind)) > len(_of_type(old, kind)):
            causes.append(field.forbidden(_CONDITIONS, f'updates may not add a condition of type "{kind}"'))
    certificate, before = section(new, "status").get("certificate"), section(old, "status").get("certificate")
    if certificate and before and certificate != before:
        detail = "updates may not modify existing certificate content"
        causes.append(field.forbidden("status.certificate", detail))
    return causes + _validate_certificate(decode_bytes(certificate))


def _validate_removals(new: Obj, old: Obj) -> Causes:
    gone = [kind for kind in ALWAYS_TRUE if len(_of_type(new, kind)) < len(_of_type(old, kind))]
    return [field.forbidden(_CONDITIONS, f'updates may not remove a condition of type "{kind}"') for kind in gone]


def _of_type(obj: Obj, kind: str) -> list[Obj]:
    return [one for one in entries(obj, "status", "conditions") if one.get("type") == kind]


def _validate_certificate(pem: bytes) -> Causes:
    if not pem:
        return []
    path, shown = "status.certificate", "<certificate data>"
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return [field.invalid(path, shown, "must contain at least one CERTIFICATE PEM block")]
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        return [field.invalid(path, shown, str(error))]
    return []


def prepare_status(new: Obj, old: Obj) -> None:
    """What was decided about the request stays as it was said."""
    conditions = entries(new, "status", "conditions")
    for kind in (APPROVED, DENIED):
        mine, kept = _of_type(new, kind), _of_type(old, kind)
        if mine and len(mine) == len(kept):
            conditions = [kept[0] if one.get("type") == kind else one for one in conditions]
    if conditions:
        new["status"]["conditions"] = conditions


def condition_cell(obj: Obj, now: float) -> str:
    kinds = {text(one, "type") for one in entries(obj, "status", "conditions")}
    status = DENIED if DENIED in kinds else APPROVED if APPROVED in kinds else "Pending"
    failed = ",Failed" if FAILED in kinds else ""
    return status + failed + (",Issued" if section(obj, "status").get("certificate") else "")


def duration_cell(obj: Obj, now: float) -> str:
    seconds = section(obj, "spec").get("expirationSeconds")
    return NONE if seconds is None else human_duration(seconds)


CERTIFICATESIGNINGREQUEST = Resource(
    gvr=gvr.CERTIFICATESIGNINGREQUESTS,
    singular="certificatesigningrequest",
    short_names=("csr",),
    columns=(
        NAME,
        Column("Age"),
        Column("SignerName", cell=lambda obj, now: text(obj, "spec", "signerName") or NONE),
        Column("Requestor", cell=lambda obj, now: text(obj, "spec", "username")),
        Column("RequestedDuration", cell=duration_cell),
        Column("Condition", cell=condition_cell),
    ),
    subresources=("approval", "status"),
    field_selectors={"spec.signerName": lambda obj: text(obj, "spec", "signerName")},
    default=default_request,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    prepare_status=prepare_status,
    validate_status=validate_status,
    validate_name=lambda name: (),
)
