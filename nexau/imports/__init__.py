"""Agent files of other projects, converted: `nexau import`."""
