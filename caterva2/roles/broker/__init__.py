"""The broker: which root is served by whom, and the relay of events."""
