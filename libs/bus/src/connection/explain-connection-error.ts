import { explain } from '@relay/platform';
import pg from 'pg';
import { toFailure } from '../contract/failure.js';

/** The environment variable that an operator would check. */
export type AddressName = 'AMQP_URL' | 'DATABASE_URL';

/** Tells an operator why the bus does not work. */
interface ConnectionErrorExplanation {
  /** What is wrong, with which queue or table, and what to do. One line, without secrets. */
  reason: string;
  /** The error is permanent: it does not go away without an operator. */
  requiresOperator: boolean;
}

const transient = (reason: string): ConnectionErrorExplanation => ({ reason, requiresOperator: false });
const permanent = (reason: string): ConnectionErrorExplanation => ({ reason, requiresOperator: true });

const MAX_CAUSES = 5;

/** Explains a broker or database error to an operator; the first known error in its chain of causes decides. */
export function explainConnectionError(error: unknown, address: AddressName): ConnectionErrorExplanation {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth += 1) {
    const explanation =
      explainPostgresError(cause) ?? explainAmqpError(cause) ?? explainNetworkError(cause, address);
    if (explanation) return explanation;
    cause = cause.cause;
  }
  return transient(toFailure(error).message);
}

const OLDER_TABLES = permanent(
  'The tables of the bus are missing, or older than this version: run `npm run migrate`.',
);

/** By SQLSTATE, see PostgreSQL's appendix A. */
const POSTGRES_EXPLANATIONS: Readonly<Record<string, ConnectionErrorExplanation>> = {
  '3F000': OLDER_TABLES,
  '42P01': OLDER_TABLES,
  '42703': OLDER_TABLES,
  '25006': permanent(
    'DATABASE_URL leads to a PostgreSQL that only reads, such as a standby: name the primary.',
  ),
  '53100': permanent("PostgreSQL's disk is full."),
  '53300': permanent('PostgreSQL takes no more connections: raise max_connections, or run fewer processes.'),
  '57P01': transient('PostgreSQL ended the connection: it shuts down, or an administrator ended it.'),
  '57P03': transient('PostgreSQL is starting or shutting down.'),
  '57P05': transient('PostgreSQL ended the connection because it had heard nothing for too long.'),
};

/** @returns undefined when it is not a PostgreSQL error, or a rare one whose message is clear by itself */
function explainPostgresError(error: Error): ConnectionErrorExplanation | undefined {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return undefined;
  if (error.code === '42501') return explainMissingPermission(error.message);
  const known = POSTGRES_EXPLANATIONS[error.code];
  if (known) return known;
  const reason = explain(error);
  return reason === undefined ? undefined : permanent(reason);
}

/** Parses `permission denied for table messages`. */
function explainMissingPermission(message: string): ConnectionErrorExplanation {
  const what = /permission denied for (.*)/.exec(message)?.[1] ?? 'what is needed';
  return permanent(
    `The role in DATABASE_URL has no permission for ${what}: let it own the schema bus, or ` +
      'GRANT USAGE ON SCHEMA bus and GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bus to it.',
  );
}

/**
 * RabbitMQ's rejections as amqplib reports them: one text that quotes the broker's message (tested on 3.10.8; 4.x puts
 * the kind of access before `access to`). The texts hold names of queues, exchanges, virtual hosts and users.
 */
const AMQP_EXPLANATIONS: readonly [
  words: RegExp,
  describe: (...names: string[]) => ConnectionErrorExplanation,
][] = [
  [
    /inequivalent arg '([^']*)' for (queue|exchange) '([^']*)' in vhost '([^']*)'/,
    (argument = '', kind = '', name = '', vhost = '') =>
      permanent(
        `The ${kind} ${name} of the virtual host ${vhost} exists with another ${argument}, which RabbitMQ cannot change. ` +
          (kind === 'queue'
            ? `See that nothing is left in it, then delete it: rabbitmqctl -p '${vhost}' delete_queue '${name}'. `
            : `Delete it with RabbitMQ's management or rabbitmqadmin, and restart the consumers, whose bindings go with it. `) +
          'It is declared again within seconds.',
      ),
  ],
  [
    /access to (queue|exchange|topic) '([^']*)'.* in vhost '([^']*)' refused/,
    (kind = '', name = '', vhost = '') =>
      permanent(
        `The user of AMQP_URL may not do what is needed with the ${kind} ${name}: ` +
          `rabbitmqctl set_permissions -p '${vhost}' <user> '^b24\\.' '^(b24\\.|amq\\.default$)' '^b24\\.'`,
      ),
  ],
  [
    /Login was refused|ACCESS_REFUSED - Login/,
    () =>
      permanent(
        'RabbitMQ rejects the user or the password in AMQP_URL. (The user guest is let in from its own machine only.)',
      ),
  ],
  [
    // amqplib reports only this when the broker closes instead of opening the virtual host.
    /Expected ConnectionOpenOk; got <ConnectionClose|access to vhost .* refused|vhost .* not found/,
    () =>
      permanent(
        'The virtual host in AMQP_URL does not exist, or its user may not use it: rabbitmqctl add_vhost, then rabbitmqctl set_permissions.',
      ),
  ],
  [
    /no (queue|exchange) '([^']*)' in vhost/,
    (kind = '', name = '') =>
      transient(
        `The ${kind} ${name} was deleted; it is declared again.` +
          (kind === 'exchange' ? ' Restart the consumers, whose bindings went with it.' : ''),
      ),
  ],
  [
    /delivery acknowledgement on channel \d+ timed out(?:.*?(\d+) ms)?/,
    (timeoutMs) =>
      transient(
        `An event was held for longer than RabbitMQ's consumer_timeout${timeoutMs ? ` (${Number(timeoutMs) / 1000} s)` : ''}; ` +
          'what was held is delivered again. If handlers may take so long, raise consumer_timeout in rabbitmq.conf.',
      ),
  ],
  [/CONNECTION.FORCED - ([^"]*)/, (why = '') => transient(`RabbitMQ ended the connection: ${why}.`)],
  [
    /Heartbeat timeout/i,
    () =>
      transient(
        'RabbitMQ has not answered for some heartbeats: it is frozen, or the network swallows packets.',
      ),
  ],
  [
    /closed abruptly during opening handshake/,
    () =>
      transient(
        'What listens at AMQP_URL ended the connection at once: RabbitMQ is still starting, or it is another program.',
      ),
  ],
];

/** @returns undefined when the text is not a known RabbitMQ rejection */
function explainAmqpError({ message }: Error): ConnectionErrorExplanation | undefined {
  for (const [words, describe] of AMQP_EXPLANATIONS) {
    const match = words.exec(message);
    if (match) return describe(...match.slice(1));
  }
  return undefined;
}

const silent = (why: string) => (address: AddressName) =>
  transient(`Nothing answers at the address in ${address} (${why}).`);

const NETWORK_EXPLANATIONS: Readonly<Record<string, (address: AddressName) => ConnectionErrorExplanation>> = {
  ECONNREFUSED: silent('the connection is refused'),
  EHOSTUNREACH: silent('no route leads there'),
  ENETUNREACH: silent('no route leads there'),
  ETIMEDOUT: silent('no answer in time'),
  EAI_AGAIN: silent('the name server does not answer'),
  ENOTFOUND: (address) => transient(`The host name in ${address} is not known to the name server.`),
  ECONNRESET: (address) => transient(`The connection to ${address} was cut.`),
  EPIPE: (address) => transient(`The connection to ${address} was cut.`),
};

/** pg errors without a code. */
const NETWORK_TEXTS: readonly [RegExp, (address: AddressName) => ConnectionErrorExplanation][] = [
  [
    /connect ETIMEDOUT|connection timeout|timeout exceeded when trying to connect/,
    silent('no answer in time'),
  ],
  [/Query read timeout/, (address) => transient(`The server at ${address} has stopped answering.`)],
  [
    /Connection terminated|Unexpected close|Socket closed/i,
    (address) => transient(`The connection to ${address} was cut.`),
  ],
  [
    /client password must be a string/,
    (address) => permanent(`A password is asked for, and ${address} has none.`),
  ],
];

/** Errors of the network path to the server. @returns undefined when it is not a network error */
function explainNetworkError(error: Error, address: AddressName): ConnectionErrorExplanation | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = NETWORK_EXPLANATIONS[code];
  if (known) return known(address);
  if (/^ERR_(SSL|TLS)|CERT|UNABLE_TO_VERIFY/.test(code)) {
    return permanent(
      `TLS with the server at ${address} fails (${code}): check its certificate, and whether it speaks TLS.`,
    );
  }
  return NETWORK_TEXTS.find(([words]) => words.test(error.message))?.[1](address);
}
