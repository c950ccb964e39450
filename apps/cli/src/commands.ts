import {
  checkTopology,
  journalStatus,
  listConsumers,
  listUnrouted,
  moveBus,
  replayUnrouted,
  retireConsumer,
} from './bus.js';
import type { Command } from './command.js';
import { dropDead, listDead, replayDead, showDead } from './dead-letters.js';
import {
  addWebhookPair,
  listPortals,
  resumePortal,
  rotateKeys,
  setLimit,
  setSettings,
  testPortal,
} from './portals.js';
import { runSync, syncStatus } from './sync.js';

const FILTERS = ['consumer', 'portal', 'error', 'since', 'until'] as const;

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  {
    name: 'portals test',
    positionals: ['member_id'],
    summary: 'asks the portal for a test event and waits for it; without an application, for any event',
    run: (api, [memberId = '']) => testPortal(api, memberId),
  },
  {
    name: 'portals webhook',
    options: ['portal'],
    summary:
      'registers a portal by a pair of webhooks; prompts for both. --portal <member_id>: only that portal can claim it',
    run: (api, _, { portal }) => addWebhookPair(api, portal),
  },
  {
    name: 'portals set',
    positionals: ['member_id', 'consumer', 'json'],
    summary: 'sets the settings of one consumer at this portal',
    run: (api, [memberId = '', consumer = '', json = '']) => setSettings(api, memberId, consumer, json),
  },
  {
    name: 'portals limit',
    positionals: ['member_id', 'limit'],
    summary: 'sets the rate limit of its plan: usual, enterprise, free, or <rate>/<burst>',
    run: (api, [memberId = '', limit = '']) => setLimit(api, memberId, limit),
  },
  {
    name: 'portals resume',
    positionals: ['member_id'],
    summary: 'ends the suspension of a portal now',
    run: (api, [memberId = '']) => resumePortal(api, memberId),
  },
  {
    name: 'portals',
    summary: 'lists portals with their states, unused webhook pairs and pending installs',
    run: (api) => listPortals(api),
  },
  {
    name: 'sync backfill',
    positionals: ['portal'],
    summary: 'reads all items of a portal into the mirror again, and shows the progress',
    run: (api, [portal = '']) => runSync(api, 'backfill', portal),
  },
  {
    name: 'sync reconcile',
    positionals: ['portal'],
    summary: 'compares the mirror with the portal, and repairs differences',
    run: (api, [portal = '']) => runSync(api, 'reconcile', portal),
  },
  {
    name: 'sync status',
    positionals: ['portal'],
    summary: 'shows running jobs and the last result of each kind',
    run: (api, [portal = '']) => syncStatus(api, portal),
  },
  {
    name: 'queues',
    summary: 'lists consumers: events waiting, in hand, retrying and dead; their processes',
    run: (api) => listConsumers(api),
  },
  {
    name: 'dead list',
    options: [...FILTERS, 'limit'],
    summary: 'lists dead letters, the oldest first',
    run: (api, _, options) => listDead(api, options),
  },
  {
    name: 'dead show',
    positionals: ['consumer', 'id'],
    summary: 'shows a dead letter with its event',
    run: (api, [consumer = '', id = '']) => showDead(api, consumer, id),
  },
  {
    name: 'dead replay',
    options: [...FILTERS, 'id', 'limit', 'rate'],
    summary: 'sends dead letters to their consumers again, with their attempts reset',
    run: (api, _, options) => replayDead(api, options),
  },
  {
    name: 'dead drop',
    options: [...FILTERS, 'id', 'limit', 'all'],
    summary: 'deletes the dead letters that match, or all with --all',
    run: (api, _, options) => dropDead(api, options),
  },
  {
    name: 'unrouted replay',
    options: ['portal', 'since', 'until'],
    summary: 'sends unrouted events to the consumers that subscribe to them now',
    run: (api, _, options) => replayUnrouted(api, options),
  },
  {
    name: 'unrouted',
    summary: 'counts events that no consumer subscribes to, by name',
    run: (api) => listUnrouted(api),
  },
  {
    name: 'journal status',
    summary: 'shows the events on the disks of the gateways that wait for the bus',
    run: (api) => journalStatus(api),
  },
  {
    name: 'bus move',
    summary: 'moves the messages that are left on the previous bus, now',
    run: (api) => moveBus(api),
  },
  {
    name: 'topology',
    summary: 'checks all queues and exchanges; exit code 1 if any is wrong',
    run: (api) => checkTopology(api),
  },
  {
    name: 'consumer retire',
    positionals: ['consumer'],
    options: ['drain', 'drop'],
    summary: 'removes a consumer that has no work left; --drain: stops new events first',
    run: (api, [consumer = ''], options) => retireConsumer(api, consumer, options),
  },
  {
    name: 'keys rotate',
    summary: 'encrypts all secrets with the first key of TOKEN_KEYS',
    run: (api) => rotateKeys(api),
  },
];
