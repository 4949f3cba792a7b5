"""The EndpointSlice controller: the pods of a Service in slices of at most 100."""
