"""Pods for real: a network namespace, an overlay and runc per container, a supervisor per pod."""

from seamark.linux.podruntime.cleanup import remove_all
from seamark.linux.podruntime.podruntime import PodRuntime

__all__ = ["PodRuntime", "remove_all"]
