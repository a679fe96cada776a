"""Live: a stream under a user's hand, over one WebSocket, on a page of its own or inside a host."""
