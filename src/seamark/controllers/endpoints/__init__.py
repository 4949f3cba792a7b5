"""The Endpoints controller: the pods of a Service as the v1 Endpoints object that older clients read."""
