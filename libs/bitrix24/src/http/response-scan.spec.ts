import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { maxResponseBytes, reserveMemory } from './response-limits.js';
import { readBody } from './response-reader.js';
import { ResponseScan } from './response-scan.js';

const MIB = 1024 * 1024;

function scanned(text: string, pieceSize = 7): ResponseScan {
  const scan = new ResponseScan(64 * MIB);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += pieceSize) scan.feed(bytes.subarray(at, at + pieceSize));
  return scan;
}

function unpacked(text: string, maxBytes: number): ReturnType<typeof readBody> {
  return readBody(gzipSync(text), 'gzip', maxBytes);
}

function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

describe('the estimated memory of a response', () => {
  it('is the same for any chunks', () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 1, max: 50 }), (text, pieceSize) => {
        expect(scanned(text, pieceSize).memoryBytes).toBe(scanned(text, 1_000_000).memoryBytes);
      }),
    );
  });

  it('counts values, and names by whether they are new', () => {
    expect(scanned('[[],[],{}]').memoryBytes).toBe(4 * 64);
    expect(scanned('[1,true,null]').memoryBytes).toBe(64 + 3 * 16);
    expect(scanned('["ab","\\u0444\\"]"]').memoryBytes).toBe(64 + 42 + 46);
    const known = scanned('[{"a":1},{"a":1}]').memoryBytes;
    expect(scanned('[{"a":1},{"b":1}]').memoryBytes - known).toBe(153);
  });
});

describe('an unbounded response', () => {
  it.each(['[],', '{},', '"",', '0,', '[[[]]],'])(
    'of many %s is aborted during decompression',
    async (unit) => {
      const bomb = `[${unit.repeat(4_000_000)}0]`;
      expect(await unpacked(bomb, MIB)).toEqual({ ok: false, detail: 'too-long' });
    },
  );

  it('is aborted for its values before its bytes', async () => {
    const values = `[${'[],'.repeat(300_000)}0]`;
    expect(values.length).toBeLessThan(MIB);
    expect(await unpacked(values, MIB)).toEqual({ ok: false, detail: 'too-long' });
    expect(await unpacked(`"${'x'.repeat(values.length)}"`, MIB)).toMatchObject({ ok: true });
  });

  it('is aborted when nested deeper than any of Bitrix24', async () => {
    expect(await unpacked(nested(64), MIB)).toMatchObject({ ok: true });
    expect(await unpacked(nested(65), MIB)).toEqual({ ok: false, detail: 'too-deep' });
  });
});

describe('the maximum size of a response', () => {
  it.each([
    [['app.info'], 1],
    [['event.bind', 'batch'], 1],
    [['event.get', 'batch'], 1],
    [['user.admin'], 1],
    [['crm.type.list'], 8],
    [['crm.item.fields', 'scope', 'batch'], 8],
  ])('%j: %i MiB', (methods, mebibytes) => {
    expect(maxResponseBytes(methods)).toBe(mebibytes * MIB);
  });

  it('is an item of 16 MiB for requests of items', () => {
    expect(maxResponseBytes(['crm.item.list', 'crm.item.fields', 'batch'])).toBe(16 * MIB + 64 * 1024);
  });
});

describe('free memory for a response', () => {
  const large = { bytes: 10 * MIB, memoryBytes: 20 * MIB, isWide: false };
  const heap = (free: number, afterwards = free) => {
    let isCollected = false;
    return {
      limit: () => 160 * MIB,
      free: () => (isCollected ? afterwards : free),
      collect: () => void (isCollected = true),
    };
  };

  it('is available, if necessary after a garbage collection', () => {
    expect(reserveMemory(large, heap(60 * MIB))).toBeUndefined();
    expect(reserveMemory(large, heap(10 * MIB, 60 * MIB))).toBeUndefined();
  });

  it('is not available while the process reads other responses', () => {
    expect(reserveMemory(large, heap(30 * MIB))).toBe('no-room');
    expect(reserveMemory({ ...large, bytes: MIB, memoryBytes: MIB }, heap(0))).toBeUndefined();
  });

  it('is never available for a response as large as most of the heap', () => {
    expect(reserveMemory({ bytes: 16 * MIB, memoryBytes: 80 * MIB, isWide: true }, heap(60 * MIB))).toBe(
      'too-long',
    );
  });
});
