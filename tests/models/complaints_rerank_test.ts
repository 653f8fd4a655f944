// What users of other bindings complain of in rankings, each with what those do: the naive way must fail where ours passes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { convert } from "../../convert.ts";
import { Llama, LlamaError, type Ranked } from "../../mod.ts";
import { copyCheckpoint, fixture, inDirectory, openSafetensors, writeSafetensors } from "../support/checkpoint.ts";
import { writeWithout } from "../support/gguf_copy.ts";
import { rawRows, type RawSequence } from "../support/raw_pass.ts";
import { libraryMissing } from "../support/references.ts";

const skip = libraryMissing && "the library was not built";
const EXACT = 0.02; // of a logit

interface Pair {
  readonly query: string;
  readonly document: string;
  readonly tokens: readonly number[];
  readonly types?: readonly number[];
  readonly truncated: boolean;
  readonly logits: readonly number[];
}

function pairsOf(name: string): Pair[] {
  return JSON.parse(readFileSync(fixture(`${name}.json`), "utf8")).pairs;
}

/** Runs with a checkpoint's copy, changed, converted and loaded. */
async function withModel(
  name: string,
  run: (llama: Llama, file: string) => Promise<void>,
  change: (weights: Record<string, Float32Array>) => void = () => {},
): Promise<void> {
  await inDirectory(async (directory) => {
    const copy = copyCheckpoint(name, directory);
    editWeights(join(copy, "model.safetensors"), change);
    const file = join(directory, "model.gguf");
    await convert(copy, file);
    await using llama = await Llama.load(file);
    await run(llama, file);
  });
}

function editWeights(path: string, change: (weights: Record<string, Float32Array>) => void): void {
  const { header, data } = openSafetensors(path);
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const bytes = data.slice();
  change(Object.fromEntries(tensors.map(([name, { data_offsets: [from, to] }]) => {
    return [name, new Float32Array(bytes.buffer, from, (to - from) / 4)];
  })));
  writeSafetensors(path, header, bytes);
}

/** Our logits are the reference's; of the naive ones the farthest is far off. */
async function check(
  llama: Llama,
  file: string,
  name: string,
  naive: (pair: Pair) => RawSequence,
  naiveFile = file,
): Promise<void> {
  const pairs = pairsOf(name).filter(({ document }) => document !== "");
  const ours = await Promise.all(pairs.map(async ({ query, document }) => (await llama.rerank(query, [document]))[0]!));
  const rows = await rawRows(naiveFile, "rank", pairs.map(naive));
  const off = (logits: readonly number[]): number[] => logits.map((logit, i) => Math.abs(logit - pairs[i]!.logits[0]!));
  const [right, wrong] = [off(ours.map(({ logit }) => logit)), off(rows.map((row) => row[0]!))];
  console.log(`${name}: off by ${Math.max(...right)}, naive by up to ${Math.max(...wrong)}`);
  assert(Math.max(...right) <= EXACT, `ours is off by ${Math.max(...right)}`);
  assert(Math.max(...wrong) >= 20 * EXACT, `the naive way is off by ${Math.max(...wrong)} only`);
}

const BERT = "tiny_cross_encoder";
const segmentB = ({ types }: Pair): number => types!.indexOf(1);

test(
  "rerank() tells BERT's two texts apart; with one segment the scores are others (complaint 6)",
  { skip },
  async () => {
    await withModel(BERT, (llama, file) => check(llama, file, BERT, ({ tokens }) => ({ ids: tokens })));
  },
);

test("rerank() ends a BERT pair with [SEP]; without it the scores are others (complaint 6)", { skip }, async () => {
  await withModel(BERT, (llama, file) => {
    return check(llama, file, BERT, (pair) => ({ ids: pair.tokens.slice(0, -1), segmentB: segmentB(pair) }));
  });
});

test(
  "rerank() joins XLM-R's pairs by </s></s>; with </s><s> or one </s> the scores are others (complaint 7)",
  { skip },
  async () => {
    const name = "tiny_xlm_roberta_reranker";
    const BOS = 0, EOS = 2;
    await withModel(name, async (llama, file) => {
      const middle = ({ tokens }: Pair): number => tokens.indexOf(EOS);
      await check(llama, file, name, (pair) => ({ ids: pair.tokens.with(middle(pair) + 1, BOS) }));
      await check(llama, file, name, (pair) => ({ ids: pair.tokens.toSpliced(middle(pair), 1) }));
    });
  },
);

test(
  "rerank() cuts the document alone; cutting the whole loses the end of the pair (complaint 11)",
  { skip },
  async () => {
    const long = pairsOf(BERT).find(({ truncated }) => truncated)!;
    await withModel(BERT, async (llama, file) => {
      const [ours] = await llama.rerank(long.query, [long.document]);
      assert(ours!.truncated && Math.abs(ours!.logit - long.logits[0]!) <= EXACT);
      const whole = (await llama.tokenize(long.query)).length + (await llama.tokenize(long.document)).length - 1;
      assert(whole > llama.info.maxTokens, "the pair fits");
      const body = (await llama.tokenize(long.document)).slice(1, -1);
      const start = long.tokens.slice(0, segmentB(long));
      const ids = [...start, ...body].slice(0, llama.info.maxTokens); // and no [SEP]
      const [naive] = await rawRows(file, "rank", [{ ids, segmentB: segmentB(long) }]);
      console.log(`naive: off by ${Math.abs(naive![0]! - long.logits[0]!)}`);
      assert(Math.abs(naive![0]! - long.logits[0]!) >= 5 * EXACT);
    });
  },
);

test(
  "rerank() computes BERT's pooler; a file that lost it warns and scores others (complaint 6)",
  { skip },
  async () => {
    await withModel(BERT, async (llama, file) => {
      const lost = file.replace(".gguf", "-lost.gguf");
      await writeWithout(file, lost, /^cls\.(weight|bias)$/);
      const whole = (pair: Pair): RawSequence => ({ ids: pair.tokens, segmentB: segmentB(pair) });
      await check(llama, file, BERT, whole, lost);
      await using poor = await Llama.load(lost);
      assertEquals([llama.info.exact, poor.info.exact], [true, false]);
    });
  },
);

/** Scores are probabilities: as far below one half as the logit is below 0. */
function isProbability(ranked: readonly { score: number; logit: number }[]): boolean {
  return ranked.every(({ score, logit }) => Math.abs(Math.log(score / (1 - score)) - logit) < 1e-6);
}

test(
  "rerank() puts a score through the logistic function once; twice gives 0.5 to 0.73 (complaint 5)",
  { skip },
  async () => {
    await withModel(BERT, async (llama) => {
      const pairs = pairsOf(BERT);
      const ours = await llama.rerank("yellow fruit", pairs.map(({ document }) => document));
      const naive = ours.map(({ score, logit }) => ({ logit, score: 1 / (1 + Math.exp(-score)) }));
      assert(ours.some(({ logit }) => logit < -1), "no logit below −1");
      assert(isProbability(ours) && !isProbability(naive));
      assert(naive.every(({ score }) => score >= 0.5 && score < 0.7311));
    });
  },
);

test(
  "rerank() sorts by logits; scores that print as 1 keep the order of the list (complaint 5)",
  { skip },
  async () => {
    const sharpen = (weights: Record<string, Float32Array>): void => {
      for (const name of ["classifier.weight", "classifier.bias"]) {
        weights[name]!.forEach((x, i, all) => all[i] = -40 * x);
      }
    };
    await withModel(BERT, async (llama) => {
      const documents = pairsOf(BERT).map(({ document }) => document);
      const ours = await llama.rerank("yellow fruit", documents);
      const saturated = ours.filter(({ score }) => score === 1);
      console.log(
        `${saturated.length} of ${ours.length} scores are 1, logits ${saturated.map(({ logit }) => logit.toFixed(1))}`,
      );
      assert(saturated.length >= 3);
      const ordered = (list: readonly Ranked<string>[]): boolean =>
        list.every(({ logit }, i) => i === 0 || logit <= list[i - 1]!.logit);
      const naive = [...ours].sort((a, b) => a.index - b.index).sort((a, b) => b.score - a.score);
      assert(ordered(ours) && !ordered(naive));
    }, sharpen);
  },
);

test(
  "rerank() asks a plain Qwen3 reranker for yes or no; a number of its last vector is no score (complaint 4)",
  { skip },
  async () => {
    const { family, pairs } = JSON.parse(readFileSync(fixture("families/qwen3_reranker_plain.json"), "utf8"));
    const file = fixture(`families/${family.file}`);
    await using llama = await Llama.load(file);
    assertEquals(llama.info.reranker, "yes-no");
    const few: (Pair & { instruction?: string })[] = pairs.slice(0, 6);
    let [off, wrong] = [0, 0];
    for (const { query, document, instruction, logits } of few) {
      const [ours] = await llama.rerank(query, [document], { instruction });
      off = Math.max(off, Math.abs(ours!.logit - logits[0]!));
      assert(ours!.score > 0 && ours!.score < 1);
      // As a reranker without a head is taken elsewhere: query and document as they are, and a number of the last vector.
      const ids = [...await llama.tokenize(query), ...await llama.tokenize(document)];
      const [row] = await rawRows(file, "last", [{ ids }]);
      wrong = Math.max(wrong, Math.abs(row![0]! - logits[0]!));
    }
    console.log(`off by ${off}, naive by up to ${wrong}`);
    assert(off <= EXACT && wrong >= 20 * EXACT);
  },
);

test("rerank() gives no NaN for a score, it names the document (complaint 23)", { skip }, async () => {
  const poison = (weights: Record<string, Float32Array>): void => {
    weights["classifier.weight"]![0] = NaN;
  };
  await withModel(BERT, async (llama, file) => {
    const error = await assertRejects(() => llama.rerank("a", ["b", "c"]), LlamaError, "documents[");
    assertEquals(error.code, "non-finite");
    const [naive] = await rawRows(file, "rank", [{ ids: pairsOf(BERT)[0]!.tokens }]);
    assert(Number.isNaN(naive![0]));
  }, poison);
});

test(
  "rerank() by cosine gives no score beyond 1, also where a text is its own query",
  { skip: libraryMissing },
  async () => {
    for (const family of ["bert_mean", "qwen3_last"]) {
      await using llama = await Llama.load(fixture(`families/${family}.gguf`), { onLog: () => {} });
      const texts = Array.from({ length: 60 }, (_, i) => `note ${i} of the river`);
      const scores: number[] = [];
      for (const text of texts) scores.push(...(await llama.rerank(text, [text])).map(({ score }) => score));
      assert(scores.every((score) => score <= 1 && score > 1 - 1e-6), `${scores}`);
    }
  },
);
