"""Makes the ONNX and OpenVINO files of a checkpoint, as sentence-transformers' own users make them: export.py KIND CHECKPOINT OUT"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import CrossEncoder, SentenceTransformer, export_optimized_onnx_model


def main(kind, checkpoint, out):
    load = CrossEncoder if kind == "rerank" else SentenceTransformer
    model = load(checkpoint, backend="onnx", device="cpu", local_files_only=True, model_kwargs={"export": True})
    model.save_pretrained(out)  # onnx/model.onnx
    export_optimized_onnx_model(model, "O2", out)  # onnx/model_O2.onnx: attention, GELU and layer norm as one node each
    path = os.path.join(out, "onnx", "model.onnx")
    # what transformers.js calls the dtype q8; a scale a column is nearer to the truth than one a matrix
    quantize_dynamic(path, path.replace(".onnx", "_quantized.onnx"), weight_type=QuantType.QInt8, per_channel=True)
    load(
        checkpoint, backend="openvino", device="cpu", local_files_only=True, model_kwargs={"export": True}
    ).save_pretrained(out)


main(*sys.argv[1:])
