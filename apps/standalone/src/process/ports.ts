import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { StartupError } from '@relay/platform';

/**
 * Said before anything is started, and with the variable's name.
 * @throws StartupError for the first port that this process may not listen on
 */
export async function requireFreePorts(ports: Record<string, number>): Promise<void> {
  const servers = [];
  try {
    for (const [name, port] of Object.entries(ports)) {
      const server = createServer();
      servers.push(server);
      await once(server.listen(port, '0.0.0.0'), 'listening').catch((error: unknown) => {
        throw unusable(name, port, error);
      });
    }
  } finally {
    for (const server of servers) server.close();
  }
}

function unusable(name: string, port: number, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    return new StartupError(
      `Port ${port} (${name}) is in use: end the program that has it, or choose another one: ${name}=${port + 1} npm start`,
    );
  }
  if (code === 'EACCES') {
    return new StartupError(
      `This user may not listen on port ${port} (${name}): choose one above 1023: ${name}=${port + 3000} npm start`,
    );
  }
  return error;
}

/** Below what a system hands out by itself, to connections and to programs that name no port, and above the well-known. */
const MIN_PORT = 10_000;
const MAX_PORT = 19_999;
const MAX_TRIES = 100;

/** One of 127.0.0.1 that nobody listens on at this moment: whoever uses it chooses again when it is taken after all. */
export async function freePort(): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const port = randomInt(MIN_PORT, MAX_PORT + 1);
    const server = createServer();
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening');
      return port;
    } catch (error) {
      if (tries >= MAX_TRIES) throw error;
    } finally {
      server.close();
    }
  }
}
