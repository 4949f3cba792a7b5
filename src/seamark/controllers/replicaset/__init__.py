"""The ReplicaSet controller: keeps the asked number of pods of one template."""
