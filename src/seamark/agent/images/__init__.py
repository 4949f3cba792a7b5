"""Images of a data directory: built-in, loaded from an archive, or built from what is on the machine."""

from seamark.agent.images.podtest import POD_TEST, build_pod_test
from seamark.agent.images.store import ImageStore

__all__ = ["POD_TEST", "ImageStore", "build_pod_test"]
