"""The only room with netlink, namespaces, mounts and subprocesses."""
