import {
  explainConnectionError,
  formatEventName,
  inspectBroker,
  openBusAdmin,
  parseEventName,
  type BusAdmin,
} from '@relay/bus';
import { silentLog } from '@relay/platform';
import { Subscriptions } from '@relay/portals';
import type { DataSource } from 'typeorm';
import { ok, problemsOrOk, problem, shortened, type Finding } from './finding.js';

/** Quorum queues with at-least-once dead-lettering. */
const OLDEST_RABBITMQ = [3, 10];

const NO_BROKER = 'broker connection';

/** The broker itself, which needs no database. */
export async function checkBroker(amqpUrl: string): Promise<Finding[]> {
  try {
    const { version, alarm } = await inspectBroker(amqpUrl);
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const [oldest = 0, oldestMinor = 0] = OLDEST_RABBITMQ;
    const isOld = major < oldest || (major === oldest && minor < oldestMinor);
    const problems = [
      ...(isOld ? [`RabbitMQ ${version} is too old: use 3.10 or newer`] : []),
      ...(alarm === undefined
        ? []
        : [
            `RabbitMQ is in alarm (${alarm}) and accepts no event: give it memory or disk; events wait in the gateways' journals`,
          ]),
    ];
    return problemsOrOk('broker', problems, `RabbitMQ ${version} answers and accepts messages`);
  } catch (error) {
    return [problem(NO_BROKER, explainConnectionError(error, 'AMQP_URL').reason)];
  }
}

/** Of `checkBroker`: whether there is a broker to ask further; one in alarm answers, too. */
export function answers(findings: readonly Finding[]): boolean {
  return !findings.some(({ check, state }) => check === NO_BROKER && state === 'problem');
}

interface BusParts {
  dataSource: DataSource;
  databaseUrl: string;
  amqpUrl: string | undefined;
}

/** Queues, consumers and unrouted events, each beside the others. The caller closes it. */
export class BusChecks {
  private readonly admin: BusAdmin;
  private readonly subscriptions: Subscriptions;
  private consumers: Promise<ReadonlyMap<string, readonly string[]>> | undefined;

  constructor(private readonly parts: BusParts) {
    const { amqpUrl, databaseUrl } = parts;
    this.admin = openBusAdmin({ ...(amqpUrl !== undefined && { amqpUrl }), databaseUrl, log: silentLog });
    this.subscriptions = new Subscriptions(parts.dataSource, { on: () => () => undefined });
  }

  async close(): Promise<void> {
    await this.admin.close();
  }

  async topology(): Promise<Finding[]> {
    const parts = await this.admin.topology(await this.events());
    const wrong = parts.filter(({ state }) => state !== 'ok');
    const lines = wrong.map(({ kind, name, state, detail, consumer }) => {
      const labels = {
        missing: 'is missing',
        different: 'is different',
        unavailable: 'does not answer',
        ok: '',
      };
      const why = detail === null ? '' : ` (${detail})`;
      return `${kind} ${name} ${labels[state]}${why}: ${remedyOf(state, consumer)}`;
    });
    return problemsOrOk(
      'topology',
      shortened(lines),
      `${parts.length} queues, exchanges, tables and bindings are right`,
    );
  }

  async work(): Promise<Finding[]> {
    const findings: Finding[] = [];
    for (const [consumer, names] of await this.events()) {
      const status = await this.admin.statusOf(consumer);
      const { waiting, retrying, dead, newer, processes, shardsServed } = status;
      const problems: string[] = [];
      if (shardsServed === 0 && (names.length > 0 || waiting + retrying > 0)) {
        problems.push(
          `no process of it works, and ${waiting + retrying} events wait: start it, or relay consumer retire ${consumer}`,
        );
      }
      if (processes.some(({ isPaused }) => isPaused)) {
        problems.push(
          'every batch of it fails, so it tries one event at a time: its log says why (consumer.circuit.open)',
        );
      }
      if (dead > 0) {
        problems.push(
          `${dead} dead letters: relay dead list --consumer ${consumer}, then relay dead replay or drop`,
        );
      }
      if (newer > 0) problems.push(`${newer} events of a newer version wait: finish the upgrade`);
      findings.push(
        ...problemsOrOk(
          `consumer ${consumer}`,
          problems,
          `${processes.length} processes, ${waiting} events wait`,
        ),
      );
    }
    return findings.length > 0 ? findings : [ok('consumers', 'none has ever started here')];
  }

  /** Events that reached no queue though somebody wants them: a binding is or was missing. */
  async unrouted(): Promise<Finding[]> {
    const active = await this.subscriptions.active();
    const lines = (await this.admin.unrouted()).flatMap(({ name, events }) => {
      const owners = active.filter((one) => isWantedBy(one.name, name)).map(({ consumer }) => consumer);
      if (owners.length === 0) return [];
      return `${events} events ${name} reached nobody, though ${[...new Set(owners)].join(', ')} wants them: relay unrouted replay; if more come, restart the consumer, which binds them`;
    });
    return problemsOrOk('unrouted', lines, 'no event that somebody wants');
  }

  /** Event names by consumer; empty for one that only the bus knows. */
  private events(): Promise<ReadonlyMap<string, readonly string[]>> {
    this.consumers ??= Promise.all([this.subscriptions.byConsumer(), this.admin.knownConsumers()]).then(
      ([recorded, traced]) =>
        new Map(
          [...new Set([...recorded.keys(), ...traced])]
            .toSorted()
            .map((name) => [name, recorded.get(name) ?? []]),
        ),
    );
    return this.consumers;
  }
}

function remedyOf(state: string, consumer: string | null): string {
  if (state === 'missing') {
    return `restart ${consumer ?? 'a gateway'}, which declares it; relay topology says whether it is there then`;
  }
  if (state === 'different') return 'empty and delete it; it is declared again';
  return 'bring the nodes of RabbitMQ back that hold it';
}

/** A base name includes every type, a suffixed one only its own. */
function isWantedBy(subscribed: string, eventName: string): boolean {
  const [wanted, event] = [parseEventName(subscribed), parseEventName(eventName)];
  return (
    wanted.name === event.name &&
    (wanted.entityTypeId === 0 || formatEventName(wanted.name, wanted.entityTypeId) === eventName)
  );
}
