"""Seamark's DNS and CoreDNS side by side: the same registry, the same Corefile, the same questions."""
