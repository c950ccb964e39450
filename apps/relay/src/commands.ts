import type { Command } from './command.js';
import { moveBus } from './bus.js';
import { listConsumers, retireConsumer } from './consumers.js';
import { dropDead, listDead, replayDead, showDead } from './dead-letters.js';
import { journalStatus } from './journal.js';
import { rotateKeys } from './keys.js';
import { addWebhookPair, listPortals, resumePortal, setLimit, setSettings, testPortal } from './portals.js';
import { runSync, syncStatus } from './sync.js';
import { checkTopology } from './topology.js';
import { listUnrouted, replayUnrouted } from './unrouted.js';

const filters = ['consumer', 'portal', 'error', 'since', 'until'] as const;

/** The longer name of two that begin alike comes first. */
export const commands: readonly Command[] = [
  {
    name: 'portals test',
    words: ['member_id'],
    says: 'has the portal send a test event, and waits for it; without an application, for any event',
    run: (api, [memberId = '']) => testPortal(api, memberId),
  },
  {
    name: 'portals webhook',
    options: ['portal'],
    says: 'registers a portal by a pair of webhooks; asks for both. --portal <member_id>: no other portal gets it',
    run: (api, _, { portal }) => addWebhookPair(api, portal),
  },
  {
    name: 'portals set',
    words: ['member_id', 'consumer', 'json'],
    says: 'what is different at this portal for one consumer',
    run: (api, [memberId = '', consumer = '', json = '']) => setSettings(api, memberId, consumer, json),
  },
  {
    name: 'portals limit',
    words: ['member_id', 'limit'],
    says: "its plan's rate limit: usual, enterprise, free, or <rate>/<burst>",
    run: (api, [memberId = '', limit = '']) => setLimit(api, memberId, limit),
  },
  {
    name: 'portals resume',
    words: ['member_id'],
    says: 'calls a suspended portal again, now',
    run: (api, [memberId = '']) => resumePortal(api, memberId),
  },
  {
    name: 'portals',
    says: 'every portal, with its state; unused pairs and pending installs',
    run: (api) => listPortals(api),
  },
  {
    name: 'sync backfill',
    words: ['portal'],
    says: 'reads all items of a portal into the mirror once more, and shows how far it is',
    run: (api, [portal = '']) => runSync(api, 'backfill', portal),
  },
  {
    name: 'sync reconcile',
    words: ['portal'],
    says: 'compares mirror and portal, and mends what differs',
    run: (api, [portal = '']) => runSync(api, 'reconcile', portal),
  },
  {
    name: 'sync status',
    words: ['portal'],
    says: 'what is being done, and what the last of each came to',
    run: (api, [portal = '']) => syncStatus(api, portal),
  },
  {
    name: 'queues',
    says: 'every consumer: what waits, is in hand, retries, lies dead; who works on it',
    run: (api) => listConsumers(api),
  },
  {
    name: 'dead list',
    options: [...filters, 'limit'],
    says: 'dead letters, the oldest first',
    run: (api, _, options) => listDead(api, options),
  },
  {
    name: 'dead show',
    words: ['consumer', 'id'],
    says: 'one of them, with the event as it came',
    run: (api, [consumer = '', id = '']) => showDead(api, consumer, id),
  },
  {
    name: 'dead replay',
    options: [...filters, 'id', 'limit', 'rate'],
    says: 'puts them back to their consumer, as if they had never failed',
    run: (api, _, options) => replayDead(api, options),
  },
  {
    name: 'dead drop',
    options: [...filters, 'id', 'limit', 'all'],
    says: 'throws away those of a filter, or with --all every one',
    run: (api, _, options) => dropDead(api, options),
  },
  {
    name: 'unrouted replay',
    options: ['portal', 'since', 'until'],
    says: 'brings those that a consumer wants by now to it',
    run: (api, _, options) => replayUnrouted(api, options),
  },
  {
    name: 'unrouted',
    says: 'events that nobody subscribes to, by name',
    run: (api) => listUnrouted(api),
  },
  {
    name: 'journal status',
    says: "what waits on the gateway's own disk, because the bus was away",
    run: (api) => journalStatus(api),
  },
  {
    name: 'bus move',
    says: 'brings over what still lies on the bus of before, now',
    run: (api) => moveBus(api),
  },
  {
    name: 'topology',
    says: 'whether all queues stand as they must; ends with 1 when not',
    run: (api) => checkTopology(api),
  },
  {
    name: 'consumer retire',
    words: ['consumer'],
    options: ['drain', 'drop'],
    says: 'removes a consumer that has no work left; --drain: it gets no more',
    run: (api, [consumer = ''], options) => retireConsumer(api, consumer, options),
  },
  {
    name: 'keys rotate',
    says: 'seals everything with the first key of TOKEN_KEYS',
    run: (api) => rotateKeys(api),
  },
];
