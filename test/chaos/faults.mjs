/** All faults: what each one affects, and how it ends by itself. */
import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { brokerControl } from '../support/private-broker.mjs';
import { canFreezePostgres } from '../support/private-postgres.mjs';
import { brokerLosses } from './broker-losses.mjs';
import { rollback } from './rollback.mjs';

/** @typedef {import('./system.mjs').System} System */
/** @typedef {import('./system.mjs').Member} Member */
/**
 * @typedef {object} Fault
 * @property {string} kind
 * @property {(system: System) => string[]} targets by name; one at a time is hit. None: it cannot be had here
 * @property {[least: number, most: number]} seconds
 * @property {number} [leastSeconds] a run that is shorter has none of it
 * @property {(system: System, target: string, ms: number) => Promise<string | void>} make resolves when all is as it was, or with the
 *   reason why it was left out
 */

/** Long enough that another process takes over: RabbitMQ misses heartbeats, PostgreSQL terminates the session. */
const ownerIsReplaced = { rabbitmq: [14, 20], postgresql: [33, 40] };
/** The setting that causes a memory alarm, and Debian's default. */
const watermark = { low: ['absolute', '1MB'], usual: ['0.4'] };

/** @param {System['bus']} bus @param {'online' | 'both'} mode @returns {Fault[]} */
export function faultsOf(bus, mode) {
  const [least = 0, most = 0] = ownerIsReplaced[bus];
  return [
    ...(mode === 'online' ? gatewayFaults : pullerFaults),
    replicaEnds('control plane killed', controlPlanes, 'SIGKILL', [0, 4]),
    replicaFreezes('control plane frozen', controlPlanes, [1, 20]),
    replicaEnds('consumer killed', consumers, 'SIGKILL', [0, 4]),
    replicaEnds('consumer killed', consumers, 'SIGKILL', [0, 1]),
    replicaEnds('consumer deployed', consumers, 'SIGTERM', [0, 1]),
    replicaFreezes('consumer frozen', consumers, [1, 8]),
    replicaFreezes('consumer frozen until it is replaced', consumers, [least, most]),
    links('connections to the database cut', 'toDatabase', [0, 0], { begin: 'cut', end: 'open' }),
    links('no way to the database', 'toDatabase', [1, 6], { begin: 'shut', end: 'open' }),
    links('silence from the database', 'toDatabase', [2, 8], { begin: 'freeze', end: 'thaw' }),
    {
      kind: 'database killed',
      targets: () => ['database'],
      seconds: [0, 3],
      make: async ({ database }, _, ms) => {
        await database.kill();
        await pause(ms);
        await database.start();
      },
    },
    {
      kind: 'database frozen',
      targets: () => (canFreezePostgres ? ['database'] : []),
      seconds: [1, 8],
      make: async ({ database }, _, ms) => {
        database.freeze();
        await pause(ms).finally(database.thaw);
      },
    },
    ...(bus === 'rabbitmq' ? [...brokerFaults, ...brokerLosses] : []),
  ];
}

/**
 * Nothing that portals post arrives, in one way or another; `seconds` at a time. In mode `both` this is so half of the time, beside all
 * other faults.
 * @type {Fault[]}
 */
export const gatewaysAway = [
  {
    kind: 'gateways away: killed',
    targets: () => ['gateways'],
    seconds: [5, 25],
    make: async ({ gateways: members }, _, ms) => {
      await Promise.all(members.map(({ replica }) => replica.end('SIGKILL')));
      await pause(ms);
      await Promise.all(members.map(({ replica }) => replica.start()));
    },
  },
  {
    kind: 'gateways away: frozen',
    targets: () => ['gateways'],
    seconds: [5, 25],
    make: async ({ gateways: members }, _, ms) => {
      for (const { replica } of members) replica.freeze();
      await pause(ms);
      for (const { replica } of members) replica.thaw();
    },
  },
  front('gateways away: refused in front', 'shut', 'open'),
  front('gateways away: swallowed in front', 'freeze', 'thaw'),
];

/** @param {string} kind @param {'shut' | 'freeze'} begin @param {'open' | 'thaw'} end @returns {Fault} */
function front(kind, begin, end) {
  return {
    kind,
    targets: () => ['gateways'],
    seconds: [5, 25],
    make: async (system, _, ms) => {
      system.front?.[begin]();
      await pause(ms).finally(() => system.front?.[end]());
    },
  };
}

/** @type {Fault[]} */
const brokerFaults = [
  links('connections to the broker cut', 'toBroker', [0, 0], { begin: 'cut', end: 'open' }),
  links('no way to the broker', 'toBroker', [1, 6], { begin: 'shut', end: 'open' }),
  links('silence from the broker', 'toBroker', [2, 14], { begin: 'freeze', end: 'thaw' }),
  {
    kind: 'broker killed',
    targets: () => ['broker'],
    seconds: [0, 2],
    make: async ({ broker }, _, ms) => {
      await broker?.kill();
      await pause(ms);
      await broker?.start();
    },
  },
  {
    kind: 'broker frozen',
    targets: () => ['broker'],
    seconds: [1, 12],
    make: async ({ broker }, _, ms) => {
      broker?.freeze();
      await pause(ms).finally(broker?.thaw);
    },
  },
  {
    kind: 'memory alarm of the broker',
    targets: () => ['broker'],
    seconds: [2, 6],
    make: async (system, _, ms) => {
      try {
        await setWatermark(system, watermark.low);
        await pause(ms);
      } finally {
        await setWatermark(system, watermark.usual);
      }
    },
  },
];

/** Takes the bus down too, because a full disk matters only then. @type {Fault} */
const diskFull = {
  kind: 'disk of the journal full, and no way to the bus',
  targets: ({ disk }) => (disk.canFill ? ['disk'] : []),
  seconds: [1, 3],
  make: async ({ disk, gateways: members, bus }, _, ms) => {
    const ways = members.flatMap(
      ({ toBroker, toDatabase }) => (bus === 'rabbitmq' ? toBroker : toDatabase) ?? [],
    );
    const pids = members.flatMap(({ replica }) => replica.pid ?? []);
    for (const way of ways) way.shut();
    try {
      // First some events that the journal accepts and must keep.
      await pause(ms);
      await disk.fill(pids);
      await pause(ms);
      await disk.free(pids);
      await pause(ms);
    } finally {
      await disk.free(pids);
      for (const way of ways) way.open();
    }
  },
};

/** @param {System} system */
const gateways = (system) => system.gateways;
/** @param {System} system */
const consumers = (system) => system.consumers;
/** @param {System} system */
const controlPlanes = (system) => system.controlPlanes;
/** @param {System} system */
const pullers = (system) => system.pullers;
/** @param {System} system */
const everybody = (system) => [
  ...system.gateways,
  ...system.controlPlanes,
  ...system.pullers,
  ...system.consumers,
];
/** @param {readonly Member[]} members */
const namesOf = (members) => members.map(({ replica }) => replica.name);

/** @param {readonly Member[]} members @param {string} name */
function named(members, name) {
  const member = members.find(({ replica }) => replica.name === name);
  if (!member) throw new Error(`there is no ${name}`);
  return member;
}

/**
 * @param {string} kind
 * @param {(system: System) => Member[]} of
 * @param {NodeJS.Signals} signal
 * @param {Fault['seconds']} seconds
 * @returns {Fault}
 */
function replicaEnds(kind, of, signal, seconds) {
  return {
    kind,
    targets: (system) => namesOf(of(system)),
    seconds,
    make: async (system, target, ms) => {
      const { replica } = named(of(system), target);
      await replica.end(signal);
      await pause(ms);
      await replica.start();
    },
  };
}

/** @param {string} kind @param {(system: System) => Member[]} of @param {Fault['seconds']} seconds @returns {Fault} */
function replicaFreezes(kind, of, seconds) {
  return {
    kind,
    targets: (system) => namesOf(of(system)),
    seconds,
    make: async (system, target, ms) => {
      const { replica } = named(of(system), target);
      if (replica.freeze()) await pause(ms).finally(() => replica.thaw());
    },
  };
}

/**
 * @param {string} kind
 * @param {'toDatabase' | 'toBroker'} way
 * @param {Fault['seconds']} seconds
 * @param {{ begin: 'cut' | 'shut' | 'freeze', end: 'open' | 'thaw' }} what
 * @returns {Fault}
 */
function links(kind, way, seconds, { begin, end }) {
  return {
    kind,
    targets: (system) => namesOf(everybody(system)),
    seconds,
    make: async (system, target, ms) => {
      const link = named(everybody(system), target)[way];
      link?.[begin]();
      await pause(ms).finally(() => link?.[end]());
    },
  };
}

/** @param {System} system @param {readonly string[]} to */
async function setWatermark({ broker }, to) {
  if (!broker) return;
  const args = ['-n', broker.node, '-q', 'set_vm_memory_high_watermark', ...to];
  await promisify(execFile)(brokerControl, args, { env: { ...process.env, HOME: broker.home } });
}

/** @type {Fault[]} */
const gatewayFaults = [
  replicaEnds('gateway killed', gateways, 'SIGKILL', [0, 3]),
  replicaEnds('gateway deployed', gateways, 'SIGTERM', [0, 1]),
  replicaFreezes('gateway frozen', gateways, [1, 8]),
  diskFull,
  rollback,
];

/** Gateways are away as a whole in this mode. @type {Fault[]} */
const pullerFaults = [
  replicaEnds('puller killed', pullers, 'SIGKILL', [0, 4]),
  replicaEnds('puller killed', pullers, 'SIGKILL', [0, 1]),
  replicaEnds('puller deployed', pullers, 'SIGTERM', [0, 1]),
  replicaFreezes('puller frozen', pullers, [1, 8]),
  // Its lease expires.
  replicaFreezes('puller frozen until it is replaced', pullers, [33, 40]),
];
