"""What docs/methods.md is made by."""
