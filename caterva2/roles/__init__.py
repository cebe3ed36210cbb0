"""The services: the only place where storage, client and transport meet."""
