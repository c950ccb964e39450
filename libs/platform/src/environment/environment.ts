import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';

/** One key of TOKEN_KEYS. Its id is stored with every secret that it has encrypted. */
export interface TokenKey {
  id: string;
  /** 32 bytes, for AES-256-GCM. */
  key: Buffer;
}

/**
 * The TOKEN_KEYS id whose key is published in docker-compose.yml. It protects nothing, so it is accepted only with an
 * OAuth server that is listed in B24_ALLOW_HOSTS, which the real one never is.
 */
const PUBLISHED_KEY_ID = 'demo';
/** The published OPS_TOKEN; the same rule applies. */
const PUBLISHED_OPS_TOKEN = 'demo-ops-token-published';
/** The published password of PostgreSQL and RabbitMQ; the same rule applies. */
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
  /** The simulator has no authentication: it listens on loopback by default. */
  SIMULATOR_HOST: z.string().default('127.0.0.1'),
  /** The gateway's install address, with which the application is installed in the simulator's portal `demo`. */
  SIMULATOR_INSTALL_URL: httpUrl.optional(),
  /** Where a browser reaches the gateway, if not by the host of SIMULATOR_INSTALL_URL. */
  SIMULATOR_GATEWAY_URL: z
    .string()
    // Compose gives the ports of replicas as a range, of which any will do.
    .transform((url) => url.replace(/(:\d+)-\d+/, '$1'))
    .pipe(httpUrl)
    .optional(),
  PUBLIC_URL: httpUrl.transform((url) => url.replace(/\/+$/, '')),
  DATABASE_URL: databaseUrl,
  /** The owner of the schemas, for migrations. Default: DATABASE_URL. */
  MIGRATE_DATABASE_URL: databaseUrl,
  /** A superuser that creates the roles of the two others before the migrations. */
  ADMIN_DATABASE_URL: databaseUrl.optional(),
  AMQP_URL: amqpUrl('leave it out to keep the bus in PostgreSQL'),
  /** The previous AMQP_URL, from which the remaining messages are moved. */
  PREVIOUS_AMQP_URL: amqpUrl('leave it out once nothing lies there any more'),
  /** Directory of the gateway's journal, and of all data of `npm start`. */
  DATA_DIR: z
    .string()
    .default('.data')
    .transform((folder) => resolve(folder)),
  B24_CLIENT_ID: optionalText,
  B24_CLIENT_SECRET: optionalText,
  /** The trusted OAuth servers: one for western portals, one for eastern ones. */
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
  /** Where notifications are posted. */
  NOTIFY_URL: httpUrl.optional(),
  /** Signs them, as Standard Webhooks says. */
  NOTIFY_SECRET: z
    .string()
    .regex(
      /^whsec_(?:[A-Za-z0-9+/]{4}){8,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
      'must be whsec_ and 24 or more bytes in base64, such as whsec_$(openssl rand -base64 32)',
    )
    .transform((secret) => Buffer.from(secret.slice('whsec_'.length), 'base64'))
    .optional(),
  /** `host[:port]` of NOTIFY_URL, if that is plain http or private. */
  NOTIFY_ALLOW_HOSTS: z
    .string()
    .default('')
    .transform((list) => list.split(',').flatMap((host) => host.trim().toLowerCase() || [])),
  /** Whether a portal is told inside Bitrix24 that its events do not arrive. */
  NOTIFY_PORTALS: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .default('false')
    .transform((text) => text === 'true'),
  /**
   * The proxies whose X-Forwarded-For is trusted: addresses and networks, or the number of proxies in front of the
   * gateway.
   */
  TRUST_PROXY: z
    .string()
    .default('')
    .transform((text, context) => parseTrustProxy(text, (message) => context.addIssue(message))),
  /** Concurrent tasks of a consumer process, such as backfills, each of another portal. */
  TASK_CONCURRENCY: z.coerce.number().int().min(1).max(100).default(8),
  /** Whole days before the present one whose events the event log shows; 0: no event log. */
  EVENT_LOG_DAYS: z.coerce.number().int().min(0).max(90).default(3),
  /** Megabytes that the event log may take in the database. */
  EVENT_LOG_MAX_MB: z.coerce.number().int().min(10).max(1_000_000).default(1_024),
  /** Endpoint for traces, OTLP over HTTP; the path `/v1/traces` is appended. */
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl.transform((url) => url.replace(/\/+$/, '')).optional(),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** `production`, as in the image, saves what helps in development only. */
  NODE_ENV: z.string().default('development'),
};

export type EnvironmentName = keyof typeof variables;
export type Environment = { [K in EnvironmentName]: z.output<(typeof variables)[K]> };

/** Thrown by `readEnvironment`; the message has a line for every invalid variable and never contains a value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  readonly code = 'BAD_ENVIRONMENT';
  constructor(readonly problems: readonly string[]) {
    super(['The environment is not complete:', ...problems.map((problem) => `  ${problem}`)].join('\n'));
  }
}

/**
 * Reads the variables that an app uses, once, at its start; all others are ignored. An empty variable counts as
 * unset, because compose files pass a missing variable as an empty string.
 * @throws EnvironmentError with every invalid variable and how to fix it
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
  // An IP address: Bitrix24 rejects a handler whose host has no dot, such as `localhost`
  // (api-reference/events/event-bind.md).
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
  requireSignature(names, environment);
  rejectPublished(environment);
  return environment;
}

/**
 * Without a colon there is no password, which a server with trust authentication accepts; with a colon it must not be
 * empty.
 */
function hasPasswordIfAny(url: string): boolean {
  return !/^\w+:\/\/[^/?#@]*:@/.test(url);
}

/** `false`: no proxy is trusted. */
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

function requireSignature(names: readonly EnvironmentName[], environment: Partial<Environment>): void {
  if (!names.includes('NOTIFY_SECRET') || environment.NOTIFY_URL === undefined || environment.NOTIFY_SECRET)
    return;
  throw new EnvironmentError([
    'NOTIFY_SECRET is not set; notifications are signed with it: echo "whsec_$(openssl rand -base64 32)"',
  ]);
}

function rejectPublished(environment: Partial<Environment>): void {
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
