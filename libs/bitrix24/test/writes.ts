import { expect } from '@jest/globals';
import type { Outcome } from '../src/batch-planner/plan.js';
import { type Write, writeAll as writeEach } from '../src/batch-planner/write-all.js';
import { Bitrix24Error } from '../src/rest/errors.js';
import { type ModelPortal, nameOf } from './model-portal.js';

/** The outcomes, after a check that each belongs to its own write. */
export async function writeAll(
  ...[client, writes, options]: Parameters<typeof writeEach>
): Promise<Outcome[]> {
  const ended = await writeEach(client, writes, options);
  expect(ended.map(([write]) => write)).toEqual(writes);
  return ended.map(([, outcome]) => outcome);
}

export const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `w${index}`);

export function update(name: string, entity = name): Write {
  return { entity, command: { method: 'crm.item.update', params: { name } } };
}

export function add(name: string, entity = name): Write {
  return { entity, command: { method: 'crm.item.add', params: { name } } };
}

export const sizes = (portal: ModelPortal): number[] => portal.sent.map((request) => request.names.length);
export const results = (outcomes: Outcome[]): unknown[] =>
  outcomes.map((outcome) => (outcome.ok ? outcome.result : codeOf(outcome.error)));
const codeOf = (error: unknown): unknown => (error instanceof Bitrix24Error ? error.code : error);

export function spoiledBy(bad: string[], error: Error): ModelPortal['spoils'] {
  return (command) => (bad.includes(nameOf(command)) ? error : undefined);
}
