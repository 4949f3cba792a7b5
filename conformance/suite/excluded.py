"""What Seamark does not serve, and the tests of the list that ask for it: their reason on the page."""

from __future__ import annotations

import re

EXCLUDED = {
    r"AdmissionPolicy": "admission policies are not served: they are programs in CEL",
    r"API priority and fairness": "flow control objects are not served",
    r"\[DRA\]": "dynamic resource allocation is not served",
    r"CSI(InlineVolumes|Nodes|StorageCapacity)|VolumeAttributesClass": "CSI objects are not served",
    r"supports? aggregated discovery interface \[|raw aggregated discovery endpoint|locate the groupVersion": (
        "asks for the group admissionregistration.k8s.io, which is not served"
    ),
}


def find_exclusion(test: str) -> str:
    """Empty for a test that has to pass."""
    return next((why for pattern, why in EXCLUDED.items() if re.search(pattern, test)), "")
