"""The tests, by layer; a package so that no installed one named ``tests`` takes its place."""
