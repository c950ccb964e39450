import { EnvironmentError, readEnvironment, type Environment, type EnvironmentName } from '@relay/platform';
import { problemsOrOk, type Finding } from './finding.js';

/** What the services of an installation read. */
const NAMES = [
  'PORT',
  'OPS_PORT',
  'PUBLIC_URL',
  'DATABASE_URL',
  'AMQP_URL',
  'PREVIOUS_AMQP_URL',
  'DATA_DIR',
  'B24_CLIENT_ID',
  'B24_CLIENT_SECRET',
  'B24_OAUTH_URL',
  'B24_ALLOW_HOSTS',
  'TOKEN_KEYS',
  'OPS_TOKEN',
  'NOTIFY_URL',
  'NOTIFY_SECRET',
  'NOTIFY_ALLOW_HOSTS',
  'NOTIFY_PORTALS',
  'TRUST_PROXY',
  'TASK_CONCURRENCY',
  'EVENT_LOG_DAYS',
  'EVENT_LOG_MAX_MB',
  'LOG_LEVEL',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
] as const satisfies readonly EnvironmentName[];

export type Settings = Partial<Pick<Environment, (typeof NAMES)[number]>>;

/** Each variable is read by itself, so that what a valid one leads to is checked beside an invalid one. */
export function readSettings(env: NodeJS.ProcessEnv): { settings: Settings; findings: Finding[] } {
  const problems: string[] = [];
  const valid: (typeof NAMES)[number][] = [];
  const settings: Settings = {};
  for (const name of NAMES) {
    problems.push(
      ...problemsOf(() => {
        Object.assign(settings, readEnvironment([name], env));
        valid.push(name);
      }),
    );
  }
  // What several of them say together, such as one of two keys.
  problems.push(...problemsOf(() => void readEnvironment(valid, env)));
  const findings = problemsOrOk('settings', problems, `${valid.length} variables are valid`);
  return { settings, findings };
}

function problemsOf(read: () => void): readonly string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof EnvironmentError) return error.problems;
    throw error;
  }
}
