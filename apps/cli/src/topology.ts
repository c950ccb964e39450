import { z } from 'zod';
import { formatAge } from './duration.js';
import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

const part = z.object({
  kind: z.string(),
  name: z.string(),
  consumer: z.string().nullable(),
  state: z.enum(['ok', 'missing', 'different', 'unavailable']),
  detail: z.string().nullable(),
});
const repair = z.object({
  kind: z.string(),
  name: z.string(),
  consumer: z.string().nullable(),
  at: z.string(),
});
const checked = z.object({
  ok: z.boolean(),
  topology: z.array(part),
  /** Missing from a gateway of an older version. */
  repairs: z.array(repair).default([]),
});
type Part = z.output<typeof part>;

/** The exit code is 1 if anything is wrong, for scripts. */
export async function checkTopology(api: OpsClient): Promise<Report> {
  const answer = checked.parse(await api.send('GET', '/topology'));
  const wrong = answer.topology.filter(({ state }) => state !== 'ok');
  const lines = [...summaries(answer.topology), ...wrong.map(lineOf)];
  if (answer.ok) lines.push('All of it stands as it must.');
  lines.push(
    ...answer.repairs.map(
      ({ kind, name, at }) => `${kind} ${name} was missing and was made anew ${formatAge(at)} ago`,
    ),
  );
  return { value: answer, text: lines.join('\n'), isBad: !answer.ok };
}

/** One line for shared objects, and one for each consumer. */
function summaries(parts: readonly Part[]): string[] {
  const owners = new Set(parts.map(({ consumer }) => consumer));
  return [...owners].map((owner) => {
    const own = parts.filter(({ consumer }) => consumer === owner);
    const counted = [...new Set(own.map(({ kind }) => kind))].map((kind) => countOf(kind, own));
    return `${owner ?? 'for all'}: ${counted.join(', ')}`;
  });
}

function countOf(kind: string, parts: readonly Part[]): string {
  const all = parts.filter((one) => one.kind === kind);
  return `${kind} ${all.filter(({ state }) => state === 'ok').length}/${all.length}`;
}

function lineOf({ kind, name, state, detail }: Part): string {
  const said = { missing: 'IS MISSING', different: 'IS DIFFERENT', unavailable: 'DOES NOT ANSWER', ok: '' };
  return `${kind} ${name} ${said[state]}${detail === null ? '' : `: ${detail}`}`;
}
