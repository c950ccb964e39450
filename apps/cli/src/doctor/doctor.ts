import { printable, StartupError } from '@relay/platform';
import { join } from 'node:path';
import { z } from 'zod';
import { examine } from './examine.js';
import { problem, type Finding } from './finding.js';
import type { Report } from '../program/command.js';
import { readSavedToken, readSavedVariables, runningOpsPort } from '../client/data-dir.js';

const SIGNS = { ok: '✔', problem: '✘', skipped: '-' } as const;

/** The exit code is 1 if there is a problem. */
export async function runDoctor(env: NodeJS.ProcessEnv): Promise<Report> {
  const saved = readSaved(env);
  const findings = [
    ...saved.findings,
    ...(await examine(saved.env, { isAdminApiAsked: saved.isAdminApiAsked })),
  ];
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
function readSaved(env: NodeJS.ProcessEnv): {
  env: NodeJS.ProcessEnv;
  findings: Finding[];
  isAdminApiAsked: boolean;
} {
  const dataDir = env['DATA_DIR'] || '.data';
  const findings: Finding[] = [];
  const read = <Value>(
    file: string,
    remedy: string,
    reader: (dataDir: string) => Value,
  ): Value | undefined => {
    try {
      return reader(dataDir);
    } catch (error) {
      // The message of a JSON error quotes the file, which has passwords.
      const code = z.object({ code: z.string() }).safeParse(error).data?.code ?? 'it is damaged';
      findings.push(
        problem(
          'data directory',
          printable(
            `${join(dataDir, file)} cannot be read (${code}): run relay as the user of npm start; ${remedy}`,
          ),
        ),
      );
      return undefined;
    }
  };
  // It has the keys of all stored tokens: a new one would not open them.
  const token =
    env['OPS_TOKEN'] || read('secrets.env', 'a damaged one is restored from a backup', readSavedToken);
  const { OPS_PORT: _, ...saved } =
    (env['DATABASE_URL']
      ? undefined
      : read('environment.json', 'npm start writes it anew when it starts', readSavedVariables)) ?? {};
  let port: number | undefined;
  try {
    if (!env['OPS_PORT'] && !env['OPS_TOKEN'] && findings.length === 0) port = runningOpsPort(dataDir);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    findings.push(problem('data directory', printable(error.message)));
  }
  const given = Object.entries(env).filter(([, value]) => value !== '');
  return {
    env: {
      ...saved,
      ...(port !== undefined && { OPS_PORT: String(port) }),
      ...Object.fromEntries(given),
      ...(token !== undefined && { OPS_TOKEN: token }),
    },
    findings,
    // At the port of an npm start that is gone another user's program may listen.
    isAdminApiAsked: Boolean(env['OPS_TOKEN'] || env['OPS_PORT']) || port !== undefined,
  };
}
