import type { Attributes } from '@opentelemetry/api';
import type { TokenStore } from './rest/access.js';
import { readItems } from './batch-planner/read-items.js';
import { Bitrix24Error } from './rest/errors.js';
import { batchParams, type Command, type CommandOutcome, readOutcomes } from './rest/batch.js';
import { post } from './http/http-request.js';
import { type Item, type ListParams, readList } from './rest/listing.js';
import { checkMethod, type Params } from './rest/query.js';
import type { Priority, RateLimiter } from './rate-limit/rate-limiter.js';
import type { RequestContext, RestResponse } from './rest/response.js';
import { type Idempotency, idempotencyOf, weakestIdempotency } from './rest/retryability.js';
import { type RequestOutcome, Sender } from './rest/sender.js';
import { areLinked, splitThrottled, throttledError, usageOfBatch, usageOfCall } from './rest/usage.js';

/** The cloud aborts a request after 60 s (`limits.md`); the client waits longer to receive that response. */
const DEFAULT_TIMEOUT_MS = 65_000;

export interface PortalClientOptions {
  readonly memberId: string;
  readonly tokens: TokenStore;
  /**
   * `host` or `host:port` of portals that may be plain http and have any address. All others must be https, and their
   * resolved address must be public when the socket is connected. Default: none.
   */
  readonly allowHosts?: readonly string[];
  /** For one HTTP request including its response. */
  readonly timeoutMs?: number;
  /** Decompressed. Default, and upper bound: the limit of the called methods (`response-reader.ts`). */
  readonly maxResponseBytes?: number;
  /** Enforces the portal's limits; without it requests are sent immediately. */
  readonly rateLimiter?: RateLimiter;
  /** Default `interactive`. */
  readonly priority?: Priority;
  /** Milliseconds before the first, second … retry of a request. Default: about 0.3 s and 1.2 s. */
  readonly repeatPauseMs?: (repeat: number) => number;
  /**
   * Awaited with the final outcome of each HTTP request: after its retries, and for a batch as a whole. Must not
   * reject. Not called for requests that were not sent, nor for an aborted call.
   */
  readonly onOutcome?: (outcome: RequestOutcome) => Promise<void>;
  /** Default `bitrix24-rest-client`. */
  readonly userAgent?: string | undefined;
  /** Of each request's span, besides `bitrix24.*` and `http.*`. */
  readonly spanAttributes?: Attributes | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether the request is idempotent, so that it may be retried although the first attempt may have been executed.
   * Default: by the methods' names, true for reads and for `.update`, `.delete` and `.set`. Set false for an update
   * that adds, such as one of `PHONE` without the `ID` of the value.
   */
  readonly repeatable?: boolean | undefined;
  /**
   * `auth_connector` of this request. Default: that of the token store, for requests that change something; empty for
   * none. One that is given and rejected is the error `WRONG_LICENSE`.
   */
  readonly connector?: string | undefined;
  /** Of this request, below the limits of the client and its methods. */
  readonly maxResponseBytes?: number | undefined;
}

/**
 * REST client of one portal (`settings/how-to-call-rest-api/general-principles.md`).
 *
 * Every method throws `Bitrix24Error`, the error of the token store or the rate limiter, or the signal's reason after
 * an abort. For retries see `Sender`.
 */
export class PortalClient {
  readonly #memberId: string;
  readonly #sender: Sender;

  constructor(options: PortalClientOptions, postRequest = post) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { allowHosts = [], rateLimiter, priority = 'interactive' } = options;
    this.#memberId = options.memberId;
    this.#sender = new Sender({ ...options, timeoutMs, allowHosts, rateLimiter, priority }, postRequest);
  }

  get memberId(): string {
    return this.#memberId;
  }

  /**
   * @throws TypeError for an invalid method name; Bitrix24Error `OPERATION_TIME_LIMIT` also without a request, while
   *   the rate limiter reports the method as paused
   */
  async call(
    method: string,
    params: Params = {},
    { signal, repeatable, connector, maxResponseBytes }: CallOptions = {},
  ): Promise<RestResponse> {
    const methods = [checkMethod(method).toLowerCase()];
    const admission = await this.#sender.admit({ methods }, signal);
    for (const wait of admission.throttled.values()) throw throttledError(this.#memberId, method, wait);
    const kind = kindBy(repeatable) ?? idempotencyOf(method);
    const read = (answer: RestResponse) => ({ value: answer, usage: usageOfCall(method, answer) });
    const carries = connector !== undefined || isChange(method);
    const paramsWith = (given: string): Params =>
      carries && given !== '' ? { ...params, auth_connector: given } : params;
    return await this.#sender.send(
      { method, params: paramsWith, connector, methods, kind, read, maxResponseBytes },
      admission,
      signal,
    );
  }

  /**
   * Up to 50 commands in one request, run in the order of their keys; integer keys come first, as in any JavaScript
   * object. Later commands can use `$result[<key>][<field>]` of earlier ones.
   * With `halt` the commands after the first failed one are `NOT_RUN`.
   *
   * Commands of paused methods are not sent, their outcome is `OPERATION_TIME_LIMIT`; if commands depend on one
   * another, the batch as a whole fails with it. A token that expires while the commands run (`EXPIRED_TOKEN` as the
   * outcome of some) is not refreshed here: the portal rejects the next request with it, which triggers the refresh.
   *
   * @throws RangeError for more than 50 commands; TypeError for parameters that a command cannot carry
   */
  async batch(
    commands: Readonly<Record<string, Command>>,
    {
      halt = false,
      signal,
      repeatable,
      connector,
      maxResponseBytes,
    }: CallOptions & { readonly halt?: boolean } = {},
  ): Promise<Record<string, CommandOutcome>> {
    const whole = batchParams(commands, halt);
    const called = methodsOf(commands);
    if (called.length === 0) return {};
    const linked = areLinked(commands, halt);
    const admission = await this.#sender.admit(
      linked ? { methods: [...called, 'batch'] } : { methods: ['batch'], optional: called },
      signal,
    );
    const { throttled } = admission;
    const { sent, notSent } = splitThrottled(commands, throttled, { memberId: this.#memberId, linked });
    if (Object.keys(sent).length === 0) return notSent;

    const plain = throttled.size === 0 ? whole : batchParams(sent, halt);
    const carries = ({ method }: Command): boolean => connector !== undefined || isChange(method);
    const outcomes = await this.#sender.send(
      {
        method: 'batch',
        // The documentation shows it with the method, the `rest` module reads it from the request: in both, then.
        params: (given) =>
          given === '' || !Object.values(sent).some(carries)
            ? plain
            : { ...batchParams(withConnector(sent, carries, given), halt), auth_connector: given },
        connector,
        methods: [...methodsOf(sent), 'batch'],
        kind: kindBy(repeatable) ?? weakestIdempotency(Object.values(sent).map(({ method }) => method)),
        read: (answer, asked, given) => {
          const value = readOutcomes(answer.result, sent, asked);
          if (given !== '' && connector === undefined) throwRejectedConnector(sent, value, asked);
          return { value, usage: usageOfBatch(sent, answer, value) };
        },
        maxResponseBytes,
      },
      admission,
      signal,
    );
    return inOrderOf(commands, { ...outcomes, ...notSent });
  }

  /**
   * Items of one CRM type by id, 2,500 per request. Ids that the portal does not have, or does not show to this user,
   * are absent from the map, as are invalid ids.
   *
   * @param select field names; all fields if absent
   * @throws Bitrix24Error also when any of the reads failed
   */
  async listByIds(
    entityTypeId: number,
    ids: readonly (number | string)[],
    { select, signal }: CallOptions & { readonly select?: readonly string[] } = {},
  ): Promise<Map<string, Item>> {
    const found = new Map<string, Item>();
    const queries = [{ entityTypeId, ids, select }];
    for (const [, outcomes] of await readItems(this, queries, { signal })) {
      for (const [id, outcome] of outcomes) {
        if (outcome.state === 'failed') throw outcome.error;
        if (outcome.state === 'found') found.set(id, outcome.item);
      }
    }
    return found;
  }

  /**
   * Every entry of a list method that filters and orders by id, in order of id, 50 per request.
   *
   * @param idField `ID` for older methods, whose fields are in upper case
   */
  list(
    method: string,
    params: ListParams = {},
    { idField = 'id', signal }: CallOptions & { readonly idField?: 'id' | 'ID' } = {},
  ): AsyncGenerator<Item, void, undefined> {
    return readList((page) => this.call(method, page, { signal }), params, idField, this.#contextOf(method));
  }

  #contextOf(method: string): RequestContext {
    return { memberId: this.#memberId, method, secrets: [] };
  }
}

/** Methods about the application itself, and those that name the connector of a queue, change nothing that is recorded. */
const NO_CHANGES = /^(?:event\.|app\.|placement\.|user\.admin$)/i;

function isChange(method: string): boolean {
  return idempotencyOf(method) !== 'read' && !NO_CHANGES.test(method);
}

function withConnector(
  commands: Readonly<Record<string, Command>>,
  carries: (command: Command) => boolean,
  connector: string,
): Record<string, Command> {
  return Object.fromEntries(
    Object.entries(commands).map(([key, command]) => [
      key,
      carries(command) ? { ...command, params: { ...command.params, auth_connector: connector } } : command,
    ]),
  );
}

/** @throws Bitrix24Error where commands were rejected one by one: none of those that carry it was executed */
function throwRejectedConnector(
  commands: Readonly<Record<string, Command>>,
  outcomes: Readonly<Record<string, CommandOutcome>>,
  asked: RequestContext,
): void {
  for (const [key, outcome] of Object.entries(outcomes)) {
    const command = commands[key];
    if (outcome.ok || outcome.error.code !== 'WRONG_LICENSE' || !command || !isChange(command.method))
      continue;
    throw new Bitrix24Error('WRONG_LICENSE', { memberId: asked.memberId, method: 'batch' });
  }
}

function kindBy(repeatable: boolean | undefined): Idempotency | undefined {
  if (repeatable === undefined) return undefined;
  return repeatable ? 'idempotent' : 'other';
}

/** In lower case. A request with these also needs `batch`, which may use operating time, too (`usage.ts`). */
function methodsOf(commands: Readonly<Record<string, Command>>): string[] {
  return [...new Set(Object.values(commands).map(({ method }) => method.toLowerCase()))];
}

function inOrderOf<T>(
  keys: Readonly<Record<string, unknown>>,
  values: Readonly<Record<string, T>>,
): Record<string, T> {
  return Object.fromEntries(
    Object.keys(keys).flatMap((key) => {
      const value = values[key];
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}
