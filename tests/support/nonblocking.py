"""Runs a program whose stdout is a small pipe that does not block, and reads it once it was full: nonblocking.py SIGNAL PROGRAM...

SIGNAL is sent when the pipe is full; "none" for none. The program's output and its exit code go on.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time

name, command = sys.argv[1], sys.argv[2:]
reading, writing = os.pipe()
fcntl.fcntl(writing, 1031, 4096)  # F_SETPIPE_SZ
os.set_blocking(writing, False)
child = subprocess.Popen(command, stdout=writing)
while select.select([], [writing], [], 0)[1] and child.poll() is None:
    time.sleep(0.01)
os.close(writing)
time.sleep(0.3)  # in which the program finds it full
if name != "none":
    child.send_signal(getattr(signal, name))
    child.wait()  # before anything is read
while data := os.read(reading, 65536):
    sys.stdout.buffer.write(data)
sys.stdout.flush()
code = child.wait()
sys.exit(code if code >= 0 else 128 - code)
