"""llama-server as a contender: this starts it, sends it many texts a request and several requests at once, and ends it."""

import atexit
import base64
import ctypes
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from answers import by_length, read_job, serve

PATIENCE = 120  # seconds until a server must answer
MARGIN = 64  # tokens of a slot's context that llama-server keeps for itself


def main():
    started = time.perf_counter()
    job = read_job()
    program = sys.argv[2]
    settings = {"servers": 1, "slots": 8, "ubatch": 512, "threads": job["cores"], "batch": 16, "requests": 2, "flash": "auto"}
    settings |= job["settings"]
    servers = [Server(program, job, settings) for _ in range(settings["servers"])]
    for server in servers:
        server.wait()
    client = Client(job, settings, servers)
    serve(job, started, version_of(program), client.run, b"".join, [server.child.pid for server in servers])


class Server:
    def __init__(self, program, job, settings):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        longest = job["maxTokens"]
        options = {
            "model": job["model"],
            "host": "127.0.0.1",
            "port": self.port,
            "parallel": settings["slots"],
            "ctx-size": settings["slots"] * (longest + MARGIN),
            "batch-size": settings["ubatch"],
            "ubatch-size": settings["ubatch"],
            "threads": settings["threads"],
            "threads-batch": settings["threads"],
            "flash-attn": settings["flash"],
            "slot-prompt-similarity": 0,
            "cache-ram": 0,
        }
        if "pooling" in job:
            options["pooling"] = job["pooling"]
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        words += ["--rerank" if job["kind"] == "rerank" else "--embedding", "--no-ui", "--log-disable"]
        self.child = subprocess.Popen(
            [program, *words], stdin=subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=end_with_parent
        )
        atexit.register(self.child.kill)

    def connect(self):
        connection = Connection("127.0.0.1", self.port, timeout=600)
        connection.connect()
        return connection

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                connection = self.connect()
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise SystemExit(f"llama-server does not answer (exit code {self.child.poll()})")


class Connection(http.client.HTTPConnection):
    def connect(self):
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Client:
    def __init__(self, job, settings, servers):
        self.job = job
        self.batch = settings["batch"]
        self.connections = [server.connect() for server in servers for _ in range(settings["requests"])]
        self.pool = ThreadPoolExecutor(len(self.connections))
        # llama-server refuses what is too long; what has fewer bytes than tokens allowed cannot be
        longest = job["maxTokens"] - 2
        self.cut = {text: self.cut_to(text) for text in job["texts"] if len(text.encode()) > longest}

    def run(self, texts):
        send = self.embed if self.job["kind"] == "embed" else self.rerank
        order = by_length(texts)
        waiting = iter([order[i : i + self.batch] for i in range(0, len(order), self.batch)])
        rows = [b""] * len(texts)

        def work(connection):
            for places in waiting:  # the next request that nobody has sent
                for place, row in zip(places, send(connection, [texts[i] for i in places])):
                    rows[place] = row

        list(self.pool.map(work, self.connections[: max(1, -(-len(order) // self.batch))]))
        return rows

    def embed(self, connection, texts):
        inputs = [self.cut.get(text, text) for text in texts]
        answer = ask(connection, "/v1/embeddings", {"input": inputs, "encoding_format": "base64"})
        return [base64.b64decode(item["embedding"]) for item in sorted(answer["data"], key=lambda item: item["index"])]

    def rerank(self, connection, texts):
        answer = ask(connection, "/v1/rerank", {"query": self.job["query"], "documents": texts})
        scores = {item["index"]: item["relevance_score"] for item in answer["results"]}
        return [bytes(ctypes.c_float(scores[i])) for i in range(len(texts))]

    def cut_to(self, text):
        """Its first tokens and the closing one, if it has too many."""
        if self.job["kind"] == "rerank":
            return text
        tokens, plain = (
            ask(self.connections[0], "/tokenize", {"content": text, "add_special": special})["tokens"]
            for special in (True, False)
        )
        most = self.job["maxTokens"]
        if len(tokens) <= most:
            return text
        closing = [] if tokens[-1] == plain[-1] else tokens[-1:]
        return tokens[: most - len(closing)] + closing


def ask(connection, path, body, again=True):
    try:
        connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        response = connection.getresponse()
    except (ConnectionError, http.client.RemoteDisconnected):
        if not again:
            raise
        connection.close()  # llama-server closes what was silent for five seconds, as between two turns
        return ask(connection, path, body, again=False)
    data = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {data[:300].decode(errors='replace')}")
    return json.loads(data)


def end_with_parent():
    """Linux: no server outlives a client that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def version_of(program):
    said = subprocess.run([program, "--version"], capture_output=True, text=True)
    words = (said.stderr + said.stdout).split("version:", 1)[-1].split()
    return f"llama-server {words[0] if words else '?'}"


main()
