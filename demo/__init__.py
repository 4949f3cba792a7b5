"""The tutorial of Kubernetes service discovery, walked with real kubectl against a Seamark cluster: ``make demo``."""
