"""Who may do what: RBAC over an index of its own, the node authoriser, impersonation, the default roles."""
