/**
 * The first column is text, the others are numbers with their units, and so end where the next one does.
 * @param {string[]} heads
 * @param {string[][]} rows
 */
export function table(heads, rows) {
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (/** @type {string[]} */ cells) =>
    widths
      .map((width, i) => (i === 0 ? cells[i]?.padEnd(width) : (cells[i] ?? '').padStart(width)))
      .join('  ');
  return [line(heads), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  if (seconds < 6000) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number} value */
export function grouped(value) {
  return Math.round(value).toLocaleString('en-US');
}
