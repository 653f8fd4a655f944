//! llama_crab as a contender: texts of similar length share a batch, contexts of one model share the batches.
//! How it talks with the driver is in CONTRIBUTING.md.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use llama_crab::context::params::PoolingType;
use llama_crab::{LlamaBackend, LlamaBatch, LlamaContext, LlamaContextParams, LlamaModel, LlamaModelParams, LlamaToken};
use serde_json::{json, Value};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WARM_TEXTS: usize = 16;
const VERSION: &str = "llama_crab 0.1.8"; // as Cargo.toml has it

struct Embedder {
    /// Boxed: the contexts point to it.
    model: Box<LlamaModel>,
    contexts: Vec<Mutex<LlamaContext>>,
    longest: usize,
    /// Tokens of a batch, unless one text has more.
    pack: usize,
}

impl Embedder {
    fn new(job: &Value) -> Result<Self, Failure> {
        let setting = |name: &str, default: u64| job["settings"][name].as_u64().unwrap_or(default);
        let longest = job["maxTokens"].as_u64().ok_or("no maxTokens")? as usize;
        let pack = setting("pack", 256) as usize;
        let most = pack.max(longest) as u32;
        let backend = LlamaBackend::init()?;
        let path = job["model"].as_str().ok_or("no model")?;
        let model = Box::new(LlamaModel::load_from_file(&backend, Path::new(path), &LlamaModelParams::default())?);
        let threads = setting("threads", 1) as i32;
        let params = LlamaContextParams::default()
            .with_n_ctx(most)
            .with_n_batch(most)
            .with_n_ubatch(most)
            .with_n_seq_max(64)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_embeddings(true)
            .with_pooling_type(PoolingType::Mean)
            .with_flash_attn(true);
        let contexts = (0..setting("contexts", 2))
            .map(|_| Ok(Mutex::new(model.new_context(&backend, params.clone())?)))
            .collect::<Result<_, Failure>>()?;
        std::mem::forget(backend); // the contexts need it until the process ends
        Ok(Self { model, contexts, longest, pack })
    }

    fn run(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failure> {
        let tokens = texts.iter().map(|text| self.tokens(text)).collect::<Result<Vec<_>, _>>()?;
        let packs = Mutex::new(self.packs(&tokens));
        let rows = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            let workers: Vec<_> = self
                .contexts
                .iter()
                .map(|context| {
                    scope.spawn(|| -> Result<(), Failure> {
                        let mut context = context.lock().unwrap();
                        loop {
                            let Some(pack) = packs.lock().unwrap().pop() else { return Ok(()) };
                            let found = embed(&mut context, &tokens, &pack)?;
                            rows.lock().unwrap().extend(pack.into_iter().zip(found));
                        }
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap())
        })?;
        Ok(rows.into_inner().unwrap().into_values().collect())
    }

    fn tokens(&self, text: &str) -> Result<Vec<LlamaToken>, Failure> {
        let mut tokens = self.model.tokenize(text, true, false)?;
        if tokens.len() > self.longest {
            tokens.drain(self.longest - 1..tokens.len() - 1); // the closing token stays
        }
        Ok(tokens)
    }

    /// The places of the texts by batch; the longest are taken first, since they come off the end.
    fn packs(&self, tokens: &[Vec<LlamaToken>]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|&i| tokens[i].len());
        let mut packs: Vec<Vec<usize>> = Vec::new();
        let mut room = 0;
        for i in order {
            match packs.last_mut() {
                Some(pack) if room >= tokens[i].len() && pack.len() < 64 => pack.push(i),
                _ => {
                    packs.push(vec![i]);
                    room = self.pack.max(tokens[i].len());
                }
            }
            room -= tokens[i].len();
        }
        packs
    }
}

fn embed(context: &mut LlamaContext, tokens: &[Vec<LlamaToken>], pack: &[usize]) -> Result<Vec<Vec<f32>>, Failure> {
    let mut batch = LlamaBatch::new(pack.iter().map(|&i| tokens[i].len()).sum(), 1);
    for (sequence, &i) in pack.iter().enumerate() {
        for (position, &token) in tokens[i].iter().enumerate() {
            batch.add(token, position as i32, &[sequence as i32], true).map_err(|error| format!("{error:?}"))?;
        }
    }
    context.encode(&batch)?;
    (0..pack.len())
        .map(|sequence| {
            let mut row = context.embeddings_seq(sequence as i32)?.to_vec();
            LlamaContextParams::l2_normalize(&mut row);
            Ok(row)
        })
        .collect()
}

fn main() -> Result<(), Failure> {
    let started = Instant::now();
    let path = std::env::args().nth(1).ok_or("give a job")?;
    let job: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let texts: Vec<&str> = job["texts"].as_array().ok_or("no texts")?.iter().filter_map(Value::as_str).collect();
    let embedder = Embedder::new(&job)?;
    let load = started.elapsed().as_secs_f64();
    let step = (texts.len() / WARM_TEXTS).max(1);
    embedder.run(&texts.iter().copied().step_by(step).collect::<Vec<_>>())?;
    let mut answers = std::io::stdout();
    writeln!(answers, "{}", json!({ "load": load, "versions": VERSION }))?;
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&embedder, &texts, &line?).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(answers, "{answer}")?;
    }
    std::process::exit(0)
}

fn answer(embedder: &Embedder, texts: &[&str], line: &str) -> Result<Value, Failure> {
    let (word, argument) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match word {
        "go" => {
            let (cpu, start) = (processor_seconds(), Instant::now());
            embedder.run(texts)?;
            Ok(json!({ "seconds": start.elapsed().as_secs_f64(), "cpu": processor_seconds() - cpu }))
        }
        "one" => {
            let calls = (0..argument.parse::<usize>()?).map(|i| {
                let start = Instant::now();
                embedder.run(&texts[i % texts.len()..][..1])?;
                Ok(start.elapsed().as_secs_f64())
            });
            Ok(json!({ "seconds": calls.collect::<Result<Vec<_>, Failure>>()? }))
        }
        "vectors" => {
            let bytes: Vec<u8> = embedder.run(texts)?.into_iter().flatten().flat_map(f32::to_le_bytes).collect();
            std::fs::write(argument, &bytes)?;
            Ok(json!({ "bytes": bytes.len() }))
        }
        _ => Err(format!("{word:?} is no command").into()),
    }
}

fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes one timespec
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
