/** The results as a picture, drawn by Apache ECharts, which lives in the user's cache and not in package.json. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { benchCache, ROOT } from "./models.ts";
import { machineLine } from "./report.ts";
import { type Results, speedup, type WorkloadResult } from "./results.ts";

const BULK = ["titles", "paragraphs", "passages", "many", "causal", "rerank", "yes-no"];
const WIDTH = 900;
const BAR = 13; // pixels
const HEAD = 90;

/** What of ECharts is used. */
interface Chart {
  setOption(option: unknown): void;
  renderToSVGString(): string;
  dispose(): void;
}

/** Speeds as multiples of the ceiling's, a group of bars for each workload. */
export function drawChart(results: Results, path: string): void {
  const workloads = results.workloads.filter(({ name }) => BULK.includes(name));
  if (workloads.length === 0) return;
  const echarts = createRequire(join(library(), "package.json"))("echarts");
  const height = HEAD + workloads.reduce((sum, { contenders }) => sum + (contenders.length + 1) * BAR, 0) + 30;
  const chart: Chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption(optionOf(results, workloads));
  writeFileSync(path, `${chart.renderToSVGString()}\n`);
  chart.dispose();
}

function optionOf(results: Results, workloads: readonly WorkloadResult[]): unknown {
  const names = [...new Set(workloads.flatMap(({ contenders }) => contenders.map(({ name }) => name)))];
  return {
    animation: false,
    title: {
      text: "Speed, as a multiple of libllama in C++ alone",
      subtext: `${machineLine(results.machine).split(";")[0]}; ${results.date.slice(0, 10)}`,
      subtextStyle: { width: WIDTH - 40, overflow: "truncate" },
    },
    legend: { top: 50, data: names },
    grid: { top: HEAD, left: 90, right: 60, bottom: 30 },
    xAxis: { type: "value" },
    yAxis: { type: "category", inverse: true, data: workloads.map(({ name }) => name) },
    series: names.map((name) => ({
      ...{ name, type: "bar", barWidth: BAR - 3, barGap: "20%" },
      label: { show: true, position: "right", fontSize: 10 },
      data: workloads.map((workload) => speedOf(workload, name)),
    })),
  };
}

function speedOf({ contenders, reference }: WorkloadResult, name: string): number | null {
  const [one, base] = [name, reference].map((name) => contenders.find((one) => one.name === name));
  const ratio = one && base ? speedup(one, base) : undefined;
  return ratio ? Number(ratio.median.toFixed(2)) : null;
}

/** The folder that has ECharts in its node_modules, of the version that the lock names. */
function library(): string {
  const source = join(ROOT, "scripts", "bench", "chart");
  const { dependencies } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  const directory = join(benchCache(), `echarts-${dependencies.echarts}`);
  if (existsSync(directory)) return directory;
  const temporary = mkdtempSync(`${directory}.incomplete-`);
  try {
    cpSync(source, temporary, { recursive: true });
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    const { status, stderr } = spawnSync("npm", args, { cwd: temporary, encoding: "utf8" });
    if (status !== 0) throw new Error(`npm cannot install ECharts: ${stderr.trim().split("\n").at(-1)}`);
    renameSync(temporary, directory);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return directory;
}
