import { printable } from '@relay/platform';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readSavedToken } from './admin-client.js';
import { examine } from './checks/examine.js';
import { problem, type Finding } from './checks/finding.js';
import type { Report } from './command.js';

const SIGNS = { ok: '✔', problem: '✘', skipped: '-' } as const;

/** The exit code is 1 if there is a problem. */
export async function runDoctor(env: NodeJS.ProcessEnv): Promise<Report> {
  const saved = readSaved(env);
  const findings = [...saved.findings, ...(await examine(saved.env))];
  const count = findings.filter(({ state }) => state === 'problem').length;
  const lines = findings.map(({ check, state, text }) => `${SIGNS[state]} ${check}: ${text}`);
  const last = count === 0 ? 'Everything is in order.' : `${count} ${count === 1 ? 'problem' : 'problems'}.`;
  return {
    value: { ok: count === 0, findings },
    text: [...lines, last].join('\n'),
    exitCode: count === 0 ? 0 : 1,
  };
}

/** What is set, and beside a running `npm start` what that keeps in DATA_DIR, as far as it can be read. */
function readSaved(env: NodeJS.ProcessEnv): { env: NodeJS.ProcessEnv; findings: Finding[] } {
  const dataDir = env['DATA_DIR'] || '.data';
  const findings: Finding[] = [];
  const read = <Value>(file: string, remedy: string, reader: (path: string) => Value): Value | undefined => {
    const path = join(dataDir, file);
    try {
      return reader(path);
    } catch (error) {
      // The message of a JSON error quotes the file, which has passwords.
      const code = z.object({ code: z.string() }).safeParse(error).data?.code ?? 'it is damaged';
      findings.push(
        problem(
          'data directory',
          printable(`${path} cannot be read (${code}): run relay as the user of npm start; ${remedy}`),
        ),
      );
      return undefined;
    }
  };
  // It has the keys of all stored tokens: a new one would not open them.
  const token =
    env['OPS_TOKEN'] ||
    read('secrets.env', 'a damaged one is restored from a backup', () => readSavedToken(dataDir));
  const saved = env['DATABASE_URL']
    ? {}
    : read('environment.json', 'npm start writes it anew when it starts', readSavedVariables);
  const given = Object.entries(env).filter(([, value]) => value !== '');
  return {
    env: { ...saved, ...Object.fromEntries(given), ...(token !== undefined && { OPS_TOKEN: token }) },
    findings,
  };
}

function readSavedVariables(path: string): Record<string, string> {
  if (!existsSync(path)) return {};
  const { OPS_PORT: _, ...saved } = z
    .record(z.string(), z.string())
    .parse(JSON.parse(readFileSync(path, 'utf8')));
  return saved;
}
