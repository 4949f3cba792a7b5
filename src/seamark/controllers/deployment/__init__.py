"""The Deployment controller: versions of a template as ReplicaSets, and the way from one to the next."""
