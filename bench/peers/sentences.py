"""sentence-transformers as a contender, by its own encode, which sorts by length, and predict; on torch, ONNX and OpenVINO."""

import os
import time

from answers import by_length, read_job, serve

started = time.perf_counter()
job = read_job()
settings = {"backend": "torch", "batch": 16, "threads": job["cores"], "processes": 1} | job["settings"]
os.environ["OMP_NUM_THREADS"] = str(settings["threads"])  # before torch reads it
os.environ["TOKENIZERS_PARALLELISM"] = "true" if job["cores"] > 1 else "false"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
import sentence_transformers
import torch

torch.set_num_threads(settings["threads"])


def main():
    model = load()
    setattr(model, "max_length" if job["kind"] == "rerank" else "max_seq_length", job["maxTokens"])
    cast = torch.autocast("cpu", torch.bfloat16, enabled=job["type"] == "autocast")
    run = reranker(model, cast) if job["kind"] == "rerank" else embedder(model, cast)
    versions = [f"sentence-transformers {sentence_transformers.__version__}", f"torch {torch.__version__}"]
    if settings["backend"] == "onnx":
        import onnxruntime

        versions[1] = f"onnxruntime {onnxruntime.__version__}"
    if settings["backend"] == "openvino":
        import openvino

        versions[1] = f"openvino {openvino.__version__.split('-')[0]}"
    serve(job, started, ", ".join(versions), run, lambda rows: numpy.asarray(rows, dtype=numpy.float32).tobytes(), children)


children = []


def load():
    kind = sentence_transformers.CrossEncoder if job["kind"] == "rerank" else sentence_transformers.SentenceTransformer
    backend = settings["backend"]
    options = {}
    if backend == "onnx":
        import onnxruntime

        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = settings["threads"]
        file = "onnx/model_quantized.onnx" if job["type"] == "q8" else "onnx/model_O2.onnx"
        options = {"file_name": file, "provider": "CPUExecutionProvider", "session_options": session}
    if backend == "openvino":
        import openvino

        if job["type"].upper() not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeError(f"this processor does not compute in {job['type']}")  # else it computes in fp32
        config = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32"}.get(job["type"], job["type"]),
            "INFERENCE_NUM_THREADS": settings["threads"],
            "PERFORMANCE_HINT": "LATENCY",
        }
        options = {"file_name": "openvino/openvino_model.xml", "ov_config": config}
    model = kind(job["model"], device="cpu", backend=backend, model_kwargs=options, local_files_only=True)
    if backend == "torch" and job["type"] == "bf16":
        model = model.to(torch.bfloat16)
    return model


def embedder(model, cast):
    options = {"batch_size": settings["batch"], "show_progress_bar": False}
    if settings["processes"] > 1:
        pool = model.start_multi_process_pool(["cpu"] * settings["processes"])
        children.extend(process.pid for process in pool["processes"])
        options |= {"pool": pool}

    def run(texts):
        if "pool" in options:
            chunk = max(1, min(len(texts) // settings["processes"] // 2, 500))
            return model.encode(texts, chunk_size=chunk, normalize_embeddings=True, **options)
        with torch.inference_mode(), cast:
            rows = model.encode(texts, convert_to_tensor=True, **options)
        return torch.nn.functional.normalize(rows.float()).numpy()  # of bf16 numbers the length is not quite 1

    return run


def reranker(model, cast):
    def run(texts):
        order = by_length(texts)  # predict, unlike encode, does not sort
        with torch.inference_mode(), cast:
            scores = model.predict(
                [(job["query"], texts[i]) for i in order],
                batch_size=settings["batch"],
                activation_fn=torch.nn.Identity(),
                convert_to_tensor=True,
                show_progress_bar=False,
            ).float()
        rows = numpy.empty(len(texts), dtype=numpy.float32)
        rows[order] = scores.numpy()
        return rows

    return run


if __name__ == "__main__":  # its processes import this file
    main()
