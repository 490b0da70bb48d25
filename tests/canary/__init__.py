"""A canary in the place of each credential, a server that echoes what it hears, and a search for what got out."""
