"""The platform's API as this tool uses it: what is sent, what comes back, what carries it."""
