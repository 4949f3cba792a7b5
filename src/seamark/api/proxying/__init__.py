"""The proxy subresources of pods, services and nodes: where a request goes, the exchange, the links in its answer."""
