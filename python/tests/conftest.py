"""What holds for all tests."""

import signal

# A shell starts what it runs in the background with SIGINT ignored, and so would every program that a test starts: then
# nothing here could be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)
