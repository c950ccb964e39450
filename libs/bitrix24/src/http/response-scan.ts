/** Of a portal's JSON; the deepest known response, a batch of items with files, has about ten levels. */
const MAX_DEPTH = 64;

/**
 * Memory of a parsed JSON value in bytes: measured on Node 20 and 24, rounded up. A property name that no earlier
 * object had costs the most, because it creates a new hidden class.
 */
const COST = { container: 64, text: 40, scalar: 16, knownName: 8, newName: 160 } as const;

/** Maximum ratio of memory to bytes; real responses have about 2. */
const MEMORY_FACTOR = 3;
const MEMORY_FLOOR = 256 * 1024;

const [QUOTE, COMMA, COLON, BACKSLASH, LETTER_U] = [0x22, 0x2c, 0x3a, 0x5c, 0x75] as const;
const [OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP] = [0x5b, 0x5d, 0x7b, 0x7d] as const;
const SPACE = 0x20;

/** FNV-1a, 32 bits. */
const FNV_PRIME = 16_777_619;

/** Size of the bit set of seen names. A hash collision counts a name as seen, which is harmless. */
const NAME_BITS = 1 << 19;

type ScanDefect = 'too-long' | 'too-deep';

/**
 * Estimates the memory of a JSON text incrementally while it is received or decompressed, so that a response is
 * rejected before it is parsed: a few compressed bytes can hold millions of values (`[[],[],…]`). It accepts any bytes;
 * invalid JSON is rejected by the parser.
 */
export class ResponseScan {
  bytes = 0;
  /** Of the bytes fed so far. */
  memoryBytes = 0;
  /** Whether the text may need two bytes per character. */
  isWide = false;
  private readonly maxMemory: number;
  private readonly stack = new Uint8Array(MAX_DEPTH);
  private names: Uint8Array | undefined;
  private depth = 0;
  private expectsName = false;
  private inText = false;
  private inScalar = false;
  /** 1 after a backslash; 2 to 5: the remaining digits of `\uXXXX` plus one. */
  private escape = 0;
  private isName = false;
  private chars = 0;
  private isWideText = false;
  private hash = 0;

  constructor(private readonly maxBytes: number) {
    this.maxMemory = maxBytes * MEMORY_FACTOR + MEMORY_FLOOR;
  }

  /** @returns the defect of the response so far; then reading should stop */
  feed(chunk: Uint8Array): ScanDefect | undefined {
    this.bytes += chunk.byteLength;
    if (this.bytes > this.maxBytes) return 'too-long';
    for (let at = 0; at < chunk.length;) {
      at = this.inText ? this.readText(chunk, at) : this.readValues(chunk, at);
      if (at < 0) return 'too-deep';
    }
    return this.memoryBytes > this.maxMemory ? 'too-long' : undefined;
  }

  /** Uses local variables for speed per byte. @returns the position after the text, or the end of the chunk */
  private readText(chunk: Uint8Array, from: number): number {
    const end = chunk.length;
    let [escape, chars, at] = [this.escape, this.chars, from];
    while (at < end) {
      if (escape === 0) {
        // Fast path.
        const plain = at;
        at = this.isName ? this.hashPlain(chunk, at) : endOfPlain(chunk, at);
        chars += at - plain;
        if (at === end) break;
      }
      const byte = chunk[at] ?? 0;
      if (this.isName) this.hash = Math.imul(this.hash ^ byte, FNV_PRIME);
      at += 1;
      if (escape > 1) escape = escape === 2 ? 0 : escape - 1;
      else if (escape === 1) {
        escape = byte === LETTER_U ? 5 : 0;
        if (byte === LETTER_U) this.isWideText = true;
      } else if (byte === QUOTE) {
        this.inText = false;
        break;
      } else if (byte === BACKSLASH) {
        escape = 1;
        chars += 1;
      } else {
        this.isWideText = true;
        // UTF-8 continuation bytes are not characters.
        if ((byte & 0xc0) !== 0x80) chars += 1;
      }
    }
    this.escape = escape;
    this.chars = chars;
    if (!this.inText) this.endText();
    return at;
  }

  /** @returns the same position as `endOfPlain` */
  private hashPlain(chunk: Uint8Array, from: number): number {
    const end = chunk.length;
    let [hash, at] = [this.hash, from];
    for (; at < end; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte === QUOTE || byte === BACKSLASH || byte >= 0x80) break;
      hash = Math.imul(hash ^ byte, FNV_PRIME);
    }
    this.hash = hash;
    return at;
  }

  /** @returns the position inside a text, or the end of the chunk; negative when nested too deep */
  private readValues(chunk: Uint8Array, from: number): number {
    let [depth, expectsName, inScalar, memory] = [this.depth, this.expectsName, this.inScalar, 0];
    let at = from;
    for (; at < chunk.length && !this.inText; at += 1) {
      const byte = chunk[at] ?? 0;
      switch (byte) {
        case QUOTE:
          this.beginText(expectsName);
          inScalar = false;
          break;
        case OPEN_LIST:
        case OPEN_MAP:
          if (depth === MAX_DEPTH) return -1;
          this.stack[depth] = byte;
          depth += 1;
          expectsName = byte === OPEN_MAP;
          inScalar = false;
          memory += COST.container;
          break;
        case CLOSE_LIST:
        case CLOSE_MAP:
          if (depth > 0) depth -= 1;
          inScalar = false;
          break;
        case COMMA:
          expectsName = depth > 0 && this.stack[depth - 1] === OPEN_MAP;
          inScalar = false;
          break;
        case COLON:
          expectsName = false;
          inScalar = false;
          break;
        default:
          if (byte <= SPACE) inScalar = false;
          else if (!inScalar) {
            inScalar = true;
            memory += COST.scalar;
          }
      }
    }
    this.depth = depth;
    this.expectsName = expectsName;
    this.inScalar = inScalar;
    this.memoryBytes += memory;
    return at;
  }

  private beginText(isName: boolean): void {
    this.inText = true;
    this.isName = isName;
    this.isWideText = false;
    this.chars = 0;
    this.hash = 0;
  }

  private endText(): void {
    if (this.isWideText) this.isWide = true;
    const length = this.isWideText ? this.chars * 2 : this.chars;
    if (!this.isName) this.memoryBytes += COST.text + length;
    else this.memoryBytes += this.isNewName() ? COST.newName + length : COST.knownName;
  }

  private isNewName(): boolean {
    this.names ??= new Uint8Array(NAME_BITS / 8);
    const bit = (this.hash >>> 0) % NAME_BITS;
    const mask = 1 << (bit & 7);
    const seen = this.names[bit >>> 3] ?? 0;
    this.names[bit >>> 3] = seen | mask;
    return (seen & mask) === 0;
  }
}

/** @returns the position of the next quote, backslash or non-ASCII byte, or the end of the chunk */
function endOfPlain(chunk: Uint8Array, from: number): number {
  const end = chunk.length;
  let at = from;
  for (; at < end; at += 1) {
    const byte = chunk[at] ?? 0;
    if (byte === QUOTE || byte === BACKSLASH || byte >= 0x80) break;
  }
  return at;
}
