import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';

/** One key of TOKEN_KEYS: its id stands beside every secret that it has sealed. */
export interface TokenKey {
  id: string;
  /** 32 bytes, for AES-256-GCM. */
  key: Buffer;
}

/**
 * The one TOKEN_KEYS id whose key is printed in docker-compose.yml. It keeps no secret, so it is accepted only
 * beside an OAuth server named in B24_ALLOW_HOSTS, which the real one never is.
 */
const PUBLISHED_KEY_ID = 'demo';
/** The same of OPS_TOKEN. */
const PUBLISHED_OPS_TOKEN = 'demo-ops-token-published';
/** The same of the passwords of PostgreSQL and RabbitMQ. */
const PUBLISHED_PASSWORD = 'relay';
const ADDRESS_NAMES = ['DATABASE_URL', 'MIGRATE_DATABASE_URL', 'ADMIN_DATABASE_URL', 'AMQP_URL'] as const;

const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);
const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' });
const NOT_A_URL = 'is not a URL; signs such as / @ # % in a password must be percent-encoded';
const EMPTY_PASSWORD =
  'has an empty password; compose takes it from POSTGRES_PASSWORD, POSTGRES_SERVICE_PASSWORD or RABBITMQ_PASSWORD in .env';
const optionalText = z.string().optional();

const databaseUrl = z
  .string({
    error:
      'is not set; the address of a PostgreSQL: postgres://host:5432/relay, with user and password before the host',
  })
  .regex(/^postgres(ql)?:\/\//, 'must start with postgres://')
  .refine((url) => URL.canParse(url), NOT_A_URL)
  .refine(hasPasswordIfAny, EMPTY_PASSWORD);

const amqpUrl = (hint: string) =>
  z
    .string()
    .regex(/^amqps?:\/\//, `must start with amqp:// or amqps://; ${hint}`)
    .refine((url) => URL.canParse(url), NOT_A_URL)
    .refine(hasPasswordIfAny, EMPTY_PASSWORD)
    .optional();

const variables = {
  PORT: port(3000),
  OPS_PORT: port(9100),
  SIMULATOR_PORT: port(8080),
  /** Whoever reaches the simulator controls it. */
  SIMULATOR_HOST: z.string().default('127.0.0.1'),
  /** The gateway's install address, to have the application installed in the simulator's portal `demo`. */
  SIMULATOR_INSTALL_URL: httpUrl.optional(),
  PUBLIC_URL: httpUrl.transform((url) => url.replace(/\/+$/, '')),
  DATABASE_URL: databaseUrl,
  /** The owner of the schemas, for migrations; DATABASE_URL where it is not set. */
  MIGRATE_DATABASE_URL: databaseUrl,
  /** A superuser who makes the roles of the two others, once before the migrations. */
  ADMIN_DATABASE_URL: databaseUrl.optional(),
  AMQP_URL: amqpUrl('leave it out to keep the bus in PostgreSQL'),
  /** The RabbitMQ that was AMQP_URL before, from which what still lies there is brought over. */
  PREVIOUS_AMQP_URL: amqpUrl('leave it out once nothing lies there any more'),
  /** The gateway's journal, and all that `npm start` keeps. */
  DATA_DIR: z
    .string()
    .default('.data')
    .transform((folder) => resolve(folder)),
  B24_CLIENT_ID: optionalText,
  B24_CLIENT_SECRET: optionalText,
  /** The OAuth servers that are believed: that of the western portals, and that of the eastern ones. */
  B24_OAUTH_URL: z
    .string()
    .default('https://oauth.bitrix.info,https://oauth.bitrix24.tech')
    .transform((list) => list.split(',').map((url) => url.trim().replace(/\/+$/, '')))
    .pipe(z.array(httpUrl)),
  B24_ALLOW_HOSTS: z
    .string()
    .default('')
    .transform((list) => list.split(',').flatMap((host) => host.trim().toLowerCase() || [])),
  TOKEN_KEYS: z
    .string({ error: `is not set; make one: echo "k1:$(openssl rand -base64 32)"` })
    .transform((list, context) => parseTokenKeys(list, (message) => context.addIssue(message))),
  OPS_TOKEN: z
    .string({ error: `is not set; make one: openssl rand -hex 16` })
    .min(16, 'must have 16 characters or more'),
  /** Whose X-Forwarded-For is believed: addresses and networks of proxies, or how many stand before the gateway. */
  TRUST_PROXY: z
    .string()
    .default('')
    .transform((text, context) => parseTrustProxy(text, (message) => context.addIssue(message))),
  /** Tasks that a consumer process has in hand at once, such as backfills, of as many portals. */
  TASK_CONCURRENCY: z.coerce.number().int().min(1).max(100).default(8),
  /** Where traces go, as OTLP over HTTP; the path `/v1/traces` is added. */
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl.transform((url) => url.replace(/\/+$/, '')).optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
};

export type EnvironmentName = keyof typeof variables;
export type Environment = { [K in EnvironmentName]: z.output<(typeof variables)[K]> };

/** Thrown by `readEnvironment`; the message has a line for every bad variable and never a value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code = 'BAD_ENVIRONMENT';
  constructor(readonly problems: readonly string[]) {
    super(['The environment is not complete:', ...problems.map((problem) => `  ${problem}`)].join('\n'));
  }
}

/**
 * Reads the variables that an app uses, once, at its start; all others are ignored. An empty variable counts as
 * not set, since compose files pass on what is missing as an empty text.
 * @throws EnvironmentError naming every bad variable and how to mend it
 */
export function readEnvironment<K extends EnvironmentName>(
  names: readonly K[],
  source?: NodeJS.ProcessEnv,
): Pick<Environment, K>;
export function readEnvironment(
  names: readonly EnvironmentName[],
  source: NodeJS.ProcessEnv = process.env,
): Partial<Environment> {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''));
  // By number: Bitrix24 refuses a handler whose host has no dot, as `localhost` (api-reference/events/event-bind.md).
  given['PUBLIC_URL'] ??= `http://127.0.0.1:${given['PORT'] ?? 3000}`;
  given['MIGRATE_DATABASE_URL'] ??= given['DATABASE_URL'];
  const used = z.object(Object.fromEntries(names.map((name) => [name, variables[name]])));
  const parsed = used.safeParse(given);
  if (!parsed.success) {
    throw new EnvironmentError(
      parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`),
    );
  }
  const environment: Partial<Environment> = parsed.data;
  requireWholeApplication(names, environment);
  refusePublished(environment);
  return environment;
}

/** Without a colon there is none, which a server that trusts its users takes; with one, it was to be filled in. */
function hasPasswordIfAny(url: string): boolean {
  return !/^\w+:\/\/[^/?#@]*:@/.test(url);
}

/** `false`: nobody's. */
export type TrustProxy = false | number | string[];

function parseTrustProxy(text: string, complain: (message: string) => void): TrustProxy {
  if (/^\d{1,2}$/.test(text)) return Number(text) || false;
  const proxies = text.split(',').flatMap((proxy) => proxy.trim() || []);
  if (proxies.some((proxy) => !isNetwork(proxy))) {
    complain('must be addresses or networks of proxies, such as 10.0.0.7,10.1.0.0/16, or a number of hops');
  }
  return proxies.length > 0 && proxies;
}

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
  return bits > 0 && isPrefix && more.length === 0;
}

function parseTokenKeys(list: string, complain: (message: string) => void): TokenKey[] {
  const keys = list.split(',').map((entry) => {
    const [id = '', encoded = ''] = entry.trim().split(':', 2);
    return { id, key: Buffer.from(encoded, 'base64') };
  });
  if (keys.some(({ id, key }) => !/^[\w-]{1,32}$/.test(id) || key.length !== 32)) {
    complain(
      'must be id:base64key[,id:base64key] with 32 bytes in each key, such as k1:$(openssl rand -base64 32)',
    );
  } else if (new Set(keys.map(({ id }) => id)).size < keys.length) {
    complain('names one id twice');
  }
  return keys;
}

function requireWholeApplication(names: readonly EnvironmentName[], environment: Partial<Environment>): void {
  const pair = ['B24_CLIENT_ID', 'B24_CLIENT_SECRET'] as const;
  const missing = pair.filter((name) => environment[name] === undefined);
  if (missing.length !== 1 || !pair.every((name) => names.includes(name))) return;
  throw new EnvironmentError([
    `${missing.join()} is not set; the application's form in Bitrix24 shows both keys`,
  ]);
}

function refusePublished(environment: Partial<Environment>): void {
  const {
    TOKEN_KEYS: keys,
    OPS_TOKEN: token,
    B24_OAUTH_URL: oauthUrls,
    B24_ALLOW_HOSTS: allowed,
  } = environment;
  if (oauthUrls === undefined) return;
  const hosts = oauthUrls.map((url) => new URL(url));
  if (hosts.every(({ host, hostname }) => allowed?.includes(host) || allowed?.includes(hostname))) return;
  const problems: string[] = [];
  if (keys?.[0]?.id === PUBLISHED_KEY_ID) {
    problems.push(
      'TOKEN_KEYS is the published key of the demo, which keeps no secret; make your own: echo "k1:$(openssl rand -base64 32)"',
    );
  }
  if (token === PUBLISHED_OPS_TOKEN) {
    problems.push('OPS_TOKEN is the published one of the demo; make your own: openssl rand -hex 16');
  }
  for (const name of ADDRESS_NAMES) {
    const url = environment[name];
    if (url === undefined || new URL(url).password !== PUBLISHED_PASSWORD) continue;
    problems.push(`${name} has the published password of the demo; docs/operating.md says how it is changed`);
  }
  if (problems.length > 0) throw new EnvironmentError(problems);
}
