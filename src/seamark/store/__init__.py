"""A revisioned map from key to bytes with etcd's meaning; knows nothing of Kubernetes."""
