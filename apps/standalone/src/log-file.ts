import { pino, type DestinationStream } from 'pino';
import { z } from 'zod';
import type { Screen } from './screen.js';

const problem = z.object({
  app: z.string(),
  msg: z.string().default('something went wrong'),
  err: z.object({ message: z.string() }).optional(),
  /** Nest's own lines have one. What it warns of, such as equal names in two apps, is for developers. */
  context: z.unknown().optional(),
});
const PROBLEM_LINE = /^\{"level":"(warn|error|fatal)"/;

/** All apps' JSON lines go into one file; a person sees of them what went wrong. */
export function openLogFile(path: string, screen: Screen): DestinationStream {
  const file = pino.destination({ dest: path, mode: 0o600, sync: true });
  return {
    write: (line) => {
      file.write(line);
      const level = PROBLEM_LINE.exec(line)?.[1];
      if (level === undefined) return;
      const { app, msg, err, context } = problem.parse(JSON.parse(line));
      if (level === 'warn' && context !== undefined) return;
      screen.problem(`${app}: ${msg}${err ? ` (${err.message})` : ''}`);
    },
  };
}
