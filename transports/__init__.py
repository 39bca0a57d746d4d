"""How messages leave the process: MCP servers, HTTP, child processes, files."""
