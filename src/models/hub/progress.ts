/** A line on the terminal that tells how far a download is. */
import process from "node:process";

/** How far the download of a file is. */
export interface DownloadProgress {
  /** The file, without its folders. */
  readonly file: string;
  /** Bytes that are there. */
  readonly done: number;
  /** Bytes of the file. */
  readonly total: number;
}

const WIDTH = 24;

/** Draws progress on a terminal, one line a file, ten times a second at most. */
export function progressBar(
  out: { write(text: string): unknown; readonly columns?: number | undefined } = process.stderr,
  now: () => number = () => performance.now(),
): (progress: DownloadProgress) => void {
  let next = 0;
  return ({ file, done, total }) => {
    const whole = done >= total;
    if (!whole && now() < next) return;
    next = now() + 100;
    const part = total === 0 ? 1 : done / total;
    const bar = "#".repeat(Math.round(part * WIDTH)).padEnd(WIDTH, ".");
    const numbers = `${megabytes(done)} of ${megabytes(total)} MB ${String(Math.floor(part * 100)).padStart(3)} %`;
    const line = `[${bar}] ${numbers} ${file}`.slice(0, Math.max(20, (out.columns ?? 80) - 1));
    out.write(`\r${line}${whole ? "\n" : ""}`);
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
