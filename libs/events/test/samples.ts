import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { PhpValue } from './http-build-query.js';

const phpValue: z.ZodType<PhpValue> = z.lazy(() =>
  z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(phpValue), z.record(z.string(), phpValue)]),
);
const phpArray = z.record(z.string(), phpValue);

/** A sample body from a page of the official docs. */
export interface Sample {
  doc: string;
  body: { [key: string]: PhpValue };
}

/**
 * Every distinct shape among the event bodies of the official docs (state of 2026-08), with tokens and member_id
 * replaced. `auth` names a set in auths.json. The docs show ONAPPTEST without its auth, and describe
 * ONCRMDYNAMICITEMADD_147 only as "the same payload".
 */
export function eventSamples(): Sample[] {
  const auths = z.record(z.string(), phpArray).parse(JSON.parse(read('auths.json')));
  return lines('events.jsonl').map((line) => {
    const { doc, auth, body } = z.object({ doc: z.string(), auth: z.string(), body: phpArray }).parse(line);
    return { doc, body: { ...body, auth: auths[auth] ?? null } };
  });
}

/** Excerpts in the docs, without the member_id that every event has. */
export function excerpts(): Sample[] {
  return lines('excerpts.jsonl').map((line) => z.object({ doc: z.string(), body: phpArray }).parse(line));
}

/** Every event name in a body of the docs, as spelled there, with its page. */
export function eventNames(): [name: string, doc: string][] {
  return Object.entries(z.record(z.string(), z.string()).parse(JSON.parse(read('event-names.json'))));
}

/** Bodies with the result of `parse_str` of PHP 8.2. */
export function parseStrCases(): { body: string; tree: unknown }[] {
  return lines('parse-str.jsonl').map((line) =>
    z.object({ body: z.string(), tree: z.unknown() }).parse(line),
  );
}

function lines(file: string): unknown[] {
  return read(file)
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}

function read(file: string): string {
  return readFileSync(new URL(`../src/samples/${file}`, import.meta.url), 'utf8');
}
