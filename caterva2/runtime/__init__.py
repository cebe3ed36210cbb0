"""Asyncio primitives: lanes of workers, single flights, hubs of events. No sockets, disk or HTTP."""
