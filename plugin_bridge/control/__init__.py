"""What can be controlled and shown, and how loud it makes a stem; no sockets or files."""
