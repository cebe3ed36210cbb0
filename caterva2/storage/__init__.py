"""Bytes on disk. Synchronous: no asyncio, no HTTP."""
