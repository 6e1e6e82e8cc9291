"""The rendering story on fakes, for what no machine of ours can be made to do."""
