"""Set up the process that runs the tests."""

import signal

# A shell starts jobs in the background with Ctrl-C ignored, and what they start inherits that:
# programs that the tests interrupt must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
