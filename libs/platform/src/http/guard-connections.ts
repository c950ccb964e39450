import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { counter } from '../telemetry/metrics.js';

const evicted = counter({
  name: 'relay_http_evicted_connections_total',
  help: 'Connections that were closed to make room for others, before their request was whole or while they rested.',
});

/** Limits of a server for incomplete requests and open connections. */
export interface ConnectionLimits {
  /** For a complete request, from its first byte, or from the connection, to its last byte. */
  requestTimeoutMs: number;
  /** Interval of the timeout check: a slow connection ends after the sum of both at the latest. */
  checkEveryMs: number;
  maxConnections: number;
  /** Total of the incomplete requests, by their announced length. */
  maxPendingBytes: number;
}

/** The public port: an event takes milliseconds, so a thousand connections serve many thousands per second. */
const PUBLIC = { enough: 1_000, share: 1 / 2 };
/** The operators' port, for probes, scrapes and a few pages. */
const OPERATORS = { enough: 100, share: 1 / 8 };

/**
 * Limits of every server. If the process may open few files, connections get a share of them: the rest is for
 * database, broker, journal and outgoing requests.
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

/** The options of Node's server; it derives `headersTimeout` itself. */
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
 * When the limit of connections or of pending bytes is reached, closes the connection that has been without a complete
 * request for the longest time. A deliberately slow client thus loses its connections first, however many it opens: a
 * client that sends its request within milliseconds is never the oldest.
 */
export function guardConnections(server: Server, limits: ConnectionLimits, maxBody: number): void {
  /** In the order in which their wait for the first or next request began. */
  const connections = new Map<Socket, Connection>();
  let pendingBytes = 0;

  function releaseBytes(connection: Connection): void {
    pendingBytes -= connection.pendingBytes;
    connection.pendingBytes = 0;
  }

  /** @returns whether one was closed; a connection with a complete request never is */
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
    for (const connection of connections.values()) if (connection.request?.complete) releaseBytes(connection);
    let hasRoom = pendingBytes <= limits.maxPendingBytes;
    while (!hasRoom) {
      const isEvicted = evictOldest(newest, (connection) => connection.pendingBytes > 0);
      hasRoom = !isEvicted || pendingBytes <= limits.maxPendingBytes;
    }
  }

  function forget(socket: Socket): void {
    const connection = connections.get(socket);
    if (connection === undefined) return;
    releaseBytes(connection);
    connections.delete(socket);
  }

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { pendingBytes: 0 });
    socket.once('close', () => forget(socket));
    // All requests are being answered: the new client has to retry.
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
      releaseBytes(connection);
      if (connection.request !== request) return;
      delete connection.request;
      if (!connections.delete(socket) || socket.destroyed) return;
      connections.set(socket, connection);
    });
  });
}

/** 0 for a request without a body. A longer body than the limit is not read beyond it. */
function announcedBytes({ headers }: IncomingMessage, maxBody: number): number {
  if (headers['transfer-encoding'] !== undefined) return maxBody;
  const announced = Number(headers['content-length'] ?? 0);
  return Number.isFinite(announced) ? Math.min(Math.max(announced, 0), maxBody) : maxBody;
}

/** Maximum open files of this process: from procfs on Linux, elsewhere a common minimum. */
function openFiles(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return limit === undefined ? Infinity : Number(limit);
  } catch {
    return 1_024;
  }
}
