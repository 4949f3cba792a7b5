"""The pod garbage collector: pods that no node will ever end."""
