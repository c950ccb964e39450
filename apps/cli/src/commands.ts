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

const FILTERS = ['consumer', 'portal', 'error', 'since', 'until'] as const;

/** Of two names with the same beginning the longer one comes first. */
export const commands: readonly Command[] = [
  {
    name: 'portals test',
    positionals: ['member_id'],
    summary: 'has the portal send a test event, and waits for it; without an application, for any event',
    run: (api, [memberId = '']) => testPortal(api, memberId),
  },
  {
    name: 'portals webhook',
    options: ['portal'],
    summary:
      'registers a portal by a pair of webhooks; asks for both. --portal <member_id>: no other portal gets it',
    run: (api, _, { portal }) => addWebhookPair(api, portal),
  },
  {
    name: 'portals set',
    positionals: ['member_id', 'consumer', 'json'],
    summary: 'what is different at this portal for one consumer',
    run: (api, [memberId = '', consumer = '', json = '']) => setSettings(api, memberId, consumer, json),
  },
  {
    name: 'portals limit',
    positionals: ['member_id', 'limit'],
    summary: "its plan's rate limit: usual, enterprise, free, or <rate>/<burst>",
    run: (api, [memberId = '', limit = '']) => setLimit(api, memberId, limit),
  },
  {
    name: 'portals resume',
    positionals: ['member_id'],
    summary: 'calls a suspended portal again, now',
    run: (api, [memberId = '']) => resumePortal(api, memberId),
  },
  {
    name: 'portals',
    summary: 'every portal, with its state; unused pairs and pending installs',
    run: (api) => listPortals(api),
  },
  {
    name: 'sync backfill',
    positionals: ['portal'],
    summary: 'reads all items of a portal into the mirror once more, and shows how far it is',
    run: (api, [portal = '']) => runSync(api, 'backfill', portal),
  },
  {
    name: 'sync reconcile',
    positionals: ['portal'],
    summary: 'compares mirror and portal, and mends what differs',
    run: (api, [portal = '']) => runSync(api, 'reconcile', portal),
  },
  {
    name: 'sync status',
    positionals: ['portal'],
    summary: 'what is being done, and what the last of each came to',
    run: (api, [portal = '']) => syncStatus(api, portal),
  },
  {
    name: 'queues',
    summary: 'every consumer: what waits, is in hand, retries, lies dead; who works on it',
    run: (api) => listConsumers(api),
  },
  {
    name: 'dead list',
    options: [...FILTERS, 'limit'],
    summary: 'dead letters, the oldest first',
    run: (api, _, options) => listDead(api, options),
  },
  {
    name: 'dead show',
    positionals: ['consumer', 'id'],
    summary: 'one of them, with the event as it came',
    run: (api, [consumer = '', id = '']) => showDead(api, consumer, id),
  },
  {
    name: 'dead replay',
    options: [...FILTERS, 'id', 'limit', 'rate'],
    summary: 'puts them back to their consumer, as if they had never failed',
    run: (api, _, options) => replayDead(api, options),
  },
  {
    name: 'dead drop',
    options: [...FILTERS, 'id', 'limit', 'all'],
    summary: 'throws away those of a filter, or with --all every one',
    run: (api, _, options) => dropDead(api, options),
  },
  {
    name: 'unrouted replay',
    options: ['portal', 'since', 'until'],
    summary: 'brings those that a consumer wants by now to it',
    run: (api, _, options) => replayUnrouted(api, options),
  },
  {
    name: 'unrouted',
    summary: 'events that nobody subscribes to, by name',
    run: (api) => listUnrouted(api),
  },
  {
    name: 'journal status',
    summary: "what waits on the gateway's own disk, because the bus was away",
    run: (api) => journalStatus(api),
  },
  {
    name: 'bus move',
    summary: 'brings over what still lies on the bus of before, now',
    run: (api) => moveBus(api),
  },
  {
    name: 'topology',
    summary: 'whether all queues stand as they must; ends with 1 when not',
    run: (api) => checkTopology(api),
  },
  {
    name: 'consumer retire',
    positionals: ['consumer'],
    options: ['drain', 'drop'],
    summary: 'removes a consumer that has no work left; --drain: it gets no more',
    run: (api, [consumer = ''], options) => retireConsumer(api, consumer, options),
  },
  {
    name: 'keys rotate',
    summary: 'seals everything with the first key of TOKEN_KEYS',
    run: (api) => rotateKeys(api),
  },
];
