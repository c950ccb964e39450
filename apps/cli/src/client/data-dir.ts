import { holderOf, StartupError } from '@relay/platform';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Both files have a few lines. */
const MAX_BYTES = 64 * 1_024;

const variables = z.record(z.string(), z.string());
const portNumber = z.coerce.number().int().min(1).max(65_535);

/** The token that `npm start` keeps in DATA_DIR; undefined if there is none. */
export function readSavedToken(dataDir: string): string | undefined {
  const text = readIfThere(join(dataDir, 'secrets.env'));
  return text === undefined ? undefined : /^OPS_TOKEN=(.+)$/m.exec(text)?.[1];
}

/** What `npm start` runs with; undefined if there is none. @throws what reading and parsing throw, which may quote a secret */
export function readSavedVariables(dataDir: string): Record<string, string> | undefined {
  const text = readIfThere(environmentFile(dataDir));
  return text === undefined ? undefined : variables.parse(JSON.parse(text));
}

/**
 * OPS_PORT of the `npm start` that runs with this DATA_DIR; undefined if none runs, and none was killed there. The lock tells
 * which process it is: at the port of one that is gone another user's program may listen, which is to get no token.
 * @throws StartupError
 */
export function runningOpsPort(dataDir: string): number | undefined {
  const file = environmentFile(dataDir);
  const isRunning = holderOf(dataDir) !== undefined;
  if (!existsSync(file)) {
    if (!isRunning) return undefined;
    throw new StartupError(
      `The npm start of ${dataDir} has not started everything yet: wait, or set OPS_PORT.`,
    );
  }
  if (!isRunning)
    throw new StartupError(
      `${file} is of an npm start that does not run any more: start it again, or set OPS_PORT.`,
    );
  const port = portNumber.safeParse(readUnlessDamaged(dataDir)?.['OPS_PORT']);
  if (port.success) return port.data;
  throw new StartupError(
    `${file} does not say where the control plane is: start npm start again, or set OPS_PORT.`,
  );
}

function readUnlessDamaged(dataDir: string): Record<string, string> | undefined {
  try {
    return readSavedVariables(dataDir);
  } catch {
    return undefined;
  }
}

function environmentFile(dataDir: string): string {
  return join(dataDir, 'environment.json');
}

function readIfThere(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return undefined;
  // A pipe would be waited for.
  if (!found.isFile() || found.size > MAX_BYTES)
    throw new StartupError(`${path} is not the file that npm start has written.`);
  return readFileSync(path, 'utf8');
}
