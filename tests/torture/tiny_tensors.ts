// The tensors of the tiny models, with random weights that are the same each time.
import { randomIntegers } from "../support/random.ts";

export const WIDTH = 32;
export const INNER = 64;
export const HEADS = 2;
export const HEAD = 16;

export type Part = [string, number[], Float32Array];

/** Random weights, the same each time; norms are near 1. */
export function weights(): (name: string, ...dimensions: number[]) => Part {
  const draw = randomIntegers(1);
  return (name, ...dimensions) => {
    const length = dimensions.reduce((product, n) => product * n, 1);
    const middle = /norm\.weight$/.test(name) ? 1 : 0;
    return [name, dimensions, Float32Array.from({ length }, () => middle + draw(-1000, 1000) / 5000)];
  };
}

/** The tensors of a pre-norm decoder with a gated feed-forward; `norms`: names and widths of each layer's further ones. */
export function decoder(
  vocabulary: number,
  layers: number,
  norms: Readonly<Record<string, number>>,
  ...more: Part[]
): Part[] {
  const w = weights();
  const layer = (il: number): Part[] => {
    const own = (name: string, ...dimensions: number[]): Part => w(`blk.${il}.${name}.weight`, ...dimensions);
    return [
      own("attn_norm", WIDTH),
      ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) => own(name, WIDTH, WIDTH)),
      own("ffn_norm", WIDTH),
      own("ffn_gate", WIDTH, INNER),
      own("ffn_down", INNER, WIDTH),
      own("ffn_up", WIDTH, INNER),
      ...Object.entries(norms).map(([name, width]) => own(name, width)),
    ];
  };
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("output_norm.weight", WIDTH),
    ...Array.from({ length: layers }, (_, il) => layer(il)).flat(),
    ...more,
  ];
}

/** The tensors of a BERT without position embeddings. */
export function encoder(vocabulary: number, gate: boolean, experts: number): Part[] {
  const w = weights();
  const norm = (name: string): Part[] => [w(`${name}.weight`, WIDTH), w(`${name}.bias`, WIDTH)];
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("token_types.weight", WIDTH, 2),
    ...norm("token_embd_norm"),
    ...norm("blk.0.attn_output_norm"),
    ...norm("blk.0.layer_output_norm"),
    w("blk.0.attn_qkv.weight", WIDTH, 3 * WIDTH),
    w("blk.0.attn_output.weight", WIDTH, WIDTH),
    w("blk.0.ffn_up.weight", WIDTH, INNER),
    w("blk.0.ffn_down.weight", INNER, WIDTH),
    ...(gate ? [w("blk.0.ffn_gate.weight", WIDTH, INNER)] : []),
    ...(experts === 0 ? [] : [
      ...norm("blk.1.attn_output_norm"),
      ...norm("blk.1.layer_output_norm"),
      w("blk.1.attn_qkv.weight", WIDTH, 3 * WIDTH),
      w("blk.1.attn_output.weight", WIDTH, WIDTH),
      w("blk.1.ffn_gate_inp.weight", WIDTH, experts),
      w("blk.1.ffn_up_exps.weight", WIDTH, INNER, experts),
      w("blk.1.ffn_down_exps.weight", INNER, WIDTH, experts),
    ]),
  ];
}

/** The tensors of a T5 encoder. */
export function t5(vocabulary: number): Part[] {
  const w = weights();
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("enc.output_norm.weight", WIDTH),
    w("enc.blk.0.attn_norm.weight", WIDTH),
    w("enc.blk.0.attn_rel_b.weight", HEADS, 32),
    ...["q", "k", "v", "o"].map((one) => w(`enc.blk.0.attn_${one}.weight`, WIDTH, WIDTH)),
    w("enc.blk.0.ffn_norm.weight", WIDTH),
    w("enc.blk.0.ffn_down.weight", INNER, WIDTH),
    w("enc.blk.0.ffn_up.weight", WIDTH, INNER),
  ];
}

/** The tensors of a ModernBERT of three layers, of which one sees everything and two a window. */
export function modernBert(vocabulary: number): Part[] {
  const w = weights();
  const layer = (il: number): Part[] => [
    ...(il === 0 ? [] : [w(`blk.${il}.attn_norm.weight`, WIDTH)]),
    w(`blk.${il}.attn_qkv.weight`, WIDTH, 3 * WIDTH),
    w(`blk.${il}.attn_output.weight`, WIDTH, WIDTH),
    w(`blk.${il}.ffn_up.weight`, WIDTH, 2 * INNER),
    w(`blk.${il}.ffn_down.weight`, INNER, WIDTH),
    w(`blk.${il}.ffn_norm.weight`, WIDTH),
  ];
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("token_embd_norm.weight", WIDTH),
    w("output_norm.weight", WIDTH),
    ...[0, 1, 2].flatMap(layer),
  ];
}

/** The tensors of a JinaBERT v2, which has biases everywhere and ALiBi. */
export function jina(vocabulary: number): Part[] {
  const w = weights();
  const both = (name: string, ...dimensions: number[]): Part[] => [
    w(`${name}.weight`, ...dimensions),
    w(`${name}.bias`, dimensions.at(-1)!),
  ];
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("token_types.weight", WIDTH, 2),
    ...both("token_embd_norm", WIDTH),
    ...["q", "k", "v", "output"].flatMap((one) => both(`blk.0.attn_${one}`, WIDTH, WIDTH)),
    ...both("blk.0.attn_output_norm", WIDTH),
    w("blk.0.ffn_gate.weight", WIDTH, INNER),
    w("blk.0.ffn_up.weight", WIDTH, INNER),
    ...both("blk.0.ffn_down", INNER, WIDTH),
    ...both("blk.0.layer_output_norm", WIDTH),
  ];
}

/** The tensors of an LFM2 with a layer of convolution and one of attention. */
export function lfm2(vocabulary: number): Part[] {
  const w = weights();
  const feedForward = (il: number): Part[] => [
    w(`blk.${il}.attn_norm.weight`, WIDTH),
    w(`blk.${il}.ffn_norm.weight`, WIDTH),
    w(`blk.${il}.ffn_gate.weight`, WIDTH, INNER),
    w(`blk.${il}.ffn_down.weight`, INNER, WIDTH),
    w(`blk.${il}.ffn_up.weight`, WIDTH, INNER),
  ];
  return [
    w("token_embd.weight", WIDTH, vocabulary),
    w("token_embd_norm.weight", WIDTH),
    ...feedForward(0),
    w("blk.0.shortconv.conv.weight", 3, WIDTH),
    w("blk.0.shortconv.in_proj.weight", WIDTH, 3 * WIDTH),
    w("blk.0.shortconv.out_proj.weight", WIDTH, WIDTH),
    ...feedForward(1),
    ...["q", "k", "v", "output"].map((one) => w(`blk.1.attn_${one}.weight`, WIDTH, WIDTH)),
    w("blk.1.attn_q_norm.weight", HEAD),
    w("blk.1.attn_k_norm.weight", HEAD),
  ];
}
