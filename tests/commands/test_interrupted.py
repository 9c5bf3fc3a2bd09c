"""Ctrl-C while XLA compiles: the process ends at once, or on the second one where JAX does not hear
the first, by its own status and not by a signal."""

import os
import signal
import subprocess
import sys
import time

#: Programs that are kept from an earlier test would not be compiled.
ENVIRONMENT = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}
#: A command that compiles for half a minute. Where the tests themselves run in the background,
#: Ctrl-C would be ignored.
COMMAND = """
import os, signal, sys, threading, types
signal.signal(signal.SIGINT, signal.default_int_handler)
import jax, jax.numpy as jnp
from gmps.commands import cli, doctor

def slow(x):
    for i in range(600):
        x = jnp.tanh(x * i) + jnp.sort(x)[::-1]
    return x

def run(argv):
    program = jax.jit(slow).lower(jnp.ones(8))
    print("compiling", flush=True)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    program.compile()
    print("compiled")

doctor.run = run
sys.argv = ["gmps", "doctor"]
raise SystemExit(cli.script())
"""


#: What is said where JAX hears of Ctrl-C only when XLA is done.
ASKED = "gmps: Interrupted, as soon as XLA has compiled a program; Ctrl-C again ends at once.\n"


def test_a_compilation_is_not_waited_for_and_crashes_nothing():
    words = [sys.executable, "-c", COMMAND]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes, env=ENVIRONMENT) as process:
        assert process.stdout.readline() == "compiling\n"
        start = time.monotonic()
        said = process.stderr.readline()
        if said == ASKED:
            process.send_signal(signal.SIGINT)
            said = process.stderr.readline()
        out, err = process.communicate(timeout=60)
        taken = time.monotonic() - start
    assert (process.returncode, out, said, err) == (130, "", "gmps: Interrupted.\n", "")
    assert taken < 4
