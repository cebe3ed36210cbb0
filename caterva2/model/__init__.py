"""Words shared by all: plain data types. No I/O and no array library."""
