"""A process that never looks up from its work."""

if __name__ == "__main__":
    while True:
        pass
