"""Agent hierarchies, generated over the tools of worlds and of real servers."""
