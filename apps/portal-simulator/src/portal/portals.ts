import { createHash, randomBytes } from 'node:crypto';
import { OWNER_ID } from '../crm/users.js';
import { Portal, type PortalDependencies, type PortalSettings } from './portal.js';

const defaultSettings: PortalSettings = {
  rate: 2,
  burst: 50,
  language: 'en',
  scope: ['crm', 'user_brief', 'imopenlines'],
  features: {},
  suffixedEvents: true,
  latencyMs: 0,
  accessTokenSeconds: 3600,
  eventConcurrency: 10,
  eventTimeoutMs: 10_000,
  operatingLimitSeconds: 480,
  operatingCosts: {},
  batchLength: null,
  missingReference: 'stop',
};

export interface NewPortal {
  name: string;
  settings?: Partial<PortalSettings> | undefined;
  memberId?: string | undefined;
  domain?: string | undefined;
  /** Secret of the owner's incoming webhook; the portal's name if not given. */
  webhook?: string | undefined;
}

/**
 * A reserved top-level domain: nothing real can be meant by it. The first label is the portal's name, as in
 * real life.
 */
const DOMAIN_SUFFIX = 'bitrix24.test';

/** All portals by their names, old names included. */
export class Portals {
  private readonly byName = new Map<string, Portal>();
  private readonly oldNames = new Map<string, Portal>();

  constructor(private readonly dependencies: PortalDependencies) {}

  /** Undefined: the name is taken, or was before a rename. */
  add({ name, settings, memberId, domain, webhook }: NewPortal): Portal | undefined {
    if (this.byName.has(name) || this.oldNames.has(name)) return undefined;
    const identity = {
      name,
      memberId: memberId ?? this.freeMemberId(name),
      domain: domain ?? `${name}.${DOMAIN_SUFFIX}`,
    };
    const portal = new Portal(identity, { ...defaultSettings, ...settings }, this.dependencies);
    portal.webhooks.set(webhook ?? name, OWNER_ID);
    this.byName.set(name, portal);
    return portal;
  }

  all(): Portal[] {
    return [...this.byName.values()];
  }

  /** Under its present name. */
  find(name: string): Portal | undefined {
    return this.byName.get(name);
  }

  /**
   * Under a name that it gave up: Bitrix24 answers 302 there
   * (settings/how-to-call-rest-api/change-domen.md).
   */
  findMoved(name: string): Portal | undefined {
    return this.oldNames.get(name);
  }

  /** False: the new name is taken. A portal may go back to a name that it gave up. */
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

  /**
   * The same for the same name in every run, so that a restarted simulator is still the portal that a
   * gateway knows.
   */
  private freeMemberId(name: string): string {
    const usual = createHash('md5').update(`portal of the simulator: ${name}`).digest('hex');
    const isTaken = this.all().some(({ identity }) => identity.memberId === usual);
    return isTaken ? randomBytes(16).toString('hex') : usual;
  }
}
