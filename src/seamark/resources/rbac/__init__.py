"""rbac.authorization.k8s.io/v1: Role, RoleBinding, ClusterRole, ClusterRoleBinding."""
