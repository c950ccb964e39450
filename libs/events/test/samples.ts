import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { PhpValue } from './http-build-query.js';

const phpValue: z.ZodType<PhpValue> = z.lazy(() =>
  z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(phpValue), z.record(z.string(), phpValue)]),
);
const phpArray = z.record(z.string(), phpValue);

/** One sample of a body that Bitrix24 posts, and the page of the official docs that shows it. */
export interface Sample {
  doc: string;
  body: { [key: string]: PhpValue };
}

/**
 * Every distinct shape among the event bodies of the official docs (state of 2026-08), tokens and member_id replaced. `auth` names
 * a set in auths.json. ONAPPTEST is shown without its auth, and ONCRMDYNAMICITEMADD_147 only in words: "the same payload".
 */
export function eventSamples(): Sample[] {
  const auths = z.record(z.string(), phpArray).parse(JSON.parse(read('auths.json')));
  return lines('events.jsonl').map((line) => {
    const { doc, auth, body } = z.object({ doc: z.string(), auth: z.string(), body: phpArray }).parse(line);
    return { doc, body: { ...body, auth: auths[auth] ?? null } };
  });
}

/** Bodies that the docs show in extracts, without the member_id that every event has. */
export function excerpts(): Sample[] {
  return lines('excerpts.jsonl').map((line) => z.object({ doc: z.string(), body: phpArray }).parse(line));
}

/** Every event name that the docs show in a body, as they spell it, and where. */
export function eventNames(): [name: string, doc: string][] {
  return Object.entries(z.record(z.string(), z.string()).parse(JSON.parse(read('event-names.json'))));
}

/** Bodies and what `parse_str` of PHP 8.2 made of them. */
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
