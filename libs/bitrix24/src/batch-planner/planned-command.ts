import type { RestResponse } from '../response.js';
import type { Command, CommandOutcome } from '../batch.js';
import type { Params } from '../query.js';

/** One command that somebody wants done, and what a plan has to know of it. */
export interface PlannedCommand {
  readonly command: Command;
  /** Jobs of one entity are done in the order in which they were given; those without one in any. */
  readonly entity?: string | undefined;
  /** To do it twice does no harm, so it may be sent again when nobody knows whether it was done. */
  readonly repeatable: boolean;
  /** It does not fit a batch and goes by itself. */
  readonly alone: boolean;
}

/** What a command came to. The error is the portal's own, or whatever kept the command from being sent or answered. */
export type Outcome =
  ({ readonly ok: true } & Readonly<RestResponse>) | { readonly ok: false; readonly error: unknown };

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the client may send it again by itself after a failure that leaves open whether it was done. */
  readonly repeatable?: boolean | undefined;
}

/** The part of a `PortalClient` by which plans are carried out. */
export interface BatchClient {
  readonly memberId: string;
  call(method: string, params?: Params, options?: RequestOptions): Promise<RestResponse>;
  batch(
    commands: Readonly<Record<string, Command>>,
    options?: RequestOptions,
  ): Promise<Record<string, CommandOutcome>>;
}
