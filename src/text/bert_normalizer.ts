/**
 * What a BERT tokenizer does to a text before it looks words up, where llama.cpp does it differently.
 *
 * Hugging Face decomposes fully (NFD: Hangul into its letters, a base into itself and every mark) and then drops the
 * nonspacing marks; llama.cpp keeps the first code point of a table without Hangul. A word of more than 100 characters
 * is one [UNK] there, but pieces here. And form feeds, vertical tabs and U+0085 are dropped there, but spaces here. Sources: tokenizers, `normalizers/bert.rs` and
 * `models/wordpiece/mod.rs` (`max_input_chars_per_word`); llama.cpp, `llm_tokenizer_wpm_session::preprocess`.
 */
// deno-lint-ignore no-control-regex -- it is the definition of ASCII
const ASCII = /^[\x00-\x7f]*$/;
// What `BertNormalizer` drops: control and format characters but for tab, line feed and carriage return.
// deno-lint-ignore no-control-regex -- they are what is looked for
const DROPPED = /[\0-\x08\v\f\x0e-\x1f\x7f-\x9f\p{Cf}\ufffd]/gu;
const NONSPACING_MARKS = /\p{Mn}/gu;
const LONG_RUN = /\S{101}/;
// Characters that end a word: white space, punctuation, ASCII symbols, and the ideographs that stand for themselves.
const BETWEEN = String
  .raw`\s\p{P}$+<=>^\x60|~\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}`;
// Without a length that is open: on a word of megabytes V8's stack would not do for it.
const LONG_START = new RegExp(`[^${BETWEEN}]{101}`, "gu");
const WORD_END = new RegExp(`[${BETWEEN}]`, "gu");
// A letter of Linear A: no vocabulary has it, so it becomes one [UNK].
const UNKNOWN = "\u{10600}";

/** Normalises a text so that llama.cpp's WordPiece gives the tokens of Hugging Face's. */
export function normalizeBert(text: string, stripAccents: boolean): string {
  const kept = text.replace(DROPPED, "");
  const decomposed = stripAccents && !ASCII.test(kept) ? kept.normalize("NFD").replace(NONSPACING_MARKS, "") : kept;
  return LONG_RUN.test(decomposed) ? withoutLongWords(decomposed) : decomposed;
}

function withoutLongWords(text: string): string {
  const parts: string[] = [];
  let kept = 0;
  for (;;) {
    LONG_START.lastIndex = kept;
    const start = LONG_START.exec(text)?.index;
    if (start === undefined) return parts.join("") + text.slice(kept);
    WORD_END.lastIndex = LONG_START.lastIndex;
    parts.push(text.slice(kept, start), UNKNOWN);
    kept = WORD_END.exec(text)?.index ?? text.length;
  }
}
