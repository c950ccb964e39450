import { type PortalAccess, secretsOf, type TokenStore } from './access.js';
import { type Answer, type Asked, readAnswer } from './answer.js';
import { batchParams, type Command, type CommandOutcome, readOutcomes } from './batch.js';
import { Bitrix24Error } from './errors.js';
import { post } from './exchange.js';
import { collectRead, type Item, type ListParams, planReads, walkList } from './listing.js';
import { checkMethod } from './method.js';
import type { Params } from './query.js';

/** The cloud cuts a request off after 60 s (`limits.md`); its answer should still reach us. */
const DEFAULT_TIMEOUT_MS = 65_000;
/** 2,500 items with all of their fields stay well below. */
const DEFAULT_MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export interface PortalClientOptions {
  readonly memberId: string;
  readonly tokens: TokenStore;
  /** For one HTTP request, its answer included. */
  readonly timeoutMs?: number;
  readonly maxAnswerBytes?: number;
  /** Awaited before each HTTP request, repeats included: the place for a rate limit. What it throws ends the call. */
  readonly beforeRequest?: (signal?: AbortSignal) => Promise<void>;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * REST of one portal (`settings/how-to-call-rest-api/general-principles.md`).
 *
 * Every method throws `Bitrix24Error`, what the token store throws, or the signal's reason once it is aborted. The one
 * thing that is repeated is a request refused for an expired token, since the portal has done nothing of it.
 */
export class PortalClient {
  readonly #memberId: string;
  readonly #tokens: TokenStore;
  readonly #timeoutMs: number;
  readonly #maxAnswerBytes: number;
  readonly #beforeRequest: ((signal?: AbortSignal) => Promise<void>) | undefined;

  constructor(options: PortalClientOptions) {
    this.#memberId = options.memberId;
    this.#tokens = options.tokens;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#maxAnswerBytes = options.maxAnswerBytes ?? DEFAULT_MAX_ANSWER_BYTES;
    this.#beforeRequest = options.beforeRequest;
  }

  /** @throws TypeError for a method's name that is none */
  async call(method: string, params: Params = {}, { signal }: CallOptions = {}): Promise<Answer> {
    const { answer } = await this.#ask(method, params, signal);
    return answer;
  }

  /**
   * Up to 50 commands in one request, run in the order of their keys; keys that are whole numbers come first, as in
   * any JavaScript object. Later commands can use `$result[<key>][<field>]` of earlier ones.
   * With `halt` the commands after the first failed one are `NOT_RUN`.
   *
   * @throws RangeError for more than 50 commands; TypeError for parameters that a command cannot carry
   */
  async batch(
    commands: Readonly<Record<string, Command>>,
    { halt = false, signal }: CallOptions & { readonly halt?: boolean } = {},
  ): Promise<Record<string, CommandOutcome>> {
    const params = batchParams(commands, halt);
    if (Object.keys(commands).length === 0) return {};
    const { answer, asked } = await this.#ask('batch', params, signal);
    return readOutcomes(answer.result, commands, asked);
  }

  /**
   * Items of one CRM type by id, 2,500 a request. Ids that the portal does not have, or does not show to this user,
   * are absent from the map; so is what is no id at all.
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
    for (const reads of planReads(entityTypeId, ids, select)) {
      const commands = Object.fromEntries(Object.entries(reads).map(([key, { command }]) => [key, command]));
      const outcomes = await this.batch(commands, { signal });
      for (const [key, read] of Object.entries(reads)) {
        for (const item of collectRead(read, outcomes[key], this.#asked('batch'))) {
          found.set(String(item.id), item);
        }
      }
    }
    return found;
  }

  /**
   * Every entry of a list method that filters and orders by id, in order of id, 50 a request.
   *
   * @param idField `ID` for the older methods, whose fields are in upper case
   */
  list(
    method: string,
    params: ListParams = {},
    { idField = 'id', signal }: CallOptions & { readonly idField?: 'id' | 'ID' } = {},
  ): AsyncGenerator<Item, void, undefined> {
    return walkList((page) => this.call(method, page, { signal }), params, idField, this.#asked(method));
  }

  async #ask(
    method: string,
    params: Params,
    signal?: AbortSignal,
  ): Promise<{ answer: Answer; asked: Asked }> {
    checkMethod(method);
    const access = await this.#tokens.access(signal);
    try {
      return await this.#send(access, method, params, signal);
    } catch (error) {
      if (access.kind !== 'oauth' || !isExpiredToken(error)) throw error;
      const renewed = await this.#tokens.renew(access.accessToken, signal);
      return await this.#send(renewed, method, params, signal);
    }
  }

  /** One HTTP request. The token goes into the body: addresses end up in logs. */
  async #send(
    access: PortalAccess,
    method: string,
    params: Params,
    signal?: AbortSignal,
  ): Promise<{ answer: Answer; asked: Asked }> {
    const asked = this.#asked(method, secretsOf(access));
    const address = `${access.endpoint}${method}`;
    // Asked first, since the error of `new URL` quotes what it was given.
    if (!URL.canParse(address)) throw new Bitrix24Error('BAD_ENDPOINT', { memberId: this.#memberId, method });
    await this.#beforeRequest?.(signal);
    const exchange = await post({
      url: new URL(address),
      contentType: 'application/json',
      body: JSON.stringify(access.kind === 'oauth' ? { ...params, auth: access.accessToken } : params),
      timeoutMs: this.#timeoutMs,
      maxAnswerBytes: this.#maxAnswerBytes,
      signal,
    });
    if (!exchange.ok)
      throw new Bitrix24Error(exchange.code, { ...exchange, memberId: this.#memberId, method });
    return { answer: readAnswer(exchange.httpStatus, exchange.text, asked), asked };
  }

  #asked(method: string, secrets: readonly string[] = []): Asked {
    return { memberId: this.#memberId, method, secrets };
  }
}

/** Only this one: renewing for other refusals, or ahead of time, can get an application blocked (`settings/oauth/auto-renewal.md`). */
function isExpiredToken(error: unknown): boolean {
  return error instanceof Bitrix24Error && error.code === 'EXPIRED_TOKEN' && error.httpStatus === 401;
}
