import type { FastifyReply } from 'fastify';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * Serves the files of a page, which are read once: any other name is a 404, so no path traversal is possible. @returns
 * sends one
 */
export function pageFiles(
  folder: string,
  headers: Readonly<Record<string, string>>,
): (reply: FastifyReply, name: string) => FastifyReply {
  const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  return (reply, name) => {
    const [text, type] = [files.get(name), CONTENT_TYPES[extname(name)]];
    if (text === undefined || type === undefined) {
      return reply.code(404).send({ error: 'there is no such file' });
    }
    return reply.headers(headers).type(type).send(text);
  };
}
