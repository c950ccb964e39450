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
  url = '';
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#answer(request, response);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = z.object({ port: z.number() }).parse(this.#server.address());
    this.url = `http://127.0.0.1:${port}/rest/`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    const answer = this.#runBatch(await json(request));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  }

  #runBatch(body: unknown): object {
    const result: Record<string, unknown> = {};
    const errors: Record<string, unknown> = {};
    for (const [key, command] of Object.entries(batchRequest.parse(body).cmd)) {
      const [method, query] = command.split('?');
      const params = new URLSearchParams(query);
      if (method === 'crm.item.list') result[key] = { items: this.#list(params) };
      else {
        const error = this.#update(params);
        if (error === undefined) result[key] = { item: {} };
        else errors[key] = { error, error_description: '' };
      }
    }
    return { result: { result, result_error: errors, result_total: [], result_next: [], result_time: [] } };
  }

  #list(params: URLSearchParams): object[] {
    const ids = [...params].filter(([name]) => name.startsWith('filter[@id]')).map(([, id]) => id);
    return ids.flatMap((id) => {
      const contact = this.contacts.get(id);
      return contact ? [{ id: Number(id), ...contact }] : [];
    });
  }

  #update(params: URLSearchParams): string | undefined {
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
