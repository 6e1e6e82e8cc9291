"""Stories on a live cluster: what `make e2e` runs, and no other command."""
