"""Asks a server by Python's clients, and prints what they got as JSON. The job comes on stdin."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import cohere
import langchain_openai
import ollama
import openai
import tiktoken
import voyageai
from huggingface_hub import InferenceClient

JOB = json.load(sys.stdin)
TEXTS, DOCUMENTS, LONG, LARGE = JOB["texts"], JOB["documents"], JOB["long"], JOB["large"]


class ByteEncoding:
    """Stands for OpenAI's vocabulary, which would have to be downloaded: ids of bytes are as wrong for other models."""

    def encode_ordinary(self, text):
        return list(text.encode())

    def encode(self, text, **_):
        return list(text.encode())


tiktoken.encoding_for_model = lambda _: ByteEncoding()
tiktoken.get_encoding = lambda _: ByteEncoding()


def of_openai(url, key, model, texts):
    client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
    answer = client.embeddings.create(model=model, input=texts)
    return {"vectors": [list(map(float, one.embedding)) for one in answer.data], "tokens": answer.usage.total_tokens}


def of_openai_float(url, key, model, texts):
    client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
    answer = client.embeddings.create(model=model, input=texts, encoding_format="float")
    return {"vectors": [one.embedding for one in answer.data], "tokens": answer.usage.total_tokens}


def of_langchain(url, key, model, texts):
    embeddings = langchain_openai.OpenAIEmbeddings(
        model=model, base_url=url + "/v1", api_key=key, max_retries=0, check_embedding_ctx_length=False
    )
    return {"vectors": embeddings.embed_documents(texts)}


def of_langchain_ids(url, key, model, texts):
    embeddings = langchain_openai.OpenAIEmbeddings(model=model, base_url=url + "/v1", api_key=key, max_retries=0)
    return {"vectors": embeddings.embed_documents(texts)}


def of_huggingface(url, key, _, texts):
    client = InferenceClient(model=url, token=key)
    return {"vectors": [client.feature_extraction(text)[0].tolist() for text in texts]}


def of_ollama(url, key, model, texts):
    client = ollama.Client(host=url, headers={"authorization": "Bearer " + key})
    answer = client.embed(model=model, input=texts)
    return {"vectors": [list(one) for one in answer.embeddings], "tokens": answer.prompt_eval_count}


def of_voyage(url, key, model, texts, truncation=True):
    client = voyageai.Client(api_key=key, base_url=url + "/v1", max_retries=0)
    answer = client.embed(texts, model=model, truncation=truncation)
    return {"vectors": answer.embeddings, "tokens": answer.total_tokens}


def ranked_by_cohere(url, key, model, query, documents):
    client = cohere.ClientV2(api_key=key, base_url=url)
    options = {"max_retries": 0}
    results = client.rerank(model=model, query=query, documents=documents, request_options=options).results
    return [{"index": one.index, "score": one.relevance_score} for one in results]


def ranked_by_voyage(url, key, model, query, documents):
    client = voyageai.Client(api_key=key, base_url=url + "/v1", max_retries=0)
    results = client.rerank(query, documents, model=model, truncation=True).results
    assert all(one.document == documents[one.index] for one in results)
    return [{"index": one.index, "score": one.relevance_score} for one in results]


def status(call, *arguments):
    try:
        call(*arguments)
        return 200
    except Exception as error:  # each client has its own classes; each tells the status in its own place
        response = getattr(error, "response", None)
        for told in (getattr(error, "status_code", None), getattr(error, "http_status", None), getattr(response, "status_code", None)):
            if told is not None and told > 0:
                return told
        return repr(error)[:300]


def message(call, *arguments):
    try:
        call(*arguments)
        return ""
    except Exception as error:
        return str(error)


MANY = [f"a text of several words, number {i}" for i in range(JOB["batch"])]


def crowd(call, *arguments):
    """What calls at once come to; more of them, where clients took so long to be made that none met another."""
    told = []
    with ThreadPoolExecutor(6) as pool:
        for _ in range(20):
            told += [job.result() for job in [pool.submit(status, call, *arguments) for _ in range(6)]]
            if 429 in told and 200 in told:
                break
    return told


def embedder(call, nameless=False, crowded=MANY, **refusing):
    """Asks for vectors, and for each class of error; `refusing` has a text that is too long refused."""
    (url, closed, key) = (JOB["url"], JOB["closed"], JOB["key"])
    # Who sends no name may have a wrong address.
    nothing = (closed + "/nothing", key, "", ["a"]) if nameless else (closed, key, "nothing", ["a"])
    return {
        **call(url, "any", "mini", TEXTS),
        "long": status(call, url, "any", "mini", [LONG]),
        "refused": status(lambda *asked: call(*asked, **refusing), closed, key, "mini", [LONG]),
        "key": status(call, closed, "wrong", "mini", ["a"]),
        "nothing": status(call, *nothing),
        "large": status(call, closed, key, "mini", [LARGE]),
        "many": status(call, closed, key, "mini", [*MANY, "one more"]),
        "crowd": crowd(call, closed, key, "mini", crowded),
    }


def ranker(call):
    (url, closed, key) = (JOB["url"], JOB["closed"], JOB["key"])
    return {
        "ranked": call(url, "any", "ranker", "what is it", DOCUMENTS),
        "long": status(call, url, "any", "ranker", LONG, DOCUMENTS),
        "key": status(call, closed, "wrong", "ranker", "a", DOCUMENTS),
        "nothing": status(call, closed, key, "nothing", "a", DOCUMENTS),
        "large": status(call, closed, key, "ranker", "a", [LARGE]),
        "many": status(call, closed, key, "ranker", "a", [*MANY, "one more"]),
        "crowd": crowd(call, closed, key, "ranker", "a", MANY),
    }


print(
    json.dumps(
        {
            "openai": embedder(of_openai),
            "openai, float": embedder(of_openai_float),
            "langchain-openai": embedder(of_langchain),
            "huggingface_hub": embedder(of_huggingface, nameless=True, crowded=["word " * 200]),
            "ollama": embedder(of_ollama),
            "voyageai": embedder(of_voyage, truncation=False),
            "cohere": ranker(ranked_by_cohere),
            "voyageai, rerank": ranker(ranked_by_voyage),
            "ids": message(of_langchain_ids, JOB["url"], "any", "mini", TEXTS),
        }
    )
)
