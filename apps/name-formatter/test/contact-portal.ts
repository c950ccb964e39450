import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { z } from 'zod';

const batchRequest = z.object({ cmd: z.record(z.string(), z.string()) });

/** A portal's contacts behind `batch`, over HTTP. */
export class ContactPortal {
  readonly contacts = new Map<string, Record<string, string | null>>();
  /** Ids in the order of their updates. */
  readonly updates: string[] = [];
  requests = 0;
  /** Per id, the error that its update meets. */
  readonly refusals = new Map<string, string>();
  /** A contact whose update ends the process of the portal, and with it the whole request. */
  deadly: string | undefined;
  /** Ids of which every read fails that asks for one of them. */
  readonly unreadable = new Set<string>();
  url = '';
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      void this.answer(request, response);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = z.object({ port: z.number() }).parse(this.server.address());
    this.url = `http://127.0.0.1:${port}/rest/`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    const body = batchRequest.parse(await json(request));
    if (Object.values(body.cmd).some((command) => this.isDeadly(command))) {
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html>502 Bad Gateway</html>');
      return;
    }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(this.runBatch(body)));
  }

  private isDeadly(command: string): boolean {
    const [method, query] = command.split('?');
    return method === 'crm.item.update' && new URLSearchParams(query).get('id') === this.deadly;
  }

  private runBatch({ cmd }: z.output<typeof batchRequest>): object {
    const result: Record<string, unknown> = {};
    const errors: Record<string, unknown> = {};
    for (const [key, command] of Object.entries(cmd)) {
      const [method, query] = command.split('?');
      const params = new URLSearchParams(query);
      if (method === 'crm.item.list') {
        if (idsOf(params).some((id) => this.unreadable.has(id)))
          errors[key] = { error: 'INTERNAL_SERVER_ERROR' };
        else result[key] = { items: this.list(params) };
      } else {
        const error = this.update(params);
        if (error === undefined) result[key] = { item: {} };
        else errors[key] = { error, error_description: '' };
      }
    }
    return { result: { result, result_error: errors, result_total: [], result_next: [], result_time: [] } };
  }

  private list(params: URLSearchParams): object[] {
    return idsOf(params).flatMap((id) => {
      const contact = this.contacts.get(id);
      return contact ? [{ id: Number(id), ...contact }] : [];
    });
  }

  private update(params: URLSearchParams): string | undefined {
    const id = params.get('id') ?? '';
    const error = this.refusals.get(id);
    if (error !== undefined) return error;
    const fields = [...params].flatMap(([name, value]) => {
      const field = /^fields\[(\w+)\]$/.exec(name)?.[1];
      return field === undefined ? [] : [[field, value]];
    });
    this.contacts.set(id, { ...this.contacts.get(id), ...Object.fromEntries(fields) });
    this.updates.push(id);
    return undefined;
  }
}

function idsOf(params: URLSearchParams): string[] {
  return [...params].filter(([name]) => name.startsWith('filter[@id]')).map(([, id]) => id);
}
