import type { Installation } from '../oauth/installation.js';

/**
 * Who is called for an event: a handler of an application, or an outgoing webhook with an application token of its own.
 */
type HandlerOwner =
  | {
      kind: 'application';
      installation: Installation;
      /** 0: the user who caused the event. */ authType: number;
    }
  | { kind: 'outgoing-webhook'; applicationToken: string; baseUrl: string };

export interface Handler {
  readonly id: number;
  readonly event: string;
  readonly url: string;
  readonly owner: HandlerOwner;
  /** `options[minTimeout]` of ONOFFLINEEVENT, in seconds. */
  readonly minTimeoutSeconds?: number | undefined;
  /** When ONOFFLINEEVENT was last sent to it. */
  signalledAtMs?: number;
}

/** The online event handlers of one portal. */
export class Handlers {
  private handlers: Handler[] = [];
  private lastId = 0;
  private readonly bindingsInProgress = new Map<string, { request: object; untilMs: number }>();

  /**
   * Marks a binding as in progress for as long as the portal takes to answer. False if another request has started the
   * same binding: Bitrix24 lets only one in.
   */
  startBinding(key: string, request: object, nowMs: number, forMs: number): boolean {
    const other = this.bindingsInProgress.get(key);
    if (other && other.request !== request && nowMs < other.untilMs) return false;
    this.bindingsInProgress.set(key, { request, untilMs: nowMs + forMs });
    return true;
  }

  /** Undefined if the same event, URL and user are bound already. */
  bind(event: string, url: string, owner: HandlerOwner, minTimeoutSeconds?: number): Handler | undefined {
    const isBound = this.of(event).some(
      (handler) => handler.url === url && isSameOwner(handler.owner, owner),
    );
    if (isBound) return undefined;
    this.lastId += 1;
    const handler: Handler = { id: this.lastId, event, url, owner, minTimeoutSeconds };
    this.handlers.push(handler);
    return handler;
  }

  of(event: string): Handler[] {
    return this.handlers.filter((handler) => handler.event === event);
  }

  all(): readonly Handler[] {
    return this.handlers;
  }

  has(handler: Handler): boolean {
    return this.handlers.includes(handler);
  }

  remove(matches: (handler: Handler) => boolean): number {
    const before = this.handlers.length;
    this.handlers = this.handlers.filter((handler) => !matches(handler));
    return before - this.handlers.length;
  }
}

function isSameOwner(one: HandlerOwner, other: HandlerOwner): boolean {
  if (one.kind === 'application' && other.kind === 'application') {
    return one.installation === other.installation && one.authType === other.authType;
  }
  return false;
}
