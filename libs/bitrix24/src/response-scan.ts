/** Of a portal's JSON; what Bitrix24 nests deepest, a batch of items with files in them, has about ten. */
const MAX_DEPTH = 64;

/**
 * What a value of JSON takes in memory once it is parsed, in bytes: measured on Node 20 and 24, rounded up. A name that no
 * object before it had costs the most, since a new shape of an object has a description of its own.
 */
const COST = { container: 64, text: 40, scalar: 16, knownName: 8, newName: 160 } as const;

/** How much more than its bytes an answer may take in memory; what portals send takes about twice. */
const MEMORY_FACTOR = 3;
const MEMORY_FLOOR = 256 * 1024;

const [QUOTE, COMMA, COLON, BACKSLASH, LETTER_U] = [0x22, 0x2c, 0x3a, 0x5c, 0x75] as const;
const [OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP] = [0x5b, 0x5d, 0x7b, 0x7d] as const;
const SPACE = 0x20;

/** Of the hash FNV-1a, 32 bits. */
const FNV_PRIME = 16_777_619;

/** Bits that remember which names were seen. Two names that share one count as the same, which is of no consequence. */
const NAME_BITS = 1 << 19;

export type ScanDefect = 'too-long' | 'too-deep';

/**
 * Adds up what a JSON text will take in memory, byte by byte as it arrives or is unpacked, so that an answer is given up
 * before it is made into values: a few packed bytes can hold millions of them (`[[],[],…]`). It reads any bytes and judges
 * nothing else; what is no JSON is refused by who parses it.
 */
export class ResponseScan {
  bytes = 0;
  /** As far as it goes. */
  memoryBytes = 0;
  /** Whether the text as a whole may take two bytes a character. */
  isWide = false;
  private readonly maxMemory: number;
  private readonly stack = new Uint8Array(MAX_DEPTH);
  private names: Uint8Array | undefined;
  private depth = 0;
  private expectsName = false;
  private inText = false;
  private inScalar = false;
  /** 1 behind a backslash; 2 to 5 for the digits of `\uXXXX` that are left, and one. */
  private escape = 0;
  private isName = false;
  private chars = 0;
  private isWideText = false;
  private hash = 0;

  constructor(private readonly maxBytes: number) {
    this.maxMemory = maxBytes * MEMORY_FACTOR + MEMORY_FLOOR;
  }

  /** @returns what is wrong with the answer so far; then nothing more of it should be read */
  feed(chunk: Uint8Array): ScanDefect | undefined {
    this.bytes += chunk.byteLength;
    if (this.bytes > this.maxBytes) return 'too-long';
    for (let at = 0; at < chunk.length;) {
      at = this.inText ? this.readText(chunk, at) : this.readValues(chunk, at);
      if (at < 0) return 'too-deep';
    }
    return this.memoryBytes > this.maxMemory ? 'too-long' : undefined;
  }

  /** In local variables, since it looks at every byte. @returns where it stopped: behind the text, or at the end */
  private readText(chunk: Uint8Array, from: number): number {
    const end = chunk.length;
    let [escape, chars, at] = [this.escape, this.chars, from];
    while (at < end) {
      if (escape === 0) {
        // Nearly all of nearly every text.
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
        // Bytes that go on with a character are none of their own.
        if ((byte & 0xc0) !== 0x80) chars += 1;
      }
    }
    this.escape = escape;
    this.chars = chars;
    if (!this.inText) this.endText();
    return at;
  }

  /** @returns where `endOfPlain` does */
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

  /** @returns where it stopped: inside a text, or at the end; less than nothing when it is too deep */
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

/** @returns where a quote, a backslash or a character beyond ASCII stands, or the end */
function endOfPlain(chunk: Uint8Array, from: number): number {
  const end = chunk.length;
  let at = from;
  for (; at < end; at += 1) {
    const byte = chunk[at] ?? 0;
    if (byte === QUOTE || byte === BACKSLASH || byte >= 0x80) break;
  }
  return at;
}
