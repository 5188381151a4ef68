"""The native plugin: its C++ sources in `cpp`, and its installer."""
