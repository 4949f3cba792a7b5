"""The repair of ClusterIPs: Services and IPAddresses agree."""
