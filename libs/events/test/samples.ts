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

export interface EventSample extends Sample {
  event: string;
  /** The key that its thing has for us; null if it names none. */
  entity: string | null;
  /** Its data have nothing but the id of the thing, and the type of a smart process item. */
  idOnly: boolean;
}

const eventSample = z.object({
  doc: z.string(),
  auth: z.string(),
  entity: z.string().nullable(),
  idOnly: z.boolean().optional(),
  body: z.intersection(phpArray, z.object({ event: z.string() })),
});

/**
 * Every event of the official docs (state of 2026-08), in every form that they print; of pages that print none, the form
 * that their tables describe. Names, keys and types are theirs, values are ours. `auth` names a set in auths.json: the
 * docs show some events without theirs, as ONAPPTEST, and describe ONCRMDYNAMICITEMADD_147 only as "the same payload".
 */
export function eventSamples(): EventSample[] {
  const auths = z.record(z.string(), phpArray).parse(JSON.parse(read('auths.json')));
  return lines('events.jsonl').map((line) => {
    const { doc, auth, entity, idOnly = false, body } = eventSample.parse(line);
    return { doc, entity, idOnly, event: body.event, body: { ...body, auth: auths[auth] ?? null } };
  });
}

/** Excerpts in the docs, without the member_id that every event has. */
export function excerpts(): Sample[] {
  return lines('excerpts.jsonl').map((line) => z.object({ doc: z.string(), body: phpArray }).parse(line));
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
