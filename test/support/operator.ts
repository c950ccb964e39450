import { z } from 'zod';
import { runCommand, type Ended } from './command-host.js';
import type { Relay } from './relay.js';

const listed = z.array(
  z.looseObject({
    memberId: z.string(),
    domain: z.string(),
    state: z.string(),
    kind: z.string().nullable(),
    settings: z.record(z.string(), z.unknown()),
    language: z.string().nullable(),
  }),
);
export type ListedPortal = z.output<typeof listed>[number];

/** Runs `relay` as an operator does. `env`: changes to what the gateway was started with. */
export async function command(
  relay: Relay,
  args: string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  const all = { ...relay.env, OPS_PORT: relay.opsPort('control-plane'), ...env };
  return runCommand(args, { env: all, input });
}

/** A portal as an operator sees it. */
export async function listedPortal(relay: Relay, memberId: string): Promise<ListedPortal> {
  const { portals } = z.object({ portals: listed }).parse(await askGateway(relay, 'GET', '/portals'));
  const portal = portals.find((one) => one.memberId === memberId);
  if (!portal) throw new Error('the portal is not listed');
  return portal;
}

/** Has the portal send a test event: its pair works, its handlers are bound, and its events are believed. */
export async function testEventComes(relay: Relay, memberId: string): Promise<boolean> {
  return z.object({ heard: z.boolean() }).parse(await askGateway(relay, 'POST', `/portals/${memberId}/test`))
    .heard;
}

/** The operator API itself, for what is polled. */
export async function askGateway(
  relay: Relay,
  method: string,
  path: string,
  sent?: object,
): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${relay.opsPort('control-plane')}/ops/api${path}`, {
    method,
    headers: {
      authorization: `Bearer ${relay.env['OPS_TOKEN']}`,
      ...(sent && { 'content-type': 'application/json' }),
    },
    ...(sent && { body: JSON.stringify(sent) }),
  });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${body}`);
  return JSON.parse(body);
}

/** `memberId`: the portal that the pair is for, where it is known. */
export async function addWebhookPair(
  relay: Relay,
  pair: { webhookUrl: string; applicationToken: string; memberId?: string | undefined },
): Promise<unknown> {
  return askGateway(relay, 'POST', '/portals/webhook', pair);
}
