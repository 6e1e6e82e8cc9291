"""Programs of the tests that run in pods: standard library only, since they go there as text."""
