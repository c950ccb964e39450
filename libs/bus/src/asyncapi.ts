import { DATA_ROWS, FORM_TREE, MESSAGE_FORMAT } from '@relay/events';
import { z } from 'zod';
import { DEFAULT_RETRY_DELAYS_MS, tierName } from './contract/retry-delays.js';
import { SHARD_COUNT } from './contract/shard.js';
import { FAILURE_HEADERS } from './rabbitmq/retry-metadata.js';
import {
  consumerDeclarations,
  deadQueue,
  EVENTS_EXCHANGE,
  eventsDeclarations,
  retryName,
  shardQueue,
  UNROUTED_NAME,
} from './rabbitmq/topology.js';

type Json = string | number | boolean | null | readonly Json[] | JsonObject;
type JsonObject = { readonly [key: string]: Json };

/** A name of its own, which no consumer can have, so that names of queues become patterns. */
const CONSUMER = '{consumer}';
const SHARD = '{shard}';
const TIER = '{tier}';

const ref = (kind: string, name: string): { $ref: string } => ({ $ref: `#/components/${kind}/${name}` });

/**
 * The bus on RabbitMQ as an AsyncAPI 3.0 document, from which a consumer in another language can be written. Made of the
 * schemas and declarations that this lib uses itself; `npm run asyncapi` writes it to `docs/asyncapi.yaml`.
 */
export function describeBus(): JsonObject {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'b24-relay: events of Bitrix24 portals on RabbitMQ',
      version: '1',
      description: OVERVIEW,
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    servers: {
      rabbitmq: {
        host: 'localhost:5672',
        protocol: 'amqp',
        protocolVersion: '0.9.1',
        description: 'The broker of `AMQP_URL`, 3.10 or newer.',
      },
    },
    channels: channels(),
    operations: operations(),
    components: { messages: messages(), schemas: schemas() },
  };
}

const OVERVIEW = `The gateway publishes each event of a portal to the exchange ${EVENTS_EXCHANGE}. A consumer has ${SHARD_COUNT} queues, one for each shard of the portals, and its events are bound to each of them. It acknowledges a message when it has handled it. What failed is published to a retry tier of the consumer, or to its dead letters, and acknowledged once the broker has confirmed that.

First an operator registers the consumer: \`relay consumer register deal-mailer --events ONCRMDEALADD\`, or \`PUT /ops/api/consumers/deal-mailer\` of the control plane with \`{"events": ["ONCRMDEALADD"]}\` and the bearer token of \`OPS_TOKEN\`. This declares all queues and exchanges that this document names, binds the events to the queues, and has the portals send them. From then on they wait for the consumer. Called again, it replaces the events. \`relay consumer retire\` takes everything away again.

The program then takes from the queues of all shards, and declares nothing. (A program that declares them itself must do so durably and with the arguments of \`x-arguments\`: RabbitMQ rejects others.) A message may be delivered again after a crash: handle it so that a repeat is harmless. Events of one portal are in one shard, in about the order of their arrival. Set a prefetch, at most 2000.`;

/** The parts of a declaration that AsyncAPI has words for, and the arguments, for which it has none. */
function queueBinding(name: string, declared: { arguments: Readonly<Record<string, Json>> }): JsonObject {
  return {
    'x-arguments': declared.arguments,
    bindings: {
      amqp: {
        is: 'queue',
        queue: { name, durable: true, exclusive: false, autoDelete: false, vhost: '/' },
        bindingVersion: '0.3.0',
      },
    },
  };
}

function channels(): Json {
  const declared = consumerDeclarations(CONSUMER, DEFAULT_RETRY_DELAYS_MS);
  const argumentsOf = (name: string) => {
    const queue = [...declared.queues, ...eventsDeclarations.queues].find((each) => each.name === name);
    if (!queue) throw new TypeError(`No queue ${name} is declared`);
    return queue;
  };
  const shardName = shardQueue(CONSUMER, 0).replace(/0$/, SHARD);
  const [firstDelayMs = 0] = DEFAULT_RETRY_DELAYS_MS;
  const tier = retryName(CONSUMER, firstDelayMs);
  const tierPattern = tier.replace(tierName(firstDelayMs), TIER);
  const { 'x-message-ttl': _ofItsTier, ...tierArguments } = argumentsOf(tier).arguments;
  const events = messageRefs();
  const waiting = { WaitingEvent: ref('messages', 'WaitingEvent') };
  const consumer = {
    description: 'Name of the consumer: lower-case letters, digits and hyphens, a letter first.',
    examples: ['deal-notifier'],
  };
  const shard = { description: 'Shard of the portal.', enum: shardNames() };
  return {
    events: {
      address: '{event}.{entityTypeId}.{shard}',
      title: 'Exchange of all events',
      description: `Topic exchange ${EVENTS_EXCHANGE}. The address is the routing key.`,
      messages: events,
      parameters: {
        event: {
          description: 'Name of the event in upper case. It may have dots, such as CATALOG.PRICE.ON.ADD.',
        },
        entityTypeId: { description: 'Type of a smart process item, 0 of others. `*` binds all of them.' },
        shard,
      },
      'x-alternate-exchange': UNROUTED_NAME,
      bindings: {
        amqp: {
          is: 'routingKey',
          exchange: { name: EVENTS_EXCHANGE, type: 'topic', durable: true, autoDelete: false, vhost: '/' },
          bindingVersion: '0.3.0',
        },
      },
    },
    shard: {
      address: shardName,
      title: 'Queue of one shard of a consumer',
      description: `Bind it to ${EVENTS_EXCHANGE} with the routing key of \`x-bind\`, once for each event. One process at a time is given its messages; others stand by.`,
      messages: { ...events, ...waiting },
      parameters: { consumer, shard },
      'x-bind': { exchange: EVENTS_EXCHANGE, routingKey: `{event}.*.${SHARD}` },
      ...queueBinding(shardName, argumentsOf(shardQueue(CONSUMER, 0))),
    },
    retry: {
      address: tierPattern,
      title: 'Retry tier of a consumer',
      description:
        'A fanout exchange and the queue bound to it, of one name. Publish to the exchange with the name of the shard queue as routing key: when the time of the tier is over, the broker puts the message back there.',
      messages: waiting,
      parameters: { consumer, tier: { description: 'How long it waits.', enum: tierNames() } },
      'x-ttl-ms': Object.fromEntries(DEFAULT_RETRY_DELAYS_MS.map((delayMs) => [tierName(delayMs), delayMs])),
      'x-arguments': {
        ...tierArguments,
        'x-message-ttl': '{the number of x-ttl-ms for the tier}',
      },
      bindings: {
        amqp: {
          is: 'routingKey',
          exchange: { name: tierPattern, type: 'fanout', durable: true, autoDelete: false, vhost: '/' },
          bindingVersion: '0.3.0',
        },
      },
    },
    dead: {
      address: deadQueue(CONSUMER),
      title: 'Dead letters of a consumer',
      description:
        'What failed for good. Publish to the default exchange with the name of the queue as routing key. `relay dead` lists them.',
      messages: { DeadEvent: ref('messages', 'DeadEvent') },
      parameters: { consumer },
      ...queueBinding(deadQueue(CONSUMER), argumentsOf(deadQueue(CONSUMER))),
    },
    unrouted: {
      address: UNROUTED_NAME,
      title: 'Events that no consumer has bound',
      description: 'The oldest are dropped when it is full. `relay unrouted` lists and returns them.',
      messages: { AnyEvent: ref('messages', 'AnyEvent') },
      ...queueBinding(UNROUTED_NAME, argumentsOf(UNROUTED_NAME)),
    },
  };
}

const shardNames = (): string[] => Array.from({ length: SHARD_COUNT }, (_, shard) => String(shard));
const tierNames = (): string[] => DEFAULT_RETRY_DELAYS_MS.map(tierName);

const channel = (name: string): Json => ({ $ref: `#/channels/${name}` });

function operations(): Json {
  return {
    takeEvents: {
      action: 'receive',
      channel: channel('shard'),
      summary: 'A consumer takes its events, and acknowledges each when it is handled or moved.',
      bindings: { amqp: { ack: true, bindingVersion: '0.3.0' } },
    },
    retryLater: {
      action: 'send',
      channel: channel('retry'),
      summary: 'The same content and message id, with the headers of a failure.',
      bindings: { amqp: { deliveryMode: 2, bindingVersion: '0.3.0' } },
    },
    giveUp: {
      action: 'send',
      channel: channel('dead'),
      summary: 'After the last tier, or when a retry cannot help.',
      bindings: { amqp: { deliveryMode: 2, bindingVersion: '0.3.0' } },
    },
  };
}

function messageRefs(): JsonObject {
  const names = [...DATA_ROWS.map(({ shape }) => shape), 'AnyEvent'];
  return Object.fromEntries(names.map((name) => [name, ref('messages', name)]));
}

const AMQP_MESSAGE: Json = {
  amqp: { contentEncoding: 'utf-8', bindingVersion: '0.3.0' },
};

/** An event that comes back or is kept: the content is unchanged. */
function failed(name: string, headers: string, title: string): Json {
  return {
    name,
    title,
    contentType: 'application/json',
    headers: ref('schemas', headers),
    payload: ref('schemas', 'Event'),
    bindings: AMQP_MESSAGE,
  };
}

function messages(): Json {
  const message = (name: string, payload: Json, title: string): Json => ({
    name,
    title,
    contentType: 'application/json',
    headers: ref('schemas', 'Headers'),
    payload,
    bindings: AMQP_MESSAGE,
  });
  const documented = DATA_ROWS.map(({ shape, names }) => [
    shape,
    message(
      shape,
      {
        allOf: [
          ref('schemas', 'Event'),
          {
            type: 'object',
            properties: { name: { enum: [...names] }, data: ref('schemas', `${shape}Data`) },
          },
        ],
      },
      names.length > 3 ? `${names[0]} and ${names.length - 1} more` : names.join(', '),
    ),
  ]);
  return {
    ...Object.fromEntries(documented),
    AnyEvent: message('AnyEvent', ref('schemas', 'Event'), 'Any other event'),
    WaitingEvent: failed('WaitingEvent', 'RetryHeaders', 'An event that failed, or waits for its portal'),
    DeadEvent: failed('DeadEvent', 'FailureHeaders', 'An event that failed for good'),
  };
}

const HEADERS = z
  .object({ traceparent: z.string().optional().describe('W3C Trace Context, the same as in the content.') })
  .describe('Headers of a new event. The AMQP property `message_id` is the id of the event.');

const RETRY_HEADERS = FAILURE_HEADERS.partial().describe(
  'Headers of a message in a retry tier, and of one that comes from there. One that only waits has no failure of its own.',
);

/** JSON schema draft 7, of which AsyncAPI's own is a superset. */
function schemas(): Json {
  const registry = z.registry<{ id: string }>();
  registry.add(FORM_TREE, { id: 'FormTree' });
  registry.add(MESSAGE_FORMAT, { id: 'Event' });
  registry.add(HEADERS, { id: 'Headers' });
  registry.add(FAILURE_HEADERS, { id: 'FailureHeaders' });
  registry.add(RETRY_HEADERS, { id: 'RetryHeaders' });
  for (const { shape, data } of DATA_ROWS) registry.add(data, { id: `${shape}Data` });
  const { schemas: made } = z.toJSONSchema(registry, {
    target: 'draft-7',
    // As it is sent: more keys than these are allowed.
    io: 'input',
    uri: (id) => ref('schemas', id).$ref,
  });
  const json = z.record(z.string(), z.record(z.string(), z.json())).parse(JSON.parse(JSON.stringify(made)));
  return Object.fromEntries(
    Object.entries(json).map(([name, { $schema: _draft, $id: _id, ...schema }]) => [name, schema]),
  );
}
