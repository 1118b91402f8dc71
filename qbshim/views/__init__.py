"""The endpoints, by qBittorrent's scopes: each reads the request, calls one use case, writes the answer."""
