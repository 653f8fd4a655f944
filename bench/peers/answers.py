"""How a contender in Python talks with the driver: it says that it is ready, then answers lines (bench/README.md has them)."""

import json
import os
import resource
import sys
import time

WARM_TEXTS = 16


def read_job():
    """What is to be done; and nothing but the answers goes to stdout from here on."""
    with open(sys.argv[1], encoding="utf8") as file:
        job = json.load(file)
    return {"settings": {}, **job}


def serve(job, started, versions, run, pack=bytes, children=()):
    """
    Answers the driver until it hangs up.

    `started` is the time.perf_counter() at the start; `run(texts)` gives vectors or scores in the texts' order;
    `pack(result)` makes of them the bytes of float32 numbers; `children` are processes that work for this one.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf8")
    os.dup2(2, 1)  # what libraries print
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    texts = job["texts"]
    load = time.perf_counter() - started
    run(texts[:: max(1, len(texts) // WARM_TEXTS)])
    say({"load": load, "versions": versions})
    result = None
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        try:
            if word == "go":
                result = None
                cpu, wall = processor_seconds(children), time.perf_counter()
                result = run(texts)
                wall = time.perf_counter() - wall
                say({"seconds": wall, "cpu": processor_seconds(children) - cpu})
            elif word == "one":
                say({"seconds": [once(run, texts[i % len(texts)]) for i in range(int(argument))]})
            elif word == "vectors":
                data = pack(run(texts) if result is None else result)
                with open(argument, "wb") as file:
                    file.write(data)
                say({"bytes": len(data)})
            else:
                say({"error": f"{word!r} is no command"})
        except Exception as error:  # it stays for the next command
            say({"error": f"{type(error).__name__}: {error}"})


def once(run, text):
    start = time.perf_counter()
    run([text])
    return time.perf_counter() - start


def processor_seconds(children=()):
    """Of this process, of its children that have ended, and of the ones given that live (Linux)."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used) + sum(time.clock_gettime(clock_of(pid)) for pid in children)


def clock_of(pid):
    """The number of a process's processor-time clock: MAKE_PROCESS_CPUCLOCK of Linux's posix-timers.h."""
    return ~pid << 3 | 2


def by_length(texts):
    """The places of the texts, longest first."""
    return sorted(range(len(texts)), key=lambda i: -len(texts[i]))
