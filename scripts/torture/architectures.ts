// Names that llama.cpp v0.5.0 knows: LLM_ARCH_NAMES of src/llama-arch.cpp, and what src/llama-vocab.cpp compares with.

/** Every architecture. */
export const ARCHITECTURES: readonly string[] = `
  clip llama llama4 deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bert modern-bert nomic-bert
  nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen qwen2 qwen2moe qwen2vl qwen3
  qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe plamo plamo2 plamo3 codeshell
  orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 gemma4-assistant gemma-embedding
  starcoder2 mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo olmo2 olmoe
  muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4 glm4moe glm-dsa
  bitnet t5 t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4 exaone-moe rwkv6 rwkv6qwen2
  rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch granite_swa chameleon wavtokenizer-dec plm
  bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee afmoe laguna ernie4_5 ernie4_5-moe hunyuan-moe
  hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3 gpt-oss lfm2 lfm2moe dream smallthinker llada llada-moe seed_oss
  grovemoe apertus minimax-01 hrm_text minimax-m2 minimax-m3 cogvlm rnd1 pangu-embedded mistral3 eagle3 dflash
  mistral4 paddleocr mimo2 step35 spark2_5 llama-embed maincoder kimi-linear kimi-k3 talkie mellum nanbeige
  qwen3tts pockettts (unknown)
`.trim().split(/\s+/);

/** `tokenizer.ggml.model`. */
export const TOKENIZERS: readonly string[] =
  "bert gemma4 gpt2 hybriddna llama no_vocab none plamo2 rwkv t5 test whitespace".split(" ");

/** `tokenizer.ggml.pre`: one of each kind. */
export const PRETOKENIZERS: readonly string[] = `
  a.x-4.0 afmoe bailingmoe bloom chameleon chatglm-bpe command-r dbrx deepseek-coder deepseek-llm deepseek-v3
  default exaone exaone4 falcon gemma4 gpt-2 gpt-4o grok-2 hunyuan hy_v4 jina-v2-de jina-v5-nano kimi-k2 lfm2
  llama-bpe llama4 mellum minerva-7b modern-bert mpt olmo poro-chat qwen2 qwen35 refact roberta-bpe sarvam-moe
  smollm starcoder superbpe tekken trillion viking whitespace youtu
`.trim().split(/\s+/);
