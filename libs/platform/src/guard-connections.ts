import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { counter } from './metrics.js';

const evicted = counter({
  name: 'relay_http_evicted_connections_total',
  help: 'Connections that were closed to make room for others, before their request was whole or while they rested.',
});

/** How long a server waits for a request, and what it holds at once. */
export interface ConnectionLimits {
  /** For a whole request, from its first byte, or from the connection, to its last. */
  requestTimeoutMs: number;
  /** How often connections are looked through for it: a slow one ends after both together at the latest. */
  checkEveryMs: number;
  maxConnections: number;
  /** Of requests that are not whole yet, by the length that they say they have. */
  maxPendingBytes: number;
}

/** The public port: an event takes milliseconds, so that a thousand at once are many thousands a second. */
const PUBLIC = { enough: 1_000, share: 1 / 2 };
/** The operators' port, for probes, scrapes and a few pages. */
const OPERATORS = { enough: 100, share: 1 / 8 };

/**
 * Of every server of ours. Where the process may not open many files, connections get a share of them: the rest is for
 * database, broker, journal, and whatever is asked of others.
 */
export function defaultConnectionLimits(port: 'public' | 'operators'): ConnectionLimits {
  const { enough, share } = port === 'public' ? PUBLIC : OPERATORS;
  return {
    requestTimeoutMs: 15_000,
    checkEveryMs: 5_000,
    maxConnections: Math.min(enough, Math.floor(openFiles() * share)),
    maxPendingBytes: 32 * 1024 * 1024,
  };
}

/** What Node's server takes of them; `headersTimeout` follows by itself. */
export function serverOptions({ requestTimeoutMs, checkEveryMs }: ConnectionLimits): {
  requestTimeout: number;
  http: { requestTimeout: number; connectionsCheckingInterval: number };
} {
  const requestTimeout = requestTimeoutMs;
  return { requestTimeout, http: { requestTimeout, connectionsCheckingInterval: checkEveryMs } };
}

interface Connection {
  request?: IncomingMessage;
  pendingBytes: number;
}

/**
 * Where there is no room for one more connection, or for one more long body, the one goes that has waited longest without
 * a whole request. A sender who is slow on purpose makes room for those who are not, however many sockets it opens: what
 * sends its request within milliseconds is never the oldest.
 */
export function guardConnections(server: Server, limits: ConnectionLimits, maxBody: number): void {
  /** In the order in which they began to wait: for their first request, or for the next. */
  const connections = new Map<Socket, Connection>();
  let pendingBytes = 0;

  function settle(connection: Connection): void {
    pendingBytes -= connection.pendingBytes;
    connection.pendingBytes = 0;
  }

  /** @returns whether there was one; a request that is whole is never taken back */
  function evictOldest(newest: Socket, isCandidate: (connection: Connection) => boolean): boolean {
    for (const [socket, connection] of connections) {
      if (socket === newest || connection.request?.complete || !isCandidate(connection)) continue;
      forget(socket);
      socket.destroy();
      evicted.inc();
      return true;
    }
    return false;
  }

  function makeRoomForBody(newest: Socket): void {
    for (const connection of connections.values()) if (connection.request?.complete) settle(connection);
    let hasRoom = pendingBytes <= limits.maxPendingBytes;
    while (!hasRoom) {
      const isEvicted = evictOldest(newest, (connection) => connection.pendingBytes > 0);
      hasRoom = !isEvicted || pendingBytes <= limits.maxPendingBytes;
    }
  }

  function forget(socket: Socket): void {
    const connection = connections.get(socket);
    if (connection === undefined) return;
    settle(connection);
    connections.delete(socket);
  }

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { pendingBytes: 0 });
    socket.once('close', () => forget(socket));
    // Nobody waits, all are being answered: the new one has to come again.
    if (connections.size > limits.maxConnections && !evictOldest(socket, () => true)) socket.destroy();
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (connection === undefined) return;
    connection.request = request;
    connection.pendingBytes = announcedBytes(request, maxBody);
    pendingBytes += connection.pendingBytes;
    if (pendingBytes > limits.maxPendingBytes) makeRoomForBody(socket);
    response.once('close', () => {
      settle(connection);
      if (connection.request !== request) return;
      delete connection.request;
      if (!connections.delete(socket) || socket.destroyed) return;
      connections.set(socket, connection);
    });
  });
}

/** Nothing for a request without a body; of a longer one than we take no more is read than that. */
function announcedBytes({ headers }: IncomingMessage, maxBody: number): number {
  if (headers['transfer-encoding'] !== undefined) return maxBody;
  const announced = Number(headers['content-length'] ?? 0);
  return Number.isFinite(announced) ? Math.min(Math.max(announced, 0), maxBody) : maxBody;
}

/** How many files this process may have open: Linux says so in a file; elsewhere what is usual there at the least. */
function openFiles(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return limit === undefined ? Infinity : Number(limit);
  } catch {
    return 1_024;
  }
}
