"""The scenarios' flows asked of a real kube-proxy, beside Seamark's own backends."""
