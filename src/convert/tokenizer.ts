/** What the tokenizers of checkpoints have in common: types of tokens, special tokens, and what goes around a text. */
import { Config } from "./config.ts";

/** Values of enum llama_token_type. */
export const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5;

/** What the tokenizers of BERT and ModernBERT assume where a checkpoint does not name its special tokens. */
export const BERT_ASSUMED = {
  unk_token: "[UNK]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  cls_token: "[CLS]",
  mask_token: "[MASK]",
} as const;

/** The special tokens of a family by their keys in tokenizer_config.json. */
export type NamedTokens<Assumed> = Readonly<Record<keyof Assumed, string>>;

/**
 * Reads which tokens are special.
 *
 * @param directory Path of the checkpoint.
 * @param settings Its tokenizer_config.json; special_tokens_map.json is asked after it.
 * @param assumed What the family's tokenizer assumes where the checkpoint names none.
 */
export async function specialTokens<Assumed extends Readonly<Record<string, string>>>(
  directory: string,
  settings: Config | undefined,
  assumed: Assumed,
): Promise<NamedTokens<Assumed>> {
  const files = [settings, await Config.find(directory, "special_tokens_map.json")];
  const named = Object.entries(assumed).map(([key, otherwise]) => {
    // Either the text itself, or an object that describes it.
    const texts = files.map((file) => file?.isText(key) ? file.text(key) : file?.object(key)?.text("content"));
    return [key, texts.find((text) => text !== undefined) ?? otherwise];
  });
  return Object.fromEntries(named) as NamedTokens<Assumed>;
}

/**
 * The tokens around a text: what is put around one text and two has to be what llama.cpp and the family know.
 *
 * @param json tokenizer.json.
 * @param separators How many tokens are between two texts.
 */
export function template(json: Config, separators: 1 | 2): [cls: string, sep: string] {
  const processor = json.object("post_processor") ??
    json.unsupported("post_processor is missing, there must be tokens around a text");
  const kind = processor.text("type");
  if (kind === (separators === 1 ? "BertProcessing" : "RobertaProcessing")) {
    return [firstOf(processor, "cls"), firstOf(processor, "sep")];
  }
  if (kind !== "TemplateProcessing") processor.unsupported(`type ${kind}, only TemplateProcessing is supported`);
  const single = pieces(processor, "single").join(" "), pair = pieces(processor, "pair").join(" ");
  const cls = single.split(" ")[0]!, sep = single.split(" ").at(-1)!;
  const middle = Array(separators).fill(sep).join(" ");
  if (single !== `${cls} $A ${sep}` || pair !== `${cls} $A ${middle} $B ${sep}`) {
    processor.unsupported(
      `the templates "${single}" and "${pair}" are not those of ${separators === 1 ? "BERT" : "RoBERTa"}`,
    );
  }
  return [cls, sep];
}

function pieces(processor: Config, key: string): string[] {
  return processor.objects(key).map((piece) =>
    piece.object("SpecialToken")?.text("id") ?? `$${piece.object("Sequence")?.text("id")}`
  );
}

function firstOf(processor: Config, key: string): string {
  return processor.object(key)?.text("0") ?? processor.invalid(`${key} is missing`);
}

/** TextModel.does_token_look_special: added tokens that checkpoints forget to mark as special. */
export function looksSpecial(token: string): boolean {
  return ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].includes(token) ||
    /^<\|.*\|>$|^<｜.*｜>$|^<unused.*>$/s.test(token);
}
