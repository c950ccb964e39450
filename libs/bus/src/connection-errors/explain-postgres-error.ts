import { explain } from '@relay/platform';
import pg from 'pg';
import { permanent, transient, type ConnectionErrorExplanation } from './explanation.js';

const olderThanThisVersion = permanent(
  'The tables of the bus are missing, or older than this version: run `npm run migrate`.',
);

/** By SQLSTATE, see PostgreSQL's appendix A. */
const EXPLANATIONS: Readonly<Record<string, ConnectionErrorExplanation>> = {
  '3F000': olderThanThisVersion,
  '42P01': olderThanThisVersion,
  '42703': olderThanThisVersion,
  '25006': permanent(
    'DATABASE_URL leads to a PostgreSQL that only reads, such as a standby: name the primary.',
  ),
  '53100': permanent("PostgreSQL's disk is full."),
  '53300': permanent('PostgreSQL takes no more connections: raise max_connections, or run fewer processes.'),
  '57P01': transient('PostgreSQL ended the connection: it shuts down, or an administrator ended it.'),
  '57P03': transient('PostgreSQL is starting or shutting down.'),
  '57P05': transient('PostgreSQL ended the connection because it had heard nothing for too long.'),
};

/** @returns undefined when it is not a PostgreSQL error, or a rare one whose message is clear by itself */
export function explainPostgresError(error: Error): ConnectionErrorExplanation | undefined {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return undefined;
  if (error.code === '42501') return mayNot(error.message);
  const known = EXPLANATIONS[error.code];
  if (known) return known;
  const sentence = explain(error);
  return sentence === undefined ? undefined : permanent(sentence);
}

/** Parses `permission denied for table messages`. */
function mayNot(message: string): ConnectionErrorExplanation {
  const what = /permission denied for (.*)/.exec(message)?.[1] ?? 'what is needed';
  return permanent(
    `The role in DATABASE_URL has no permission for ${what}: let it own the schema bus, or ` +
      'GRANT USAGE ON SCHEMA bus and GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bus to it.',
  );
}
