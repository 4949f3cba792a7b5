"""The audit log (audit.k8s.io/v1): who asked for what, how it was answered, as the policy of a file wants it told."""
