"""The commands behind `darkroom`, beside those that serve."""
