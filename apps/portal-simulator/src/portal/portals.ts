import { createHash, randomBytes } from 'node:crypto';
import { OWNER_ID } from '../crm/users.js';
import { Portal, type PortalDependencies, type PortalSettings } from './portal.js';

const DEFAULT_SETTINGS: PortalSettings = {
  rate: 2,
  burst: 50,
  language: 'en',
  scope: ['crm', 'user_brief', 'imopenlines'],
  features: {},
  suffixedEvents: true,
  latencyMs: 0,
  methodMs: {},
  accessTokenSeconds: 3600,
  eventConcurrency: 10,
  eventTimeoutMs: 10_000,
  operatingLimitSeconds: 480,
  operatingCosts: {},
  batchLength: null,
  missingReference: 'stop',
  offlineOwnWrites: false,
};

interface NewPortal {
  name: string;
  settings?: Partial<PortalSettings> | undefined;
  memberId?: string | undefined;
  domain?: string | undefined;
  /** Secret of the owner's incoming webhook; the portal's name if absent. */
  webhook?: string | undefined;
}

/**
 * A reserved top-level domain, so no real host has such a name. The first label is the portal's name, as in production.
 */
const DOMAIN_SUFFIX = 'bitrix24.test';

/** All portals by name, including names before a rename. */
export class Portals {
  private readonly byName = new Map<string, Portal>();
  private readonly oldNames = new Map<string, Portal>();

  constructor(private readonly dependencies: PortalDependencies) {}

  /** Undefined if the name is taken, or was before a rename. */
  add({ name, settings, memberId, domain, webhook }: NewPortal): Portal | undefined {
    if (this.byName.has(name) || this.oldNames.has(name)) return undefined;
    const identity = {
      name,
      memberId: memberId ?? this.newMemberId(name),
      domain: domain ?? `${name}.${DOMAIN_SUFFIX}`,
    };
    const portal = new Portal(identity, { ...DEFAULT_SETTINGS, ...settings }, this.dependencies);
    portal.webhooks.set(webhook ?? name, OWNER_ID);
    this.byName.set(name, portal);
    return portal;
  }

  all(): Portal[] {
    return [...this.byName.values()];
  }

  /** By its present name. */
  find(name: string): Portal | undefined {
    return this.byName.get(name);
  }

  /** By a name before a rename: Bitrix24 answers 302 there (settings/how-to-call-rest-api/change-domen.md). */
  findMoved(name: string): Portal | undefined {
    return this.oldNames.get(name);
  }

  /** False if the new name is taken. A portal may take a former name of its own again. */
  rename(portal: Portal, to: string): boolean {
    if (this.byName.has(to) || (this.oldNames.get(to) ?? portal) !== portal) return false;
    this.byName.delete(portal.identity.name);
    this.oldNames.set(portal.identity.name, portal);
    portal.identity.name = to;
    portal.identity.domain = `${to}.${DOMAIN_SUFFIX}`;
    this.byName.set(to, portal);
    return true;
  }

  remove(portal: Portal): void {
    portal.events.stop();
    this.byName.delete(portal.identity.name);
    for (const [name, old] of this.oldNames) if (old === portal) this.oldNames.delete(name);
  }

  /** Derived from the name, so that a restarted simulator is the same portal for a gateway. */
  private newMemberId(name: string): string {
    const derived = createHash('md5').update(`portal of the simulator: ${name}`).digest('hex');
    const isTaken = this.all().some(({ identity }) => identity.memberId === derived);
    return isTaken ? randomBytes(16).toString('hex') : derived;
  }
}
