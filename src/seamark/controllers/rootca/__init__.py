"""The root CA publisher: every namespace holds the certificate by which its pods know the API server."""
