"""The ServiceCIDR controller: ranges become ready, and go when no address needs them any more."""
