import { z } from 'zod';

const row = z.looseObject({
  id: z.number(),
  fields: z.record(z.string(), z.string()),
  changedBy: z.string(),
});
const view = z.looseObject({ contacts: z.looseObject({ total: z.number(), rows: z.array(row) }) });

export type ViewSeen = z.output<typeof view>;

/** Reads `GET /_sim/portals/<name>/changes` as a browser's EventSource does. */
export class ViewReader {
  private rest = '';
  private readonly decoder = new TextDecoder();

  private constructor(private readonly reader: ReadableStreamDefaultReader<Uint8Array>) {}

  static async open(url: string): Promise<ViewReader> {
    const { body } = await fetch(url);
    if (!body) throw new Error(`${url} answered nothing`);
    return new ViewReader(body.getReader());
  }

  /** Reads until a message matches. */
  async until(isWanted: (seen: ViewSeen) => boolean): Promise<ViewSeen> {
    for (;;) {
      const message = await this.next();
      if (message === undefined) throw new Error('the stream ended');
      const seen = view.parse(JSON.parse(message.replace(/^data: /, '')));
      if (isWanted(seen)) return seen;
    }
  }

  /** All messages until the stream ends. */
  async toEnd(): Promise<string[]> {
    const messages: string[] = [];
    for (let message = await this.next(); message !== undefined; message = await this.next()) {
      messages.push(message);
    }
    return messages;
  }

  async close(): Promise<void> {
    await this.reader.cancel();
  }

  private async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.rest.indexOf('\n\n');
      if (end >= 0) {
        const message = this.rest.slice(0, end);
        this.rest = this.rest.slice(end + 2);
        return message;
      }
      const { value, done } = await this.reader.read();
      if (done) return undefined;
      this.rest += this.decoder.decode(value, { stream: true });
    }
  }
}
