import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { Relay } from './relay.js';
import type { SimulatedPortal } from './simulated-portal.js';

const answered = z.object({ status: z.union([z.number(), z.string()]).nullable(), body: z.string() });
const allAnswered = z.object({ statuses: z.array(z.number()) });
const installed = answered.extend({
  application_token: z.string(),
  access_token: z.string(),
  refresh_token: z.string(),
});

export type Answered = z.output<typeof answered>;
export type InstalledBy = z.output<typeof installed>;

/** As Bitrix24 posts it to a page of the application: what stands in the query, and the body. */
export interface PageRequest {
  query: string;
  form: URLSearchParams;
}

/** The owner, who installs the application, is an administrator; other users are not. */
export const administrator = 1;
export const ordinaryUser = 2;

/** The application at one simulated portal, in every way in which Bitrix24 tells about it. */
export class InstalledApplication {
  constructor(
    private readonly relay: Relay,
    private readonly portal: SimulatedPortal,
  ) {}

  get installUrl(): string {
    return `${this.relay.gatewayUrl}/b24/install`;
  }

  get appUrl(): string {
    return `${this.relay.gatewayUrl}/b24/app`;
  }

  get eventsUrl(): string {
    return `${this.relay.gatewayUrl}/b24/events`;
  }

  /** @param url left out, nobody is told, and a test can claim the install itself */
  async install(kind: 'event' | 'callback' | 'page', url?: string): Promise<InstalledBy> {
    return installed.parse(await this.control('install', { kind, url }));
  }

  /** What `BX24.installFinish()` does. @returns how the handlers of ONAPPINSTALL answered */
  async finish(): Promise<number[]> {
    return allAnswered.parse(await this.control('install-finish', {})).statuses;
  }

  async openPage(userId = administrator): Promise<Answered> {
    return answered.parse(await this.control('open', { url: this.appUrl, userId }));
  }

  /** What opening a page posts, with a new token pair of the user's, caught before it gets to us. */
  async opening(userId = administrator): Promise<PageRequest> {
    const caught: PageRequest[] = [];
    const server = createServer((request, response) => {
      void (async () => {
        const form = new URLSearchParams(await text(request));
        caught.push({ query: request.url?.split('?')[1] ?? '', form });
        response.end();
      })();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await this.control('open', { url: `http://127.0.0.1:${portOf(server)}/`, userId });
    } finally {
      server.close();
    }
    const [opening] = caught;
    if (!opening) throw new Error('the page was not opened');
    return opening;
  }

  /** @returns how each handler answered */
  async uninstall(clean: 0 | 1): Promise<number[]> {
    return allAnswered.parse(await this.control('uninstall', { clean })).statuses;
  }

  async update(): Promise<number[]> {
    return allAnswered.parse(await this.control('app-update', {})).statuses;
  }

  /** Every token that the application holds is dead, as after 180 days. */
  async losePair(): Promise<void> {
    await this.control('expire-tokens', { refresh: true });
  }

  private async control(action: string, body: object): Promise<unknown> {
    const url = `http://127.0.0.1:${this.relay.env['SIMULATOR_PORT']}/_sim/portals/${this.portal.name}/${action}`;
    const answer = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
    if (!answer.ok) throw new Error(`${action} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }
}

/** Posts a form as Bitrix24's servers and browsers do. */
export async function postForm(
  url: string,
  form: URLSearchParams,
): Promise<{ status: number; headers: Headers; body: string }> {
  const answer = await fetch(url, {
    method: 'POST',
    body: form.toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  return { status: answer.status, headers: answer.headers, body: await answer.text() };
}

/** An event of the portal, proved by this application token; `more` fields of `auth`. */
export function eventOf(
  { memberId, domain }: SimulatedPortal,
  name: string,
  applicationToken: string,
  more: Record<string, string> = {},
): URLSearchParams {
  return new URLSearchParams({
    event: name,
    'data[FIELDS][ID]': '82',
    ts: '1724697689',
    'auth[domain]': domain,
    'auth[member_id]': memberId,
    'auth[application_token]': applicationToken,
    ...Object.fromEntries(Object.entries(more).map(([key, value]) => [`auth[${key}]`, value])),
  });
}

function portOf(server: Server): number {
  return z.object({ port: z.number() }).parse(server.address()).port;
}
