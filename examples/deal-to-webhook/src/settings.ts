import { StartupError } from '@relay/platform';
import { z } from 'zod';

/** Of the consumer and its queues: it stays the same. */
export const NAME = 'deal-to-webhook';

export const EVENTS = ['ONCRMDEALADD', 'ONCRMDEALUPDATE', 'ONCRMDEALDELETE'] as const;

/** What an operator may set for a portal; without `url` nothing is forwarded. */
export const settingsSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .optional(),
  events: z.array(z.enum(EVENTS)).default([...EVENTS]),
  /** The name of one of `WEBHOOK_SECRETS`: settings are shown to operators, secrets are not. */
  secret: z.string().default('default'),
});

export const VARIABLES = Symbol('VARIABLES');

export interface Variables {
  /** Keys of 24 to 64 bytes by name. */
  secrets: ReadonlyMap<string, Buffer>;
  /** `host` or `host:port` that may be plain http and have any address. */
  allowHosts: readonly string[];
}

/** `name:whsec_<base64>`, as Standard Webhooks writes a secret. */
const SECRET = /^([a-z0-9-]{1,40}):whsec_([A-Za-z0-9+/]+={0,2})$/;

/** @throws StartupError which names no secret */
export function readVariables(environment: Readonly<Record<string, string | undefined>>): Variables {
  const secrets = listOf(environment['WEBHOOK_SECRETS']).map((entry): [string, Buffer] => {
    const [, name = '', base64 = ''] = SECRET.exec(entry) ?? [];
    const key = Buffer.from(base64, 'base64');
    if (key.length >= 24 && key.length <= 64) return [name, key];
    throw badSecrets();
  });
  if (secrets.length === 0) throw badSecrets();
  return { secrets: new Map(secrets), allowHosts: listOf(environment['WEBHOOK_ALLOW_HOSTS']) };
}

function badSecrets(): StartupError {
  return new StartupError(
    'WEBHOOK_SECRETS is a comma list of name:whsec_<base64 of 24 to 64 bytes>; make one with: echo "default:whsec_$(openssl rand -base64 32)"',
  );
}

function listOf(text = ''): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}
