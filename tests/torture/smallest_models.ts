// The smallest model of any architecture, made by asking: what llama.cpp says that a file lacks is put into it, until it is loaded.
import { build, copy, type Gguf, parse, serialise, setKey, TYPE, type Value, value } from "./gguf.ts";
import { placeTensors } from "./hostile.ts";
import { type Part, weights } from "./tiny_tensors.ts";

/** Tries a file: the words that it is refused with, undefined if it is loaded. */
export type Try = (file: Uint8Array) => Promise<string | undefined>;

const MOST = 600; // files that are tried for an architecture; the largest takes 230

// Keys that 32 is no good number for; what they mean is in llama.cpp's src/llama-arch.cpp.
const NUMBERS: Readonly<Record<string, number>> = {
  "attention.group_norm_groups": 2,
  "attention.head_count_kv": 1,
  "attention.key_length": 16,
  "attention.sliding_window": 8,
  "attention.value_length": 16,
  "decoder_start_token_id": 0,
  "expert_count": 4,
  "expert_gating_func": 1,
  "expert_group_count": 1,
  "expert_used_count": 2,
  "full_attention_interval": 2,
  "interleave_moe_layer_step": 1,
  "kda.head_dim": 16,
  "leading_dense_block_count": 1,
  "num_loops": 1,
  "rescale_every_n_layers": 6,
  "rope.dimension_count": 16,
  "shortconv.l_cache": 3,
  "ssm.conv_kernel": 4,
  "ssm.group_count": 1,
  "ssm.inner_size": 64,
  "ssm.state_size": 16,
  "ssm.time_step_rank": 4,
  "time_decay_extra_dim": 8,
  "time_mix_extra_dim": 8,
  "token_shift_count": 2,
  "wkv.head_size": 16,
};
const FLOATS = /epsilon|scale$|softcap|freq|clamp|factor|lower_bound|alpha|beta|base|multiplier|magnitude/;

// What llama.cpp's loader takes for optional, and many a graph does not.
const OPTIONAL = ["attn_qkv", "attn_gate", "ssm_in", "ssm_norm", "time_mix_lerp_fused", "time_mix_g1", "time_mix_g2"];
const TYPES = "tokenizer.ggml.token_type_count";

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** A file that grows. */
class Growing {
  readonly #architecture: string;
  readonly #entries: Map<string, Value>;
  readonly #tensors = new Map<string, Part>();
  readonly #weights = weights();
  readonly #optional = OPTIONAL.flatMap((name) => [`blk.0.${name}.weight`, `blk.1.${name}.weight`]);

  /** @param base A sound model, whose metadata it begins with. */
  constructor(architecture: string, base: Uint8Array) {
    this.#architecture = architecture;
    const { entries } = parse(base);
    const [, old = ""] = entries.map(({ key }) => /^(.+)\.block_count$/.exec(utf8(key))).find((match) => match) ?? [];
    this.#entries = new Map(
      entries.map(({ key, value }) => [utf8(key).replace(new RegExp(`^${old}\\.`), `${architecture}.`), value]),
    );
    this.#entries.set("general.architecture", value.string(architecture));
    this.#entries.set(`${architecture}.block_count`, value.u32(2));
  }

  get file(): Gguf {
    return build([...this.#entries], [...this.#tensors.values()]);
  }

  /** Puts in what these words ask for; false if they ask for nothing that is known. */
  answer(words: string): boolean {
    if (/zero experts|n_expert|expected +[\d, ]*\b0\b,? .*got/.test(words) && this.#experts()) return true;
    if (/token type count|token_types/.test(words) && this.#once(TYPES, value.u32(2))) return true;
    if (/lacks a tensor|== NULL|!= NULL/.test(words) && this.#fused()) return true;
    const [, list] = /array key not found in model: ([^\s|,]+)/.exec(words) ?? [];
    if (list) return this.#once(list, value.i32s([1, 0]));
    const [, missing] = /key not found in model: ([^\s|,]+)/.exec(words) ?? /: (\S+\.\S+) is missing/.exec(words) ?? [];
    if (missing) return this.#key(missing, undefined);
    const [, key, type] = /key (\S+) has wrong type \S+ but expected type (\w+)/.exec(words) ?? [];
    if (key) return this.#key(key, type);
    const [, shaped, shape] = /tensor '([^']+)' has wrong shape; expected ([\d, ]+), got/.exec(words) ?? [];
    if (shaped) return this.#tensor(shaped, shape!.split(",").map(Number).filter((n) => n > 0));
    const [, absent] = /tensor '([^']+)' (?:not found|is missing)/.exec(words) ?? [];
    return absent !== undefined && this.#tensor(absent, [1]);
  }

  #once(key: string, one: Value): boolean {
    if (this.#entries.has(key)) return false;
    this.#entries.set(key, one);
    return true;
  }

  #experts(): boolean {
    const own = (key: string): string => `${this.#architecture}.${key}`;
    const counted = this.#once(own("expert_count"), value.u32(4));
    return this.#once(own("expert_used_count"), value.u32(2)) || counted;
  }

  /** The tensor, of those that stand for others, that was not tried yet. */
  #fused(): boolean {
    const next = this.#optional.shift();
    return next !== undefined && this.#tensor(next, [1]);
  }

  #key(key: string, type: string | undefined): boolean {
    const short = key.slice(this.#architecture.length + 1);
    const n = NUMBERS[short] ?? (FLOATS.test(short) ? 1 : 32);
    const named: Readonly<Record<string, Value>> = {
      u32: value.u32(n),
      i32: value.i32(n),
      f32: value.f32(n),
      u64: value.u64(BigInt(n)),
      bool: value.bool(1),
      str: value.string("x"),
    };
    const one = type === undefined ? (FLOATS.test(short) ? value.f32(n) : value.u32(n)) : named[type];
    if (one) this.#entries.set(key, one);
    return one !== undefined;
  }

  #tensor(name: string, shape: number[]): boolean {
    if (shape.length === 0 || shape.reduce((product, n) => product * n, 1) > 1 << 20) return false;
    this.#tensors.set(name, this.#weights(name, ...shape));
    return true;
  }
}

/** A smallest model, or as far as it grew; `end`: the words that nothing could be done about. */
export async function smallest(
  architecture: string,
  base: Uint8Array,
  attempt: Try,
): Promise<{ file: Gguf; end: string | undefined }> {
  const growing = new Growing(architecture, base);
  let before = "", again = 0, end: string | undefined;
  for (let i = 0; i < MOST; i++) {
    end = await attempt(serialise(growing.file));
    if (end === undefined) break;
    again = end === before ? again + 1 : 0;
    before = end;
    if (again > 2 || !growing.answer(end)) break;
  }
  return { file: growing.file, end };
}

/** A file that is like another one. */
export interface Neighbour {
  readonly name: string;
  readonly bytes: () => Uint8Array;
}

/** Each of its keys left out and with other numbers, and each tensor left out. */
export function* neighbours(file: Gguf, architecture: string): Generator<Neighbour> {
  for (const { key, value: one } of file.entries) {
    const name = utf8(key);
    if (!name.startsWith(`${architecture}.`)) continue;
    yield { name: `no ${name}`, bytes: () => serialise(setKey(file, name, undefined)) };
    if (one.type !== TYPE.u32) continue;
    for (const n of [0, 1, 3, 4, 64, 1 << 20]) {
      yield { name: `${name} ${n}`, bytes: () => serialise(setKey(file, name, value.u32(n))) };
    }
  }
  for (const [at, { name }] of file.tensors.entries()) {
    yield {
      name: `no ${utf8(name)}`,
      bytes: () => {
        const less = copy(file);
        less.tensors.splice(at, 1);
        less.tensorCount -= 1n;
        placeTensors(less);
        return serialise(less);
      },
    };
  }
}
