"""onnxruntime by itself as a contender: tokenizers, sessions that share the batches, mean pooling in numpy."""

import os
import time

from answers import by_length, read_job, serve

started = time.perf_counter()
job = read_job()
settings = {"batch": 8, "sessions": 1, "threads": job["cores"], "file": "model_O2"} | job["settings"]
os.environ["TOKENIZERS_PARALLELISM"] = "true" if job["cores"] > 1 else "false"

from concurrent.futures import ThreadPoolExecutor

import numpy
import onnxruntime
import tokenizers


def main():
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    tokenizer.enable_truncation(job["maxTokens"])
    tokenizer.no_padding()
    sessions = [session() for _ in range(settings["sessions"])]
    pool = ThreadPoolExecutor(len(sessions))
    names = {node.name for node in sessions[0].get_inputs()}

    def run(texts):
        pairs = texts if job["kind"] == "embed" else [(job["query"], text) for text in texts]
        encodings = tokenizer.encode_batch(pairs)
        order = by_length([encoding.ids for encoding in encodings])
        batches = iter([order[i : i + settings["batch"]] for i in range(0, len(order), settings["batch"])])
        rows = [None] * len(texts)

        def work(session):
            for places in batches:  # the next one that no session has taken
                for place, row in zip(places, outputs(session, names, [encodings[i] for i in places])):
                    rows[place] = row

        list(pool.map(work, sessions))
        return rows

    pack = lambda rows: numpy.asarray(rows, dtype=numpy.float32).tobytes()
    serve(job, started, f"onnxruntime {onnxruntime.__version__}", run, pack)


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings["threads"]
    options.inter_op_num_threads = 1
    path = os.path.join(job["model"], "onnx", settings["file"] + ".onnx")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def outputs(session, names, encodings):
    width = len(encodings[0].ids)  # the longest
    padded = lambda values: numpy.array([row + [0] * (width - len(row)) for row in values], dtype=numpy.int64)
    inputs = {
        "input_ids": padded([encoding.ids for encoding in encodings]),
        "attention_mask": padded([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": padded([encoding.type_ids for encoding in encodings]),
    }
    (output, *_) = session.run(None, {name: inputs[name] for name in names})
    if job["kind"] == "rerank":
        return output[:, 0]
    mask = inputs["attention_mask"][:, :, None].astype(numpy.float32)
    sums = (output * mask).sum(axis=1)  # the mean but for a factor, which the length takes away
    return sums / numpy.linalg.norm(sums, axis=1, keepdims=True)


main()
