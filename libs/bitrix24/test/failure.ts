import { inspect } from 'node:util';
import { Bitrix24Error } from '../src/rest/errors.js';

/** The error of a rejected call; any other outcome fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<Bitrix24Error> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Bitrix24Error) return error;
  throw new Error(`no Bitrix24Error but ${inspect(error)}`);
}
