"""The EndpointSlice mirroring controller: hand-made Endpoints, in the form that proxies and DNS read."""
