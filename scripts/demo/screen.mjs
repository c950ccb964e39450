const barCells = 30;
const defaultColumns = 80;

/** The terminal, or the file or pipe in its place: then there is no colour, and no line is written over. */
export class Screen {
  #out = process.stdout;
  #isLive = this.#out.isTTY && process.env['TERM'] !== 'dumb';
  #hasColour = this.#isLive && !process.env['NO_COLOR'];
  #barIsOpen = false;
  #tenthShown = 0;

  line(text = '') {
    this.closeBar();
    this.#out.write(`${text}\n`);
  }

  /** @param {string} title @param {string} sentence what is shown */
  heading(title, sentence) {
    this.line();
    this.line(this.#styled(1, title));
    this.line(sentence);
    this.line();
  }

  /** @param {string} before @param {string} after @param {string} note */
  change(before, after, note) {
    this.line(`  ${before} → ${this.#styled(32, after)}  ${this.#styled(2, `(${note})`)}`);
  }

  /** One line that grows; where nothing can be written over, a line for each tenth. @param {number} done @param {number} all @param {string} note */
  bar(done, all, note) {
    const share = all === 0 ? 1 : done / all;
    if (!this.#isLive) {
      const tenth = Math.floor(share * 10);
      if (tenth === this.#tenthShown) return;
      this.#tenthShown = tenth;
      this.#out.write(`  ${String(Math.floor(share * 100)).padStart(3)} %  ${note}\n`);
      return;
    }
    const columns = (this.#out.columns || defaultColumns) - 1;
    const cells = Math.max(5, Math.min(barCells, columns - note.length - 6));
    const full = Math.floor(share * cells);
    const text = `  ${'█'.repeat(full)}${'░'.repeat(cells - full)}  ${note}`;
    this.#out.write(`\r${text.slice(0, columns)}\u001B[K`);
    this.#barIsOpen = true;
  }

  closeBar() {
    this.#tenthShown = 0;
    if (!this.#barIsOpen) return;
    this.#barIsOpen = false;
    this.#out.write('\n');
  }

  /**
   * Columns of figures to the right, all others to the left.
   *
   * @param {readonly string[]} titles
   * @param {readonly (readonly (string | number)[])[]} rows
   */
  table(titles, rows) {
    const isFigures = titles.map(
      (_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'),
    );
    const texts = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? grouped(cell) : cell)));
    const widths = titles.map((title, i) =>
      Math.max(...[titles, ...texts].map((row) => (row[i] ?? title).length)),
    );
    const show = (/** @type {readonly string[]} */ row) =>
      `  ${row.map((cell, i) => padded(cell, widths[i] ?? 0, isFigures[i] ?? false)).join('  ')}`.trimEnd();
    this.line(this.#styled(1, show(titles)));
    this.line(`  ${widths.map((width) => '─'.repeat(width)).join('  ')}`);
    for (const row of texts) this.line(show(row));
  }

  /** @param {number} code of ECMA-48's SGR @param {string} text */
  #styled(code, text) {
    return this.#hasColour ? `\u001B[${code}m${text}\u001B[0m` : text;
  }
}

/** `2,003` @param {number} count */
export function grouped(count) {
  return count.toLocaleString('en');
}

/** `142 ms`, `9.3 s`, `33 min` @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

/** The demo's names are in letters of one code unit and one cell each. @param {string} text @param {number} width @param {boolean} toTheRight */
function padded(text, width, toTheRight) {
  const space = ' '.repeat(width - text.length);
  return toTheRight ? space + text : text + space;
}
