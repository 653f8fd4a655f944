"""onnxruntime, OpenVINO or CTranslate2 by itself as a contender: tokenizers, sessions that share the batches, pooling in numpy."""

import os
import time

from answers import by_length, read_job, serve

started = time.perf_counter()
job = read_job()
settings = {"engine": "onnxruntime", "batch": 8, "sessions": 1, "threads": job["cores"], "file": "onnx/model_O2.onnx"}
settings |= job["settings"]
os.environ["TOKENIZERS_PARALLELISM"] = "true" if job["cores"] > 1 else "false"

from concurrent.futures import ThreadPoolExecutor

import numpy
import tokenizers


def main():
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(job["model"], "tokenizer.json"))
    tokenizer.enable_truncation(job["maxTokens"])
    tokenizer.no_padding()
    version, sessions = ENGINES[settings["engine"]]()
    pool = ThreadPoolExecutor(len(sessions))

    def run(texts):
        pairs = texts if job["kind"] == "embed" else [(job["query"], text) for text in texts]
        encodings = tokenizer.encode_batch(pairs)
        order = by_length([encoding.ids for encoding in encodings])
        batches = iter([order[i : i + settings["batch"]] for i in range(0, len(order), settings["batch"])])
        rows = [None] * len(texts)

        def work(session):
            for places in batches:  # the next one that no session has taken
                for place, row in zip(places, outputs(session, [encodings[i] for i in places])):
                    rows[place] = row

        list(pool.map(work, sessions))
        return rows

    pack = lambda rows: numpy.asarray(rows, dtype=numpy.float32).tobytes()
    serve(job, started, version, run, pack)


def onnxruntime_sessions():
    """Functions from inputs by name to the first output; each may be called by a thread of its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings["threads"]
    options.inter_op_num_threads = 1

    def session():
        one = onnxruntime.InferenceSession(file(), options, providers=["CPUExecutionProvider"])
        names = [node.name for node in one.get_inputs()]
        return lambda inputs: one.run(None, {name: inputs[name] for name in names})[0]

    return f"onnxruntime {onnxruntime.__version__}", [session() for _ in range(settings["sessions"])]


def openvino_sessions():
    """The same of one compiled model with a stream for each."""
    import openvino

    core = openvino.Core()
    if job["type"].upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise RuntimeError(f"this processor does not compute in {job['type']}")  # else it computes in fp32
    config = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32"}.get(job["type"], job["type"]),
        "INFERENCE_NUM_THREADS": settings["threads"] * settings["sessions"],
        "NUM_STREAMS": settings["sessions"],
    }
    model = core.compile_model(file(), "CPU", config)
    names = [node.any_name for node in model.inputs]

    def session():
        request = model.create_infer_request()
        return lambda inputs: request.infer({name: inputs[name] for name in names})[0]

    version = openvino.__version__.split("-")[0]
    return f"openvino {version}", [session() for _ in range(settings["sessions"])]


def ctranslate2_sessions():
    """The same of one encoder with a worker for each, and an attention mask of its own."""
    import ctranslate2

    if job["type"] not in ctranslate2.get_supported_compute_types("cpu"):
        raise RuntimeError(f"this processor does not compute in {job['type']}")  # else it takes another type
    encoder = ctranslate2.Encoder(
        file(),
        device="cpu",
        compute_type=job["type"],
        inter_threads=settings["sessions"],
        intra_threads=settings["threads"],
    )
    rerank = job["kind"] == "rerank"
    head = numpy.load(os.path.join(file(), "head.npz")) if rerank else None

    def session(inputs):
        lengths = inputs["attention_mask"].sum(axis=1).astype(numpy.int32)
        ids = ctranslate2.StorageView.from_array(inputs["input_ids"].astype(numpy.int32))
        types = inputs["token_type_ids"].tolist()
        output = encoder.forward_batch(ids, ctranslate2.StorageView.from_array(lengths), token_type_ids=types)
        found = output.pooler_output if rerank else output.last_hidden_state
        found = numpy.array(found.to(ctranslate2.DataType.float32))
        return found @ head["weight"].T + head["bias"] if rerank else found

    return f"ctranslate2 {ctranslate2.__version__}", [session] * settings["sessions"]


ENGINES = {"onnxruntime": onnxruntime_sessions, "openvino": openvino_sessions, "ctranslate2": ctranslate2_sessions}


def file():
    return os.path.join(job["model"], settings["file"])


def outputs(session, encodings):
    width = len(encodings[0].ids)  # the longest
    padded = lambda values: numpy.array([row + [0] * (width - len(row)) for row in values], dtype=numpy.int64)
    inputs = {
        "input_ids": padded([encoding.ids for encoding in encodings]),
        "attention_mask": padded([encoding.attention_mask for encoding in encodings]),
        "token_type_ids": padded([encoding.type_ids for encoding in encodings]),
    }
    output = session(inputs)
    if job["kind"] == "rerank":
        return output[:, 0]
    mask = inputs["attention_mask"][:, :, None].astype(numpy.float32)
    sums = (output * mask).sum(axis=1)  # the mean but for a factor, which the length takes away
    return sums / numpy.linalg.norm(sums, axis=1, keepdims=True)


main()
