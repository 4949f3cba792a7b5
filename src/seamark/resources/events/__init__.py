"""events.k8s.io/v1: the newer shape of the Events that core/v1 stores."""
