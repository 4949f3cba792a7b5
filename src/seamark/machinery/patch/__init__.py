"""The three patches kubectl sends, as pure functions: the inputs stay as they are, the result shares nothing with them.

``json`` (RFC 6902), ``merge`` (RFC 7386), ``strategic`` (Kubernetes' own, which knows lists by their keys).
"""

from seamark.machinery.patch.jsonpatch import apply_json_patch
from seamark.machinery.patch.merge import apply_merge_patch
from seamark.machinery.patch.strategic import apply_strategic_merge

__all__ = ["apply_json_patch", "apply_merge_patch", "apply_strategic_merge"]
