/** The results as a picture, drawn by Apache ECharts, which lives in the user's cache and not in package.json. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { benchCache, ROOT } from "./models.ts";
import { isOurs } from "./ours_peer.ts";
import { type Results, speedup, type WorkloadResult } from "./results.ts";

const BULK = ["titles", "paragraphs", "passages", "many", "causal", "rerank", "yes-no"];
const WIDTH = 900;
const ROW = 18; // pixels
const HEAD = 70; // title
const COLOURS = { ours: "#2f6fb0", ceiling: "#555555", others: "#b8b8b8" } as const;

/** What of ECharts is used. */
interface Chart {
  setOption(option: unknown): void;
  renderToSVGString(): string;
  dispose(): void;
}

/** A bar or, without a value, the heading of those below it. */
interface Row {
  readonly label: string;
  readonly value: number | null;
  readonly colour: string;
}

/** Speeds as multiples of the ceiling's, a bar for each contender and workload. */
export function drawChart(results: Results, path: string): void {
  const rows = results.workloads.filter(({ name }) => BULK.includes(name)).flatMap(rowsOf);
  if (rows.length === 0) return;
  const echarts = createRequire(join(library(), "package.json"))("echarts");
  const height = HEAD + rows.length * ROW + 30;
  const chart: Chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption(optionOf(results, rows));
  writeFileSync(path, `${chart.renderToSVGString()}\n`);
  chart.dispose();
}

function rowsOf({ title, contenders, reference }: WorkloadResult): Row[] {
  const base = contenders.find(({ name }) => name === reference);
  const bars = contenders.flatMap((one): Row[] => {
    const ratio = base && speedup(one, base);
    if (!ratio) return [];
    const kind = one === base ? "ceiling" : isOurs(one.name) ? "ours" : "others";
    return [{ label: one.name, value: Number(ratio.median.toFixed(2)), colour: COLOURS[kind] }];
  });
  return bars.length === 0 ? [] : [{ label: title, value: null, colour: "" }, ...bars];
}

function optionOf({ machine, date }: Results, rows: readonly Row[]): unknown {
  return {
    animation: false,
    textStyle: { fontFamily: "sans-serif" },
    title: {
      text: "Speed, as a multiple of libllama in C++ alone",
      subtext: `${machine.cpu}, ${machine.cores} cores; ${machine.versions}; ${date.slice(0, 10)}`,
    },
    grid: { top: HEAD, left: 200, right: 50, bottom: 30 },
    xAxis: { type: "value" },
    // headings go over the bars' place, names before it
    yAxis: {
      ...{ type: "category", inverse: true, axisTick: { show: false } },
      data: rows.map(({ label, value }) => value === null ? "" : label),
      axisLabel: { interval: 0 },
    },
    series: [{
      ...{ type: "bar", barWidth: ROW - 5 },
      label: { show: true, position: "right" },
      data: rows.map(({ label, value, colour }) =>
        value === null
          ? { value: 0, label: { formatter: label, fontWeight: "bold" } }
          : { value, itemStyle: { color: colour } }
      ),
    }],
  };
}

/** The folder that has ECharts in its node_modules, of the version that the lock names. */
function library(): string {
  const source = join(ROOT, "bench", "chart");
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
