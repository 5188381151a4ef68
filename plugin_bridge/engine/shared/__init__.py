"""The bytes that two processes read: the ring, the control page, the messages."""
