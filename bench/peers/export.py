"""
Makes a checkpoint's files for ONNX and OpenVINO, as sentence-transformers' own users make them, and for CTranslate2:
export.py KIND CHECKPOINT OUT
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
from ctranslate2.converters import TransformersConverter
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import CrossEncoder, SentenceTransformer, export_optimized_onnx_model
from transformers import AutoModelForSequenceClassification


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
    to_ctranslate2(kind, checkpoint, os.path.join(out, "ctranslate2"))


def to_ctranslate2(kind, checkpoint, out):
    TransformersConverter(checkpoint).convert(out)  # float32: it quantises when it loads
    if kind == "rerank":  # it computes to BERT's pooler, the head is left to its user
        head = AutoModelForSequenceClassification.from_pretrained(checkpoint, local_files_only=True).classifier
        numpy.savez(os.path.join(out, "head.npz"), **{name: part.detach().numpy() for name, part in head.named_parameters()})


main(*sys.argv[1:])
