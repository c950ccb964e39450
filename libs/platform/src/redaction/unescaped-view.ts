/**
 * A text without percent-encoding and JSON escapes, however often they were applied, with the positions in the source.
 * So `auth%5Bx%5D=`, `auth%255Bx%255D%3D` and `\"x\":\"` are matched in one spelling.
 */
export class UnescapedView {
  constructor(
    readonly text: string,
    private readonly layers?: Layers,
  ) {}

  static of(source: string): UnescapedView {
    const view = source.includes('%') ? withoutPercents(source) : new UnescapedView(source);
    return view.text.includes('\\') ? withoutBackslashes(view) : view;
  }

  /** How often the character is percent-encoded: the end of a value is encoded no more often than its begin. */
  percentsAt(at: number): number {
    return this.layers?.percents[at] ?? 0;
  }

  /** The nesting depth of JSON texts in which the character is escaped. */
  escapesAt(at: number): number {
    return this.layers?.escapes[at] ?? 0;
  }

  /** The character's position in the source; the source's length for `text.length`. */
  startOf(at: number): number {
    return this.layers ? (this.layers.starts[at] ?? this.layers.end) : at;
  }
}

interface Layers {
  readonly starts: readonly number[];
  readonly percents: readonly number[];
  readonly escapes: readonly number[];
  readonly end: number;
}

interface Layer {
  percents: number;
  escapes: number;
}

class UnescapedViewBuilder {
  private readonly characters: string[] = [];
  private readonly starts: number[] = [];
  private readonly percents: number[] = [];
  private readonly escapes: number[] = [];

  add(character: string, start: number, { percents, escapes }: Layer): void {
    this.characters.push(character);
    this.starts.push(start);
    this.percents.push(percents);
    this.escapes.push(escapes);
  }

  build(end: number): UnescapedView {
    return new UnescapedView(this.characters.join(''), {
      starts: this.starts,
      percents: this.percents,
      escapes: this.escapes,
      end,
    });
  }
}

/** `%41`, and multiply encoded `%2541` and so on; ASCII only, as are all names and signs that are searched for. */
const ENCODED = /%((?:25)*)([0-7][0-9a-f])/iy;

function withoutPercents(source: string): UnescapedView {
  const builder = new UnescapedViewBuilder();
  for (let at = 0; at < source.length;) {
    ENCODED.lastIndex = at;
    const [whole = '', repeats = '', code = ''] = source[at] === '%' ? (ENCODED.exec(source) ?? []) : [];
    const character = whole === '' ? source.charAt(at) : String.fromCharCode(Number.parseInt(code, 16));
    builder.add(character, at, { percents: whole === '' ? 0 : 1 + repeats.length / 2, escapes: 0 });
    at += whole.length || 1;
  }
  return builder.build(source.length);
}

const ESCAPE_SEQUENCE = /["'`/]|[nrt]|u00([0-7][0-9a-f])/iy;

function withoutBackslashes(view: UnescapedView): UnescapedView {
  const { text } = view;
  const builder = new UnescapedViewBuilder();
  for (let at = 0; at < text.length;) {
    const begin = at;
    while (text[at] === '\\') at += 1;
    const levels = trailingOnes(at - begin);
    ESCAPE_SEQUENCE.lastIndex = at;
    const [sequence = '', code] = levels > 0 ? (ESCAPE_SEQUENCE.exec(text) ?? []) : [];
    // In `\\\"` at level 1, the first two stand for a backslash of the text.
    const escapeStart = sequence === '' ? at : at - (2 ** levels - 1);
    if (begin < escapeStart) builder.add('\\', view.startOf(begin), layerOf(view, begin, 0));
    if (sequence !== '') {
      builder.add(unescaped(sequence, code), view.startOf(escapeStart), layerOf(view, at, levels));
    } else if (at < text.length) {
      builder.add(text.charAt(at), view.startOf(at), layerOf(view, at, 0));
    }
    at += sequence.length || 1;
  }
  return builder.build(view.startOf(text.length));
}

/** An escape is encoded as often as its backslash, because the letter after it needs no encoding. */
function layerOf(view: UnescapedView, at: number, escapes: number): Layer {
  const percents = view.percentsAt(at);
  return { percents: escapes > 0 ? Math.max(percents, view.percentsAt(at - 1)) : percents, escapes };
}

function unescaped(sequence: string, code: string | undefined): string {
  if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
  return /[nrt]/i.test(sequence) ? '\n' : sequence;
}

/**
 * A quote that closes a JSON text of level n has 2^n − 1 backslashes, and 2^(n+1) for each backslash that the text
 * itself ends in: so the level is the number of ones at the end of the count.
 */
function trailingOnes(count: number): number {
  let ones = 0;
  for (let rest = count; rest % 2 === 1; rest = (rest - 1) / 2) ones += 1;
  return ones;
}
