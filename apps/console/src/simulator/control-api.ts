/** The part of the simulator's control API that its page uses. */

export interface Row {
  id: number;
  fields: Record<string, string>;
  changedAtMs: number;
  changedBy: 'user' | 'application' | 'webhook' | 'robot';
  /** Present only if the last change changed one of these fields. */
  before?: { fields: Record<string, string>; sinceMs: number };
}

export interface Table {
  entityTypeId: number;
  title: string;
  total: number;
  /** Newest first. */
  rows: Row[];
}

export interface Developer {
  installation?: {
    userId: number;
    version: number;
    isFinished: boolean;
    pages?: { installation: string; application: string };
  };
  online: { id: number; event: string; url: string; kind: 'application' | 'outgoing-webhook' }[];
  offline: { event: string; connector: string }[];
  /** Records in the offline queue. */
  queued: number;
  webhooks: { userId: number; secret: string }[];
  users: { id: number; name: string; isAdministrator: boolean }[];
}

/** One message of `GET /_sim/portals/<name>/changes`. */
export interface PageView {
  portal: string;
  portals: string[];
  installAt: string;
  application: 'absent' | 'installed' | 'listening';
  limits: { rate: number; burst: number };
  contacts: Table;
  deals: Table;
  processes: Table[];
  stats: {
    requests: number;
    refusals: number;
    calls: Record<string, number>;
    events: {
      sent: number;
      pending: number;
      answers: Record<string, number>;
      names: Record<string, number>;
    };
  };
  developer: Developer;
}

/** @throws Error with what the simulator says */
export async function control<Answer = { status?: number | string | null }>(
  portal: string,
  action: string,
  body: object = {},
): Promise<Answer> {
  const answer = await fetch(`/_sim/portals/${encodeURIComponent(portal)}/${action}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.error_description ?? result.error);
  return result;
}

export async function portalNames(): Promise<string[]> {
  const portals: { name: string }[] = await (await fetch('/_sim/portals')).json();
  return portals.map(({ name }) => name);
}

/**
 * Watches one portal until the returned function is called. A new connection starts with the complete content, so
 * nothing is missed after a reconnect.
 */
export function watchPortal(
  portal: string,
  to: { onSnapshot: (view: PageView) => void; onConnection: (is: boolean) => void; onGone: () => void },
): () => void {
  const source = new EventSource(`/_sim/portals/${encodeURIComponent(portal)}/changes`);
  source.addEventListener('open', () => to.onConnection(true));
  source.addEventListener('error', () => to.onConnection(false));
  source.addEventListener('message', ({ data }) => to.onSnapshot(JSON.parse(data)));
  source.addEventListener('gone', () => {
    source.close();
    to.onGone();
  });
  return () => source.close();
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : 'the simulator does not answer';
}
