import type { RestResponse } from '../response.js';
import type { Command, CommandOutcome } from '../batch.js';
import type { Params } from '../query.js';

/** A command with the properties that a plan needs. */
export interface PlannedCommand {
  readonly command: Command;
  /** Commands of one entity are executed in the order given; commands without an entity in any order. */
  readonly entity?: string | undefined;
  /** Idempotent: it may be retried when it is unknown whether it was executed. */
  readonly repeatable: boolean;
  /** It cannot be batched and is sent by `call`. */
  readonly alone: boolean;
}

/** Outcome of a command. The error is the portal's, or the one that prevented the request or its response. */
export type Outcome =
  ({ readonly ok: true } & Readonly<RestResponse>) | { readonly ok: false; readonly error: unknown };

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the client may retry after a failure that leaves unknown whether the request was executed. */
  readonly repeatable?: boolean | undefined;
}

/** The part of a `PortalClient` that executes plans. */
export interface BatchClient {
  readonly memberId: string;
  call(method: string, params?: Params, options?: RequestOptions): Promise<RestResponse>;
  batch(
    commands: Readonly<Record<string, Command>>,
    options?: RequestOptions,
  ): Promise<Record<string, CommandOutcome>>;
}
