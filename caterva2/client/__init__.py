"""How anyone talks to a Caterva2 server."""
