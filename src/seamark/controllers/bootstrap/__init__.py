"""What a new cluster starts with: its namespaces, the kubernetes Service, and the DNS add-on."""
