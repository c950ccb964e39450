import { z } from 'zod';
import { Bitrix24Error } from './errors.js';
import { checkMethod, encodeQuery, type Params } from './query.js';
import {
  errorCode,
  errorFrom,
  invalidResponse,
  type RequestContext,
  requestTime,
  type RestResponse,
  wholeNumber,
} from './response.js';

/** `settings/how-to-call-rest-api/batch.md`. */
export const MAX_BATCH_COMMANDS = 50;

export interface Command {
  readonly method: string;
  /** Values may refer to earlier commands of the batch: `'$result[list][items][0][id]'`. */
  readonly params?: Params;
}

export type CommandOutcome =
  ({ readonly ok: true } & Readonly<RestResponse>) | { readonly ok: false; readonly error: Bitrix24Error };

/**
 * The parameters of the method `batch`.
 *
 * @throws RangeError for more than 50 commands; TypeError for parameters that a query string cannot carry
 */
export function batchParams(commands: Readonly<Record<string, Command>>, halt: boolean): Params {
  const entries = Object.entries(commands);
  if (entries.length > MAX_BATCH_COMMANDS) {
    throw new RangeError(`a batch takes ${MAX_BATCH_COMMANDS} commands, not ${entries.length}`);
  }
  const cmd = Object.fromEntries(entries.map(([key, command]) => [key, spellCommand(command)]));
  return { halt: halt ? 1 : 0, cmd };
}

function spellCommand({ method, params = {} }: Command): string {
  const query = encodeQuery(params);
  return query === '' ? checkMethod(method) : `${checkMethod(method)}?${query}`;
}

/** PHP serializes an empty map as `[]`, and a map with the keys 0, 1, 2 … as a list. */
const section = z
  .union([z.array(z.unknown()), z.record(z.string(), z.unknown())])
  .transform((entries) => new Map(Object.entries(entries)));
const optionalSection = section.nullish().transform((entries) => entries ?? new Map<string, unknown>());
const batchResult = z.object({
  result: section,
  result_error: optionalSection,
  result_total: optionalSection,
  result_next: optionalSection,
  result_time: optionalSection,
});
const commandError = z.union([errorCode, z.object({ error: errorCode }).transform(({ error }) => error)]);

/**
 * The outcome of every command, in order. A command in neither section was not run, because an earlier one failed and
 * the batch has `halt`: `NOT_RUN`.
 *
 * @throws Bitrix24Error `BAD_ANSWER` when `result` is not a batch result
 */
export function readOutcomes(
  result: unknown,
  commands: Readonly<Record<string, Command>>,
  asked: RequestContext,
): Record<string, CommandOutcome> {
  const parsed = batchResult.safeParse(result);
  if (!parsed.success) throw invalidResponse(asked);
  const sections = parsed.data;

  function outcomeOf(key: string, method: string): CommandOutcome {
    const command: RequestContext = { ...asked, method };
    const time = requestTime.parse(sections.result_time.get(key));
    if (sections.result_error.has(key)) {
      const sent = commandError.safeParse(sections.result_error.get(key));
      return {
        ok: false,
        error: sent.success ? errorFrom(sent.data, command, { time }) : invalidResponse(command),
      };
    }
    if (!sections.result.has(key)) {
      return { ok: false, error: new Bitrix24Error('NOT_RUN', { memberId: asked.memberId, method }) };
    }
    return {
      ok: true,
      result: sections.result.get(key),
      total: wholeNumber.parse(sections.result_total.get(key)),
      next: wholeNumber.parse(sections.result_next.get(key)),
      time,
    };
  }

  return Object.fromEntries(
    Object.entries(commands).map(([key, { method }]) => [key, outcomeOf(key, method)]),
  );
}
